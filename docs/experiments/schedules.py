"""Draw the pictures of docs/schedules.md: every family of schedules, and two rules on a noisy plateau.

python docs/experiments/schedules.py
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adamcore import schedules as s

# Okabe and Ito's colours, which colour-blind readers can tell apart. The dashes are for greyscale prints.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-"},
    {"color": "#D55E00", "linestyle": "--"},
    {"color": "#009E73", "linestyle": "-."},
    {"color": "#CC79A7", "linestyle": ":"},
)
Panel = dict[str, s.Schedule]

PICTURES: dict[str, dict[str, Panel]] = {
    "decays": {
        "Constant, StepDecay, MultiStep": {
            "Constant(1)": s.Constant(1),
            "StepDecay(1, every=25, gamma=0.5)": s.StepDecay(1, every=25, gamma=0.5),
            "MultiStep(1, [40, 80], gamma=0.3)": s.MultiStep(1, [40, 80], gamma=0.3),
        },
        "Exponential": {
            "Exponential(1, 0.97)": s.Exponential(1, 0.97),
            "Exponential(1, 0.5, every=20, staircase=True)": s.Exponential(1, 0.5, every=20, staircase=True),
            "Exponential(1, 0.95, end=0.2)": s.Exponential(1, 0.95, end=0.2),
        },
        "InverseSqrt, InverseTime, Piecewise": {
            "InverseSqrt(1, timescale=10)": s.InverseSqrt(1, timescale=10),
            "InverseTime(1, 0.1)": s.InverseTime(1, 0.1),
            "Piecewise([1, 0.4, 0.7], [30, 60])": s.Piecewise([1, 0.4, 0.7], [30, 60]),
        },
    },
    "ramps": {
        "Linear, Polynomial": {
            "Linear(1, steps=80)": s.Linear(1, steps=80),
            "Polynomial(1, 0.1, steps=80, power=2)": s.Polynomial(1, 0.1, steps=80, power=2),
            "Linear(0.2, 1, steps=40, begin=20)": s.Linear(0.2, 1, steps=40, begin=20),
        },
        "Cosine": {
            "Cosine(1, 0.1, steps=50)": s.Cosine(1, 0.1, steps=50),
            'Cosine(1, 0.1, steps=50, after="mirror")': s.Cosine(1, 0.1, steps=50, after="mirror"),
        },
        "Interpolate": {
            "Interpolate(points)": s.Interpolate([(0, 0.1), (30, 1), (60, 0.4), (100, 0)]),
            'Interpolate(points, "cosine")': s.Interpolate([(0, 0.1), (30, 1), (60, 0.4), (100, 0)], "cosine"),
        },
    },
    "cycles": {
        "CosineRestarts": {
            "CosineRestarts(1, period=30)": s.CosineRestarts(1, period=30),
            "CosineRestarts(1, period=15, mult=2, decay=0.8)": s.CosineRestarts(1, period=15, mult=2, decay=0.8),
        },
        "Cyclic": {
            "Cyclic(0.1, 1, up=20)": s.Cyclic(0.1, 1, up=20),
            'Cyclic(0.1, 1, up=10, down=30, mode="triangular2")': s.Cyclic(0.1, 1, up=10, down=30, mode="triangular2"),
        },
        "OneCycle": {
            "OneCycle(1, steps=100)": s.OneCycle(1, steps=100),
            'OneCycle(1, steps=100, anneal="linear", three_phase=True)': s.OneCycle(
                1, steps=100, anneal="linear", three_phase=True
            ),
        },
    },
    "phases": {
        "Warmup": {
            "Warmup(Constant(1), steps=20)": s.Warmup(s.Constant(1), steps=20),
            "Warmup(Cosine(1, steps=80), steps=20, start=0)": s.Warmup(s.Cosine(1, steps=80), steps=20, start=0),
            "Warmup(InverseSqrt(1, timescale=40), steps=40)": s.Warmup(s.InverseSqrt(1, timescale=40), steps=40),
        },
        "WSD and its shapes": {
            f"shape={shape!r}": s.WSD(1, steps=100, warmup=10, decay=50, shape=shape)
            for shape in ("sqrt", "linear", "cosine", "square")
        },
        "Cooldown, Join": {
            "Cooldown(InverseSqrt(1, timescale=40), at=60, steps=30)": s.Cooldown(
                s.InverseSqrt(1, timescale=40), at=60, steps=30
            ),
            "Constant(0.5).then(Cosine(1, steps=50), at=40)": s.Constant(0.5).then(s.Cosine(1, steps=50), at=40),
        },
    },
    "compositions": {
        "clip, shift, stretch": {
            "a = Cosine(1, steps=50)": s.Cosine(1, steps=50),
            "a.clip(0.2, 0.8)": s.Cosine(1, steps=50).clip(0.2, 0.8),
            "a.shift(30)": s.Cosine(1, steps=50).shift(30),
            "a.stretch(2)": s.Cosine(1, steps=50).stretch(2),
        },
        "every": {
            "Cosine(1, steps=10)": s.Cosine(1, steps=10),
            "Cosine(1, steps=10).every(10)": s.Cosine(1, steps=10).every(10),
        },
        "*, +": {
            "Cosine(1, steps=100) * Cyclic(0.7, 1, up=5)": s.Cosine(1, steps=100) * s.Cyclic(0.7, 1, up=5),
            "0.2 + 0.5 * Linear(1, steps=60)": 0.2 + 0.5 * s.Linear(1, steps=60),
        },
    },
}


def save_families(path: Path, panels: Mapping[str, Panel]) -> None:
    """Draw the first 100 steps of some schedules."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    t = np.arange(0, 100.25, 0.25)
    for axes, (title, panel) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
        for style, (name, schedule) in zip(STYLES, panel.items(), strict=False):
            axes.plot(t, schedule(t), **style, linewidth=1.8, label=textwrap.fill(name, 36))
        finish(axes, title)
        axes.set_ylim(-0.03, 1.6)  # room for the legend
        axes.set_yticks([0, 0.5, 1])
    figure.savefig(path, dpi=80)


def save_plateau(path: Path) -> None:
    """Draw a noisy metric with a lucky value, and what two rules make of it."""
    rng = np.random.default_rng(3)
    t = np.arange(200)
    metric = (0.3 + (1.0 + np.minimum(t, 80)) ** -0.5) * (1 + 0.03 * rng.standard_normal(len(t)))
    metric[30] *= 0.7
    rules = {
        "ReduceOnPlateau(1, patience=10)": s.ReduceOnPlateau(1, patience=10),
        "ReduceOnPlateau(1, detector=Plateau())": s.ReduceOnPlateau(1, detector=s.Plateau()),
    }
    for step, value in enumerate(metric):
        for rule in rules.values():
            rule.observe(value, step=step)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(t, metric, color="#777777", linewidth=1.2, label="validation loss")
    left.axvline(80, color="#000000", linestyle=":", label="it stops falling")
    for style, (name, rule) in zip(STYLES, rules.items(), strict=False):
        right.plot(t, rule(t), **style, linewidth=1.8, label=name)
    right.set_yscale("log")
    finish(left, "Metric")
    finish(right, "Learning rate", "lower left")
    for axes in (left, right):
        axes.set_xlabel("validation")
    figure.savefig(path, dpi=80)


def finish(axes: Axes, title: str, legend: str = "upper right") -> None:
    """Label one panel."""
    axes.set_title(title, loc="left")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc=legend)


def main() -> int:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description="Draw every family of schedules.")
    images = Path(__file__).resolve().parent.parent / "images"
    parser.add_argument("--output", type=Path, default=images, help="folder for the pictures (default: docs/images)")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    for name, panels in PICTURES.items():
        save_families(output / f"schedules-{name}.png", panels)
    save_plateau(output / "schedules-plateau.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
