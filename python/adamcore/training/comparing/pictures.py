"""The pictures of a comparison, drawn by Matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from adamcore.training.comparing.page_style import LIGHT, look
from adamcore.training.comparing.page_svg import inline_svg
from adamcore.training.comparing.page_table import known, number

Data = Mapping[str, Any]

_SIZE = (4.2, 2.9)  # inches: a phone shows the letters about as large as they are here
_MOST = 150
"""So many points of a line are drawn, at most: each is the median of its part."""
_LEAST = 1e-30
_SIZES = frozenset({"lr", "ratio"})
"""What is compared by its order of magnitude."""


class Inks(NamedTuple):
    """Colours: one for each line, and those of text and grid."""

    lines: Sequence[str] = LIGHT
    text: str = "#1b1f24"
    grid: str = "#dde1e6"


class Picture(NamedTuple):
    """A picture for the page, and the places of the rules in it."""

    key: str
    title: str
    caption: str
    places: list[int]
    svg: str


class Line(NamedTuple):
    """What is drawn of a rule, in arrays of one length; NaN where there is nothing."""

    rule: str
    place: int
    x: Any
    median: Any
    low: Any
    high: Any
    marked: bool
    diverged: bool


class Kind(NamedTuple):
    """A kind of picture: its words, and where its lines are in the data."""

    title: str
    caption: Callable[[Data], str]
    across: str
    up: Callable[[Data], str]
    pick: Callable[[Data], tuple[Any, Mapping[str, Any]]]
    source: str = "curves"


def pictures(data: Data) -> list[Picture]:
    """Return the pictures for which there are data, in the order of the page."""
    return [picture for key in KINDS if (picture := _picture(key, data)) is not None]


def draw(axes: Any, key: str, data: Data, inks: Inks | None = None) -> list[Line]:
    """Draw a kind of picture, one of `KINDS`, and return its lines: none where there are no data."""
    inks = inks or Inks()
    kind = KINDS[key]
    lines = _lines(data, kind)
    if not lines:
        return lines
    target = known(data.get("target")) if key == _picture_of_metric(data) else None
    low, high, is_log = _view(key, lines, data, target)
    span = high - low
    for line in lines:
        _draw_line(axes, line, key, inks, (low - span, high + span))
    if target is not None:
        axes.axhline(target, color=inks.text, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.text(0.01, target, "target", transform=axes.get_yaxis_transform(), va="bottom", color=inks.text)
    _scale(axes, key, lines, (low, high), is_log=is_log)
    axes.set_xlabel(kind.across, color=inks.text)
    axes.set_ylabel(_shorten(kind.up(data)), color=inks.text, parse_math=False)
    axes.tick_params(colors=inks.text, which="both", length=0, labelsize=9)
    axes.grid(color=inks.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(inks.text)
    return lines


def _picture(key: str, data: Data) -> Picture | None:
    # The user's style, such as text.usetex, could make something that is no part of a page.
    settings = {"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 9, "font.family": "sans-serif"}
    with style.context(["default", settings]):
        figure = Figure(figsize=_SIZE, layout="constrained")
        lines = draw(figure.subplots(), key, data, Inks(_PLACEHOLDERS, "#0102f0", "#0102f1"))
        if not lines:
            return None
        kind = KINDS[key]
        svg = inline_svg(figure, key, _in_words(kind, lines, data), _IN_PAGE)
    return Picture(key, kind.title, kind.caption(data), [line.place for line in lines], svg)


def _in_words(kind: Kind, lines: Sequence[Line], data: Data) -> str:
    ends = [f"{line.rule} {'diverges' if line.diverged else f'ends at {_last(line)}'}" for line in lines]
    return f"{kind.title}: {kind.up(data)} against {kind.across}. {', '.join(ends)}."


def _last(line: Line) -> str:
    return number(line.median[np.isfinite(line.median)][-1])


def _lines(data: Data, kind: Kind) -> list[Line]:
    rows = {row["rule"]: (place, row) for place, row in enumerate(data["rows"])}
    found = data.get(kind.source) or {}
    lines = []
    for rule, (place, row) in rows.items():
        x, values = kind.pick(found.get(rule) or {})
        x, median = _array(x), _array(values.get("median"))
        low, high = (_array(values.get(edge, values.get("median"))) for edge in ("low", "high"))
        length = min(map(len, (x, median, low, high)))
        x, median, low, high = _thin(x[:length], median[:length], low[:length], high[:length])
        if np.isfinite(x + median).any():
            diverged = bool(row.get("diverged")) and known(row.get("final_median")) is None
            lines.append(Line(rule, place, x, median, low, high, bool(row.get("marked")), diverged))
    return _to_one_end(lines) if kind.source == "profile" else lines


def _to_one_end(lines: Sequence[Line]) -> list[Line]:
    """Return lines that keep their last value to an x beyond that of all."""
    if not lines:
        return []
    end = max(1.5, 1.05 * max(float(np.nanmax(line.x)) for line in lines))
    longer = ((line, np.append(line.median, line.median[-1])) for line in lines)
    return [line._replace(x=np.append(line.x, end), median=y, low=y, high=y) for line, y in longer]


def _array(values: Any) -> Any:
    """Return numbers between those with which Matplotlib's axes overflow, and NaN for those that are not finite."""
    array = np.array([] if values is None else [np.nan if value is None else value for value in values], float)
    array[~np.isfinite(array)] = np.nan
    return np.where(np.abs(array) < _LEAST, 0.0, np.clip(array, -1 / _LEAST, 1 / _LEAST))


def _thin(x: Any, median: Any, low: Any, high: Any) -> tuple[Any, Any, Any, Any]:
    """Return at most `_MOST` points: the last x of each part, the median, and all of the range."""
    if len(x) <= _MOST:
        return x, median, low, high
    starts = np.linspace(0, len(x), _MOST, endpoint=False).astype(int)
    parts = [part[np.isfinite(part)] for part in np.split(median, starts[1:])]
    middle = np.array([np.median(part) if len(part) else np.nan for part in parts])
    ends = np.append(starts[1:], len(x)) - 1
    return x[ends], middle, np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts)


def _view(key: str, lines: Sequence[Line], data: Data, target: float | None) -> tuple[float, float, bool]:
    """Return the lowest and the highest value to show, and if the axis is logarithmic."""
    if key == "profile":
        return -0.03, 1.03, False
    values = np.concatenate([part for line in lines for part in (line.median, line.low, line.high)])
    values = np.append(values[np.isfinite(values)], [] if target is None else target)
    low, high = float(values.min()), float(values.max())
    if key in _SIZES:
        tops = [top for line in lines if (top := float(np.nanmax(line.median))) > 0]
        if tops and high > 20 * (least := float(values[values > 0].min())):
            return max(least, 1e-2 * min(tops)) / 1.3, high * 1.3, True  # a rate that decays to 0 leaves at the bottom
    elif key == "validation" and data["mode"] == "max":
        low = max(low, -_worst(lines, -1, -high))
    else:
        high = min(high, _worst(lines, 1, low))
        positive = values[values > 0]
        if low >= 0 and len(positive) and high > 8 * (least := float(positive.min())):
            return least / 1.15, high * 1.15, True
    margin = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin, False


def _worst(lines: Sequence[Line], sign: int, best: float) -> float:
    """Return the highest of `sign` times the values to show: lines that diverge leave the picture there."""
    parts = [sign * line.median[np.isfinite(line.median)] for line in lines if not line.diverged]
    if parts:
        base = max(*(float(part[0]) for part in parts), float(np.median([part.max() for part in parts])))
    else:
        base = min(sign * float(line.median[np.isfinite(line.median)][0]) for line in lines)
    return base + 2 * ((base - best) or abs(base))


def _draw_line(axes: Any, line: Line, key: str, inks: Inks, reach: tuple[float, float]) -> None:
    """Draw a line and its band, with nothing farther out than `reach`: huge numbers overflow in Matplotlib."""
    color, dashes = look(line.place)
    ink = inks.lines[color]
    median, low, high = (np.clip(part, *reach) for part in (line.median, line.low, line.high))
    how = {"drawstyle": "steps-post"} if key == "profile" else {}
    width = 2.4 if line.marked else 1.7
    zorder = 3 - line.place / 100  # the first in rank is on top
    axes.plot(line.x, median, color=ink, linewidth=width, linestyle=(0, dashes) if dashes else "-", label=line.rule,
              gid=f"line-{line.place}", zorder=zorder, solid_capstyle="butt", **how)  # fmt: skip
    if np.any(high > low):
        axes.fill_between(line.x, low, high, color=ink, alpha=0.16, linewidth=0, zorder=zorder - 1)
    end = np.flatnonzero(np.isfinite(line.x + median))[-1]
    if line.diverged and key != "profile":
        axes.plot(line.x[end], median[end], "x", color=ink, markersize=6, markeredgewidth=1.8, zorder=zorder)


def _shorten(text: str, most: int = 26) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _scale(axes: Any, key: str, lines: Sequence[Line], view: tuple[float, float], *, is_log: bool) -> None:
    xs = np.concatenate([line.x[np.isfinite(line.x)] for line in lines])
    last = float(xs.max())
    axes.set_xlim(1 if key == "profile" else 0, last or 1)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=key not in {"seconds", "profile"}))
    if is_log:
        axes.set_yscale("log")
        low, high = view
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 150 * low else (1,), numticks=7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(*view)
    if key == "profile":
        axes.xaxis.set_major_locator(FixedLocator(_factors(last)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}\N{MULTIPLICATION SIGN}"))
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
        axes.yaxis.set_major_formatter(PercentFormatter(1))


def _factors(last: float) -> list[float]:
    """Return at most six factors from 1 on."""
    unit = 10.0 ** np.floor(np.log10(last - 1))
    step = next(unit * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if last - 1 < 6 * unit * part)
    return [round(1 + i * step, 6) for i in range(6) if 1 + i * step <= last]


def _picture_of_metric(data: Data) -> str:
    return "loss" if data["metric"] == "loss" else "validation"


def _band(data: Data) -> str:
    seeds = len(data["seeds"])
    return f"median of {seeds} seeds and their range" if seeds > 1 else "one seed"


def _metric(data: Data) -> str:
    return "validation loss" if data["metric"] == "loss" else str(data["metric"])


KINDS: Mapping[str, Kind] = {
    "loss": Kind("Loss by steps", lambda data: f"Training loss: {_band(data)}.", "steps", lambda _: "loss",
                 lambda curve: (curve.get("steps"), curve.get("loss") or {})),
    "seconds": Kind("Loss by seconds", lambda _: "The same losses against the time that they took.", "seconds",
                    lambda _: "loss", lambda curve: (curve.get("seconds"), curve.get("loss") or {})),
    "validation": Kind("Validation", lambda data: f"{_metric(data)}: {_band(data)}.", "steps", _metric,
                       lambda curve: ((part := curve.get("validation") or {}).get("steps"), part)),
    "lr": Kind("Learning rate", lambda _: "The rate at each step.", "steps", lambda _: "learning rate",
               lambda curve: ((part := curve.get("lr") or {}).get("steps"), {"median": part.get("value")})),
    "ratio": Kind("Update ratio", lambda _: "The size of an update relative to the size of the weights.", "steps",
                  lambda _: "update / weights", lambda curve: ((part := curve.get("ratio") or {}).get("steps"), part)),
    "profile": Kind("Time to target", lambda _: "Tasks solved within so many times the steps of the best rule there.",
                    "times the steps of the best rule", lambda _: "share of tasks",
                    lambda part: (part.get("factor"), {"median": part.get("share")}), "profile"),
}  # fmt: skip
"""Every kind of picture by the key that its ids begin with, in the order of the page."""

_PLACEHOLDERS = tuple(f"#0102{i:02x}" for i in range(len(LIGHT)))
_IN_PAGE = {color: f"var(--c{i})" for i, color in enumerate(_PLACEHOLDERS)}
_IN_PAGE |= {"#0102f0": "currentColor", "#0102f1": "var(--line)"}
