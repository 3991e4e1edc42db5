"""The picture of a sweep over learning rates."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from adamcore._history.picture import COLORS, LARGEST


def plot(
    rates: Any, losses: Any, smoothed: Any, marks: Mapping[str, float], path: str | os.PathLike[str] | None
) -> Figure:
    """Draw losses over rates with a line at each of `marks`, and save the picture if there is a path."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    seen = np.abs(losses) < LARGEST
    axes.plot(rates[seen], losses[seen], color="#bbbbbb", linewidth=0.9, label="loss")
    axes.plot(rates[seen], smoothed[seen], color=COLORS[0], linewidth=1.8, label="smoothed")
    for place, (name, rate) in enumerate(marks.items(), start=1):
        axes.axvline(rate, color=COLORS[place], linewidth=1.2, linestyle=":", label=f"{name}: {rate:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    _frame(axes, smoothed[seen])
    axes.legend(frameon=False)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _frame(axes: Any, smoothed: Any) -> None:
    """Leave out what is above twice the rise from the least smoothed loss to the first: the end of a sweep explodes."""
    if not smoothed.size:
        return
    least, first = float(smoothed.min()), float(smoothed[0])
    if first > least:
        axes.set_ylim(least - 0.1 * (first - least), first + (first - least))
