"""The picture of a history: losses, rate and gradient norm over the steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

_FOUND = {"note": "#56B4E9", "warning": "#E69F00", "stop": "#D55E00"}
LARGEST = 1e100
"""Larger numbers are left out, because matplotlib's margins around them would be infinite."""

_LABELED = 12
"""Beyond so many findings, only the first of each kind is labelled."""

_LABELS = {"loss": "loss", "lr": "learning rate", "grad_norm": "gradient norm"}


def plot(history: Mapping[str, Any], path: str | os.PathLike[str] | None, findings: Sequence[Any] = ()) -> Figure:
    """Draw the columns that have numbers, and save the picture if there is a path."""
    shown = [name for name in _LABELS if name in history and (np.abs(history[name]) < LARGEST).any()]
    figure = Figure(figsize=(8, 2.6 * max(len(shown), 1)), layout="constrained")
    rows = figure.subplots(max(len(shown), 1), sharex=True, squeeze=False)[:, 0]
    for name, axes in zip(shown, rows, strict=False):
        series = {_LABELS[name]: history[name]}
        if name == "loss":
            series |= {other: history[other] for other in history if other.startswith("val_") and "loss" in other}
        draw(axes, history["step"], series)
        axes.set_ylabel(_LABELS[name])
    mark(rows[0], findings)
    rows[-1].set_xlabel("step")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def draw(axes: Any, steps: Any, series: Mapping[str, Any]) -> None:
    """Draw series over the steps, on a logarithmic axis if they are positive and span more than a factor of 20."""
    known = []
    for place, (name, values) in enumerate(series.items()):
        there = np.abs(values) < LARGEST
        dots = ".-" if there.sum() < len(values) / 2 else "-"
        axes.plot(
            steps[there],
            values[there],
            dots,
            color=COLORS[place % len(COLORS)],
            linewidth=1.1,
            markersize=4,
            label=name,
        )
        known.append(values[there])
    everything = np.concatenate(known) if known else np.zeros(0)
    if everything.size and everything.min() > 0 and everything.max() > 20 * everything.min():
        axes.set_yscale("log")
    if len(series) > 1:
        axes.legend(frameon=False)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def mark(axes: Any, findings: Sequence[Any]) -> None:
    """Draw a line with a name at the step of each finding."""
    kinds: set[str] = set()
    for place, finding in enumerate(findings):
        axes.axvline(finding.step, color=_FOUND[finding.severity], linewidth=1.2, linestyle=":")
        if finding.kind in kinds and len(findings) > _LABELED:
            continue
        kinds.add(finding.kind)
        name = finding.kind if finding.tensor is None else f"{finding.kind} [{finding.tensor}]"
        height = 0.97 - 0.09 * (place % 5)
        axes.text(finding.step, height, f" {name}", transform=axes.get_xaxis_transform(), fontsize=8, va="top")
