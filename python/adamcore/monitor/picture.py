"""The picture of a monitor: losses, gradients and updates over the steps, with what was found."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from adamcore._history.picture import LARGEST, draw, mark
from adamcore.monitor.finding import Finding


def plot(
    history: Mapping[str, Any],
    statistics: Mapping[str, Any],
    findings: Sequence[Finding],
    path: str | os.PathLike[str] | None,
) -> Figure:
    """Draw what there is, and save the picture if there is a path."""
    panels = [("loss", history, {"loss": "loss"}), ("gradient norm", history, {"gradient norm": "grad_norm"})]
    panels.append(("statistics", statistics, {"update / weight": "ratio", "smallest / largest gradient": "share"}))
    shown = [panel for panel in panels if any(_has_numbers(panel[1][name]) for name in panel[2].values())] or panels[:1]
    figure = Figure(figsize=(8, 1 + 2.3 * len(shown)), layout="constrained")
    rows = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    for axes, (label, columns, names) in zip(rows, shown, strict=True):
        draw(axes, columns["step"], {shown_as: columns[name] for shown_as, name in names.items()})
        axes.set_ylabel(label)
    mark(rows[0], findings)
    rows[-1].set_xlabel("step")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _has_numbers(values: Any) -> bool:
    return bool((np.abs(values) < LARGEST).any())
