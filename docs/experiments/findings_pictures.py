"""The pictures of docs/monitoring.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from findings_runs import Watched
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's colours, which colour-blind readers can tell apart. The dashes are for greyscale prints.
BAD: dict[str, Any] = {"color": "#D55E00", "linestyle": "-"}
GOOD: dict[str, Any] = {"color": "#0072B2", "linestyle": "--"}
OTHER: dict[str, Any] = {"color": "#009E73", "linestyle": ":"}
_REPORTED: dict[str, Any] = {"color": "#000000", "linestyle": (0, (1, 1.5)), "linewidth": 1.2}
_SMOOTH = 15
_COLOURS = 64  # in a file, which is a third as large with so few


@dataclass(frozen=True)
class Curve:
    """One line. Of noisy values, the median of 15 neighbours is drawn, and the values themselves are faint."""

    x: Any
    y: Any
    label: str
    style: dict[str, Any]
    noisy: bool = False
    marker: str = ""


@dataclass(frozen=True)
class Panel:
    """One diagram. `limit` is a level that the monitor compares with, and its name."""

    title: str
    curves: tuple[Curve, ...]
    x_label: str = "step"
    log: bool = False
    limit: tuple[float, str] | None = None
    range: tuple[float, float] | None = None
    marked: bool = True
    """Whether the steps of findings are marked."""


def losses(label: str, run: Watched, style: dict[str, Any]) -> Curve:
    """Return the training losses of a run as a noisy curve."""
    return steps_of(label, run.losses, style, noisy=True)


def steps_of(label: str, values: Any, style: dict[str, Any], *, noisy: bool = False) -> Curve:
    """Return a curve of one value for each step."""
    return Curve(np.arange(1, len(values) + 1), np.asarray(values, np.float64), label, style, noisy)


def save(path: Path, panels: Sequence[Panel], found: int) -> None:
    """Draw the panels side by side, with a line at the step `found`."""
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel)
        if panel.marked:
            axes.axvline(found, **_REPORTED, label=f"reported: step {found}")
        axes.legend(frameon=False, fontsize=8)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=110)
    Image.open(drawn).convert("RGB").quantize(_COLOURS).save(path, optimize=True)


def _draw(axes: Axes, panel: Panel) -> None:
    for curve in panel.curves:
        if curve.noisy:
            axes.plot(curve.x, curve.y, color=curve.style["color"], linewidth=0.5, alpha=0.3)
        y = _smoothed(curve.y) if curve.noisy else curve.y
        axes.plot(curve.x, y, **curve.style, linewidth=1.6, label=curve.label, marker=curve.marker, markersize=4)
    if panel.limit is not None:
        level, name = panel.limit
        axes.axhline(level, color="#777777", linewidth=1, label=name)
    if panel.log:
        axes.set_yscale("log")
    if panel.range is not None:
        axes.set_ylim(*panel.range)
    axes.set_title(panel.title, loc="left", fontsize=10)
    axes.set_xlabel(panel.x_label)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _smoothed(values: Any) -> Any:
    """Return the median of each value and its neighbours. Fewer of them are taken at both ends."""
    half = _SMOOTH // 2
    return np.array([np.median(values[max(i - half, 0) : i + half + 1]) for i in range(len(values))])
