"""Draw the figure of docs/precision.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Okabe and Ito's colours, which colour-blind readers can tell apart. Markers and dashes are for greyscale prints.
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#E69F00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#CC79A7", "linestyle": ":", "marker": "v"},
    {"color": "#D55E00", "linestyle": "-", "marker": "x"},
)


class Curve(Protocol):
    """The part of a run that the figure needs."""

    name: str
    steps: list[int]
    losses: list[float]


def save_curves(path: Path, runs: Sequence[Curve]) -> None:
    """Draw the training losses: bfloat16 on the left, float16 on the right, float32 in both panels."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name in zip(panels, ("bfloat16", "float16"), strict=True):
        axes.plot(runs[0].steps, runs[0].losses, color="#bbbbbb", linewidth=6, label=runs[0].name)
        chosen = [run for run in runs if run.name.startswith(name)]
        for i, run in enumerate(chosen):
            _draw(axes, run, i, len(chosen), label=run.name.removeprefix(f"{name}, "))
        _label(axes, name)
    panels[0].set_ylabel("mean cross-entropy (log scale)")
    figure.suptitle("Training loss on handwritten digits, AdamW", fontweight="bold")
    figure.savefig(path, dpi=120)


def _draw(axes: Axes, run: Curve, place: int, count: int, label: str) -> None:
    # Each curve has its markers at different steps, so that overlapping curves can be told apart.
    every = 2 * count
    axes.plot(
        run.steps, run.losses, **_STYLES[place], linewidth=1.5, markersize=6, markevery=(2 * place, every), label=label
    )


def _label(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel("step")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
