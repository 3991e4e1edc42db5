"""The ``schedule`` command: a picture of a schedule that is written as text."""

from __future__ import annotations

import math
import sys
import textwrap
from pathlib import Path

from adamcore._cli import schedule_text, text_plot
from adamcore._cli.output import OutputError, check_output, save_figure
from adamcore.schedules import Schedule
from adamcore.schedules._breakpoints import breakpoints, natural_length

_COLUMNS = 65  # 64 distances, which the axis divides by 4
_ROWS = 12
_STEPS = 1000
_USAGE = 2


def run(text: str, *, steps: int | None, output: Path | None) -> int:
    """Print a plot and a table of breakpoints, or save a picture.

    Parameters
    ----------
    text : str
        The schedule, for `adamcore._cli.schedule_text.parse`.
    steps : int, optional
        How many steps are shown. The default is as many as the schedule needs to show all it does.
    output : Path, optional
        The file for the picture. Without it, text is printed.

    Returns
    -------
    int
        The exit status.
    """
    try:
        schedule = schedule_text.parse(text)
        last = _default_steps(schedule) if steps is None else steps
        shown = _describe(schedule, last) if output is None else _save(schedule, last, output)
    except schedule_text.TextError as error:
        print(f"adamcore schedule: {error}", file=sys.stderr)
        return _USAGE
    except OutputError as error:
        print(f"adamcore schedule: {error}", file=sys.stderr)
        return 1
    print(_printable(shown))
    return 0


def _default_steps(schedule: Schedule) -> int:
    length = natural_length(schedule)
    return _STEPS if length is None or not 1 <= length < math.inf else math.ceil(length)


def _save(schedule: Schedule, last: int, output: Path) -> str:
    check_output(output)
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise OutputError('a picture needs matplotlib: pip install "adamcore[plot]"') from None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    schedule.plot(last, ax=figure.subplots())
    save_figure(figure, output)
    return f"Picture: {output}"


def _describe(schedule: Schedule, last: int) -> str:
    edges = breakpoints(schedule, last)
    title = textwrap.wrap(repr(schedule), 80, subsequent_indent="    ")
    chart = text_plot.draw(_heights(schedule, edges, last), last)
    return "\n".join([*title, "", *chart, "", *_table(schedule, edges, last)])


def _heights(schedule: Schedule, edges: list[float], last: int) -> list[float]:
    """Return the value for each column: at a breakpoint in it, so that no peak is missed, or where it begins."""
    times = [i * last / (_COLUMNS - 1) for i in range(_COLUMNS)]
    if last >= _COLUMNS:
        times = [math.floor(t) for t in times]
    for t in edges:
        times[min(int(t / last * (_COLUMNS - 1) + 0.5), _COLUMNS - 1)] = t
    return [_finite_value(schedule, t) for t in times]


def _finite_value(schedule: Schedule, t: float) -> float:
    value = float(schedule(t))
    if not math.isfinite(value):
        raise OutputError(f"the value at t = {t:.10g} is {value}")
    return value


def _table(schedule: Schedule, edges: list[float], last: int) -> list[str]:
    times = sorted({0, last, *edges})
    if len(times) < 4:
        times = sorted({*times, *(last * i / 4 for i in range(4))})
    rows = [(f"{t:.10g}", f"{float(schedule(t)):.6g}") for t in times]
    if len(rows) > _ROWS:
        rows[_ROWS - 2 : -1] = [("...", "")]
    width = max(len(t) for t, _ in rows)
    return [f"{t:>{width}}  {value}".rstrip() for t, value in [("t", "value"), *rows]]


def _printable(text: str) -> str:
    """Return `text`, without drawn lines if the terminal cannot show them."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text_plot.plain(text)
    return text
