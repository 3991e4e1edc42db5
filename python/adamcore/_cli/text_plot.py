"""Plots of characters, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

HEIGHT = 13
_TICK_ROWS = (0, 3, 6, 9, 12)
_TICKS = 5
_PLAIN = str.maketrans("─│╭╮╰╯┤└┬", "-|....+++")


def draw(heights: Sequence[float], last: float) -> list[str]:
    """Return the lines of a plot.

    Parameters
    ----------
    heights : sequence of float
        The value in each column, from t = 0 on; at least two.
    last : float
        The `t` of the last column.
    """
    low, high = min(heights), max(heights)
    if low == high:  # a level line in the middle
        margin = abs(low) / 2 or 1.0
        low, high = low - margin, high + margin
    spread = high / 2 - low / 2  # halves, since the difference could overflow
    rows = [round((height / 2 - low / 2) / spread * (HEIGHT - 1)) for height in heights]
    cells = _join(rows)
    ticks = {row: _label(high - (high - low) * row / (HEIGHT - 1), max(abs(high), abs(low))) for row in _TICK_ROWS}
    margin_width = max(map(len, ticks.values()))
    lines = [
        f"{ticks.get(row, ''):>{margin_width}} {'┤' if row in ticks else '│'}{''.join(line).rstrip()}"
        for row, line in enumerate(reversed(cells))
    ]
    return [*lines, *(" " * (margin_width + 1) + line for line in _axis(len(heights), last))]


def plain(text: str) -> str:
    """Return `text` with the lines drawn in ASCII."""
    return text.translate(_PLAIN)


def _label(tick: float, largest: float) -> str:
    """Return `tick` with the digits that matter beside `largest`."""
    unit = 10.0 ** max(math.floor(math.log10(largest)) - 3, -300)
    return f"{round(tick / unit) * unit:.4g}"


def _join(rows: Sequence[int]) -> list[list[str]]:
    """Return the cells of the plot, the lowest row first, with a line through `rows`."""
    cells = [[" "] * len(rows) for _ in range(HEIGHT)]
    cells[rows[0]][0] = "─"
    for column, (before, row) in enumerate(pairwise(rows), start=1):
        if before == row:
            cells[row][column] = "─"
            continue
        cells[before][column] = "╯" if row > before else "╮"
        cells[row][column] = "╭" if row > before else "╰"
        for between in range(min(before, row) + 1, max(before, row)):
            cells[between][column] = "│"
    return cells


def _axis(width: int, last: float) -> list[str]:
    places = [round(i * (width - 1) / (_TICKS - 1)) for i in range(_TICKS)]
    line = ["─"] * width
    labels = [" "] * (width + 2)
    for place in places:
        line[place] = "┬"
        label = f"{place / (width - 1) * last:.6g}"
        begin = min(max(place + 1 - len(label) // 2, 0), len(labels) - len(label))
        labels[begin : begin + len(label)] = label
    return ["└" + "".join(line), "".join(labels).rstrip()]
