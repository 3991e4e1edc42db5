"""Plateaus of training losses: the monitor's detector and other rules, on curves whose true plateau is known.

A curve has 3000 losses. It falls until the true plateau at 1500 and is level from there on. In the last 256 losses
before the plateau, the two power laws fall by 5.4% and 9.8% of their last value, the two exponentials by 19% and 33%.

Noise multiplies each loss by 1 + noise * N(0, 1). It is independent, or an AR(1) process in which neighbours have a
correlation of 0.9. An upward spike doubles a loss, a lucky low takes 30% away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import adamcore as ac

Values = NDArray[np.float64]

LENGTH, PLATEAU, WITHIN = 3000, 1500, 1000
SPIKE, LOW, CORRELATION = 1.0, -0.3, 0.9
WINDOW, BLOCKS = 256, 16
TIME = np.minimum(np.arange(LENGTH), PLATEAU).astype(np.float64)

POWER = (0.2 + 3 * (1 + TIME / 10) ** -0.5, (1 + TIME) ** -0.5)
EXPONENTIAL = (0.3 + 2 * np.exp(-TIME / 600), 0.05 + np.exp(-TIME / 500))


class Noise(NamedTuple):
    """What disturbs a curve."""

    name: str
    noise: float
    spikes: float = 0.0
    lows: float = 0.0
    correlated: bool = False


NOISES = (
    Noise("5%", 0.05),
    Noise("15%", 0.15),
    Noise("5%, spikes", 0.05, spikes=0.02),
    Noise("5%, lucky lows", 0.05, lows=0.01),
    Noise("5%, AR(1) .9", 0.05, correlated=True),
    Noise("15%, spikes, lows", 0.15, spikes=0.02, lows=0.01),
)


@dataclass
class Score:
    """What one rule did on curves of one kind."""

    count: int = 0
    false: int = 0
    missed: int = 0
    delays: list[int] = field(default_factory=list)

    def add(self, fired: int | None) -> None:
        """Count one curve, on which the rule fired first at `fired`."""
        self.count += 1
        if fired is not None and fired < PLATEAU:
            self.false += 1
        elif fired is None or fired >= PLATEAU + WITHIN:
            self.missed += 1
        else:
            self.delays.append(fired - PLATEAU)


def disturb(curve: Values, noise: Noise, rng: np.random.Generator) -> Values:
    """Return one noisy copy of `curve`."""
    errors = rng.standard_normal(LENGTH)
    if noise.correlated:
        errors[1:] *= math.sqrt(1 - CORRELATION**2)
        for i in range(1, LENGTH):
            errors[i] += CORRELATION * errors[i - 1]
    factors = 1 + noise.noise * errors
    factors *= 1 + SPIKE * (rng.random(LENGTH) < noise.spikes)
    factors *= 1 + LOW * (rng.random(LENGTH) < noise.lows)
    return curve * factors


def patience(losses: Sequence[float], *, steps: int, decay: float = 0.0) -> int | None:
    """Return where torch's rule fires first, on the losses or on their moving average."""
    rule = ac.schedules.ReduceOnPlateau(1.0, patience=steps)
    mean = losses[0]
    for step, loss in enumerate(losses):
        mean = decay * mean + (1 - decay) * loss
        if rule.observe(mean, step=step):
            return step
    return None


def mann_kendall(losses: Sequence[float]) -> int | None:
    """Return where the last 256 losses do not fall significantly: a one-sided test at 5%, on medians of 16 blocks."""
    block = WINDOW // BLOCKS
    heights: list[float] = []
    deviation = math.sqrt(BLOCKS * (BLOCKS - 1) * (2 * BLOCKS + 5) / 18)
    for end in range(block, len(losses) + 1, block):
        heights = [*heights[-BLOCKS + 1 :], median(losses[end - block : end])]
        if len(heights) == BLOCKS:
            rises = sum((later > earlier) - (later < earlier) for earlier, later in combinations(heights, 2))
            if (rises + 1) / deviation > -1.645:
                return end - 1
    return None


def monitor(losses: Sequence[float], *, window: int = WINDOW, tol: float = 0.01) -> int | None:
    """Return where a `Monitor` finds a plateau first."""
    mon = ac.Monitor(ac.SGD(np.zeros(1), lr=0.1), window, stats_every=None, tol=tol)
    info = ac.StepInfo()
    for step, loss in enumerate(losses):
        if any(finding.kind == "plateau" for finding in mon.observe(loss, info)):
            return step
    return None


RULES: dict[str, Callable[[Sequence[float]], int | None]] = {
    "patience 10": partial(patience, steps=10),
    "patience 256": partial(patience, steps=256),
    "256, EMA .98": partial(patience, steps=256, decay=0.98),
    "Mann-Kendall": mann_kendall,
    "Monitor": monitor,
    "Monitor 512, 2%": partial(monitor, window=512, tol=0.02),
}


def measure(noise: Noise, curves: int, rules: Sequence[str] = tuple(RULES)) -> dict[str, tuple[Score, Score]]:
    """Return each rule's scores on power laws and on exponentials, `curves` of each shape. All see the same losses."""
    scores = {rule: (Score(), Score()) for rule in rules}
    for family, shapes in enumerate((POWER, EXPONENTIAL)):
        for number, shape in enumerate(shapes):
            rng = np.random.default_rng([family, number])
            for _ in range(curves):
                losses = disturb(shape, noise, rng).tolist()
                for rule in rules:
                    scores[rule][family].add(RULES[rule](losses))
    return scores


def describe(scores: tuple[Score, Score]) -> str:
    """Return one cell of the table."""
    false = "/".join(f"{100 * score.false / score.count:.0f}" for score in scores)
    missed = 100 * sum(score.missed for score in scores) / sum(score.count for score in scores)
    delays = [delay for score in scores for delay in score.delays]
    return f"{false}; {missed:.0f}; {f'{median(delays):.0f}' if delays else '-'}"


def show(curves: int = 50) -> None:
    """Print the table."""
    print("plateau: % of false alarms (power law/exponential); % missed within 1000 losses; median delay")
    print(f"{'noise':18}", *(f"{rule:15}" for rule in RULES), sep=" ")
    for noise in NOISES:
        cells = (describe(scores) for scores in measure(noise, curves).values())
        print(f"{noise.name:18}", *(f"{cell:15}" for cell in cells), sep=" ", flush=True)
