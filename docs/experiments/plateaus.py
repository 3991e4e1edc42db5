"""Compare rules that lower the rate on a plateau, on validation curves whose true plateau is known.

    python docs/experiments/plateaus.py

A curve has 200 values. It falls until the true plateau at 80 and is level from there on. Noise multiplies each value by
1 + noise * N(0, 1). An upward spike adds 30%, a lucky low takes 10% away.

- false: the share of curves on which a rule fired before the true plateau (power law / exponential)
- missed: the share on which it never fired
- delay: the median number of values from the true plateau until it fired

docs/schedules.md discusses the results.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamcore.schedules import Plateau, ReduceOnPlateau

Values = NDArray[np.float64]

LENGTH, PLATEAU = 200, 80
SPIKE, LOW = 0.3, -0.1
DECAY = 0.7
TIME = np.minimum(np.arange(LENGTH), PLATEAU).astype(np.float64)

FAMILIES = {
    "slow": (0.3 + (1 + TIME) ** -0.5, 1 + np.exp(-TIME / 40)),
    "steep": ((1 + TIME) ** -0.5, 0.05 + np.exp(-TIME / 20)),
}
"""A power law and an exponential each. In the last 20 values before the plateau, the slow ones fall by 4.1% and 7.7% of
their last value, the steep ones by 15% and 46%."""


class Noise(NamedTuple):
    """What disturbs a curve."""

    name: str
    noise: float
    spikes: float = 0.0
    lows: float = 0.0


NOISES = (
    Noise("1%", 0.01),
    Noise("3%", 0.03),
    Noise("1%, upward spikes", 0.01, spikes=0.05),
    Noise("1%, lucky lows", 0.01, lows=0.03),
    Noise("3%, spikes and lows", 0.03, spikes=0.05, lows=0.03),
)

RULES: dict[str, Callable[[], Any]] = {
    "patience 10": lambda: ReduceOnPlateau(1.0, patience=10),
    "on EMA .7": lambda: ReduceOnPlateau(1.0, patience=10),
    "Plateau(20, .02)": lambda: ReduceOnPlateau(1.0, detector=Plateau(window=20, tol=0.02)),
}


@dataclass
class Score:
    """What one rule did on the curves of one kind."""

    count: int = 0
    false: int = 0
    missed: int = 0
    delays: list[int] = field(default_factory=list)

    def add(self, fired: int | None) -> None:
        """Count one curve."""
        self.count += 1
        self.false += fired is not None and fired < PLATEAU
        self.missed += fired is None
        if fired is not None and fired >= PLATEAU:
            self.delays.append(fired - PLATEAU)


def disturb(curve: Values, noise: Noise, rng: np.random.Generator) -> Values:
    """Return one noisy copy of `curve`."""
    factors = 1 + noise.noise * rng.standard_normal(LENGTH)
    factors *= 1 + SPIKE * (rng.random(LENGTH) < noise.spikes)
    factors *= 1 + LOW * (rng.random(LENGTH) < noise.lows)
    return curve * factors


def smooth(values: Values) -> Values:
    """Return the exponential moving average of `values`."""
    means = values.copy()
    for i in range(1, len(means)):
        means[i] = DECAY * means[i - 1] + (1 - DECAY) * values[i]
    return means


def first_fired(rule: str, values: Values) -> int | None:
    """Return where a new rule fired first, or None."""
    seen = smooth(values) if "EMA" in rule else values
    schedule = RULES[rule]()
    return next((step for step, value in enumerate(seen.tolist()) if schedule.observe(value, step=step)), None)


def measure(noise: Noise, family: str, curves: int) -> dict[str, tuple[Score, Score]]:
    """Return each rule's scores on the power law and on the exponential. All rules see the same curves."""
    scores = {rule: (Score(), Score()) for rule in RULES}
    for kind, curve in enumerate(FAMILIES[family]):
        rng = np.random.default_rng(kind)
        for _ in range(curves):
            values = disturb(curve, noise, rng)
            for rule, pair in scores.items():
                pair[kind].add(first_fired(rule, values))
    return scores


def describe(scores: tuple[Score, Score]) -> str:
    """Return one cell of the table."""
    false = " / ".join(f"{100 * score.false / score.count:.0f}" for score in scores)
    missed = 100 * sum(score.missed for score in scores) / sum(score.count for score in scores)
    delays = [delay for score in scores for delay in score.delays]
    delay = f"{median(delays):.0f}" if delays else "-"
    return f"{false:>7}, {delay:>2}" + (f" ({missed:.1f}% missed)" if missed else "")


def main() -> int:
    """Print a table for each family of curves."""
    parser = argparse.ArgumentParser(description="Compare rules that lower the rate on a plateau.")
    parser.add_argument("--curves", type=int, default=1000, help="curves of each kind (default: %(default)s)")
    parser.add_argument("--family", choices=FAMILIES, help="only these curves (default: all)")
    options = parser.parse_args()
    if options.curves < 1:
        parser.error(f"--curves must be at least 1, got {options.curves}")
    for family in [options.family] if options.family else FAMILIES:
        print(f"{family} curves: false alarms in % (power law / exponential), median delay")
        print(f"{'noise':20}", *(f"{rule:24}" for rule in RULES), sep="  ")
        for noise in NOISES:
            cells = [describe(scores) for scores in measure(noise, family, options.curves).values()]
            print(f"{noise.name:20}", *(f"{cell:24}" for cell in cells), sep="  ", flush=True)
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
