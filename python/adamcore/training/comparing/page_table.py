"""The table of the report, and how it writes numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from adamcore.training.comparing.page_style import look

MISSING = "-"
Row = Mapping[str, Any]


class _Column(NamedTuple):
    heading: str
    cell: Callable[[Row], str]


def table(data: Mapping[str, Any]) -> str:
    """Return the table: a row for each rule, which a narrow screen shows as a card."""
    columns = _columns(data)
    heads = "".join(_head(heading) for heading in ("Rule", *(column.heading for column in columns)))
    rows = "\n".join(_row(row, place, columns) for place, row in enumerate(data["rows"]))
    seeds = len(data["seeds"])
    ranges = f" Small print: the lowest and the highest of {seeds} seeds." if seeds > 1 else ""
    # The roles remain where the style sheet makes cards of the rows, which would end the table for screen readers.
    return f"""<table role="table">
<caption>In order of rank.{ranges}</caption>
<thead role="rowgroup"><tr role="row">{heads}</tr></thead>
<tbody role="rowgroup">
{rows}
</tbody>
</table>"""


def swatch(place: int) -> str:
    """Return a short piece of the line of the rule at `place`."""
    color, dashes = look(place)
    pattern = f' stroke-dasharray="{" ".join(f"{2 * length:g}" for length in dashes)}"' if dashes else ""
    line = f'<line x1="0" y1="5" x2="28" y2="5" stroke="var(--c{color})" stroke-width="2.5"{pattern}/>'
    return f'<svg class="swatch" viewBox="0 0 28 10" aria-hidden="true">{line}</svg>'


def known(value: Any) -> float | None:
    """Return the number, or None for one that is missing or not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def number(value: Any) -> str:
    """Return a number with the digits that matter."""
    return MISSING if known(value) is None else f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")


def of_runs(count: int, seeds: int) -> str:
    """Return "2 of 3 runs"."""
    return f"{count} of {seeds} run{'s' * (seeds != 1)}"


def _columns(data: Mapping[str, Any]) -> list[_Column]:
    metric, rows, seeds = data["metric"], data["rows"], len(data["seeds"])
    columns = [_Column("Best rate", _rate), _values(f"Final {metric}", "final", rows, seeds)]
    columns.append(_values(f"Best {metric}", "best", rows, seeds))
    if data.get("target") is not None:
        columns += [_Column("Steps to target", lambda row: _steps(row, seeds)), _seconds(rows)]
    columns.append(_Column("Diverged", lambda row: _diverged(row, seeds)))
    columns.append(_Column("Time in the optimizer", lambda row: _share(row.get("optimizer_share"))))
    columns.append(_Column("Memory of state", lambda row: _bytes(row.get("state_bytes"))))
    return columns


def _head(heading: str) -> str:
    return f'<th scope="col" role="columnheader">{escape(heading)}</th>'


def _row(row: Row, place: int, columns: Sequence[_Column]) -> str:
    badge = ' <span class="best">best</span>' if row.get("marked") else ""
    rule = f'<th scope="row" role="rowheader">{swatch(place)}{escape(row["rule"])}{badge}</th>'
    cells = "".join(
        f'<td role="cell" data-label="{escape(column.heading)}"><div>{column.cell(row)}</div></td>'
        for column in columns
    )
    return f'<tr role="row">{rule}{cells}</tr>'


def _rate(row: Row) -> str:
    tried = len(row.get("lrs") or ())
    return number(row.get("lr")) + (f"<small>{tried} tried</small>" if tried else "")


def _values(heading: str, kind: str, rows: Sequence[Row], seeds: int) -> _Column:
    """Return the column of medians with their ranges."""
    write = _writer([row.get(f"{kind}_median") for row in rows])

    def cell(row: Row) -> str:
        median, low, high = (known(row.get(f"{kind}_{part}")) for part in ("median", "min", "max"))
        if median is None:
            return '<span class="bad">diverged</span>' if kind == "final" and row.get("diverged") else MISSING
        if low is None or high is None or seeds == 1:
            return write(median)
        return f"{write(median)}<small>{write(low)} \N{EN DASH} {write(high)}</small>"

    return _Column(heading, cell)


def _steps(row: Row, seeds: int) -> str:
    steps = known(row.get("steps_to_target"))
    if steps is None:
        return MISSING
    reached = row.get("reached")
    return f"{steps:,.0f}" + (f"<small>{of_runs(reached, seeds)}</small>" if reached is not None and seeds > 1 else "")


def _seconds(rows: Sequence[Row]) -> _Column:
    write = _writer([row.get("seconds_to_target") for row in rows], digits=3)
    return _Column("Seconds to target", lambda row: write(row.get("seconds_to_target")))


def _diverged(row: Row, seeds: int) -> str:
    count = row.get("diverged") or 0
    return f'<span class="bad">{of_runs(count, seeds)}</span>' if count else "0"


def _share(share: Any) -> str:
    if known(share) is None:
        return MISSING
    return "under 1%" if 0 < share < 0.01 else f"{share:.0%}"


def _bytes(count: Any) -> str:
    """Return a size in units of 1000."""
    if known(count) is None:
        return MISSING
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _writer(column: Sequence[Any], digits: int = 4) -> Callable[[Any], str]:
    """Return what writes the numbers of a column with the same number of decimals, so that their points align."""
    sizes = [abs(value) for value in map(known, column) if value]
    if not sizes or min(sizes) < 1e-4 or max(sizes) >= 1e6:
        return number
    decimals = digits - 1 - math.floor(math.log10(min(sizes)))
    decimals = max(0, min(decimals, digits + 2 - math.floor(math.log10(max(sizes)))))
    return lambda value: MISSING if known(value) is None else f"{value:,.{decimals}f}"
