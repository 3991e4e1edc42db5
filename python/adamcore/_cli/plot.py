"""The plot of the loss curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from adamcore._cli.output import save_figure
from adamcore._cli.training import Contest

# Okabe and Ito's colours, which colour-blind readers can tell apart. The dashes do the same for prints in grey.
_STYLES = (
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#CC79A7", (0, (5, 1, 1, 1, 1, 1))),
    ("#000000", ":"),
)


def save_curves(path: Path, contests: Sequence[Contest], subtitle: str) -> None:
    """Plot the training losses over the epochs, adamcore's as lines and the textbook's as dots.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for i, contest in enumerate(contests):
        _draw(axes, contest, i, len(contests))
    _label(axes, subtitle)
    save_figure(figure, path)


def _draw(axes: Axes, contest: Contest, place: int, count: int) -> None:
    color, dashes = _STYLES[place % len(_STYLES)]
    epochs = range(1, len(contest.core.losses) + 1)
    axes.plot(epochs, contest.core.losses, color=color, linestyle=dashes, linewidth=1.8, label=contest.name)
    # Each curve has its dots at different epochs, so that the dots remain visible where curves meet.
    dots = slice(place % len(epochs), None, count)
    axes.plot(epochs[dots], contest.textbook.losses[dots], "o", color=color, markersize=6, markerfacecolor="white")


def _label(axes: Axes, subtitle: str) -> None:
    axes.set_title("Training loss on handwritten digits", loc="left", fontsize=13, fontweight="bold", pad=24)
    axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=9.5, color="#555555")
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean cross-entropy (log scale)")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.plot([], [], "o", color="#555555", markersize=6, markerfacecolor="white", label="textbook NumPy")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
