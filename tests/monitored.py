"""Steps made by hand, and streams of them, for tests of monitors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

import adamcore as ac
from adamcore._core import step_columns

NAMES = ("a", "b", "bias")
NORMAL = {
    "grad_rms": (1.0, 0.5, 1e-9),
    "ratio": (1e-3, 1e-3, 1e-3),
    "zero": (0.0, 0.0, 0.0),
    "lost": (0.0, 0.0, 0.0),
    "cos": (0.0, 0.0, 0.0),
    "second_rms": (1.0, 0.5, 1e-9),
    "floor": (0.0, 0.0, 0.0),
}
"""Columns of statistics in which nothing is wrong."""


def make_optimizer() -> ac.Optimizer:
    """An optimizer with two matrices and one vector, which no test steps."""
    return ac.SGD({"a": np.ones((4, 5)), "b": np.ones((5, 2)), "bias": np.ones(2)}, lr=0.1)


def make_monitor(**arguments: Any) -> ac.Monitor:
    return ac.Monitor(make_optimizer(), **{"window": 32, **arguments})


def stats_of(names: Iterable[str] = NAMES, **columns: Any) -> ac.StepStats:
    """Statistics with these columns."""
    names = tuple(names)
    table = np.full((len(step_columns), len(names)), np.nan)
    bits = 0
    for name, values in columns.items():
        place = list(step_columns).index(name)
        table[place] = values
        bits |= 1 << place
    return ac.StepStats(names, bits, table, np.ones(len(names), np.int64))


def info_of(mon: ac.Monitor, norm: float | None = None, *, skipped: bool = False, **columns: Any) -> ac.StepInfo:
    """What a step returns, with statistics if the monitor wants some."""
    return ac.StepInfo(skipped, norm, stats=stats_of(**{**NORMAL, **columns}) if mon.wants_stats else None)


def feed(mon: ac.Monitor, losses: Iterable[Any], **info: Any) -> list[tuple[int, str, str]]:
    """Observe losses, and return the steps, severities and kinds of what is found."""
    return brief([finding for loss in losses for finding in mon.observe(loss, info_of(mon, **info))])


def feed_norms(mon: ac.Monitor, norms: Iterable[float | None], loss: float = 1.0) -> list[tuple[int, str, str]]:
    """Observe norms, with a loss that is always the same."""
    return brief([finding for norm in norms for finding in mon.observe(loss, ac.StepInfo(False, norm))])


def brief(findings: Iterable[ac.Finding]) -> list[tuple[int, str, str]]:
    return [(finding.step, finding.severity, finding.kind) for finding in findings]


class Event(NamedTuple):
    """What a loop has after one step."""

    loss: Any
    norm: float | None
    skipped: bool
    spike: bool
    columns: dict[str, np.ndarray]
    grads: dict[str, np.ndarray]
    metric: float | None

    def observe(self, mon: ac.Monitor) -> list[ac.Finding]:
        stats = stats_of(**self.columns) if mon.wants_stats else None
        info = ac.StepInfo(self.skipped, self.norm, spike=self.spike, stats=stats)
        found = mon.observe(self.loss, info, grads=self.grads)
        return found if self.metric is None else found + mon.observe_validation(self.metric)


def events(seed: int, count: int) -> Iterator[Event]:
    """A run in which everything goes wrong, each thing for some time."""
    rng = np.random.default_rng(seed)
    level, cos, tiny, dead, trouble = 1.0, 0.0, 1.0, False, 0.0
    for step in range(count):
        if rng.random() < 0.02:
            level = float(rng.choice([1.0, 0.5, 0.1, 5.0, 40.0, -1.0]))
            cos, tiny = float(rng.choice([0.0, 0.6])), float(rng.choice([1.0, 1e-6]))
            dead, trouble = bool(rng.integers(2)), float(rng.choice([0.0, 0.1, 0.5]))
        odd = rng.random() < trouble
        loss = rng.choice([np.nan, np.inf, 1e308, 100.0]) if odd else level * (1 + 0.05 * rng.standard_normal())
        skipped = odd and bool(rng.integers(2))
        norm = None if rng.random() < 0.2 else float(np.exp(0.1 * rng.standard_normal())) * (30.0 if odd else 1.0)
        columns = {name: np.array(values) for name, values in NORMAL.items()}
        columns["grad_rms"][0] *= np.nan if skipped else tiny
        columns["cos"] += cos
        columns["second_rms"] *= 20.0 if step % 300 >= 200 else 1.0
        columns["second_rms"][0] *= np.nan if skipped else 1.0
        columns["zero"][1] = columns["lost"][0] = np.nan if skipped else dead
        grads = {"a": rng.standard_normal((4, 5)), "b": np.ones((5, 2)), "bias": np.ones(2)}
        grads["a"][dead:2] = 0
        metric = level + 0.01 * step if step % 3 == 0 else None
        yield Event(None if rng.random() < 0.01 else float(loss), norm, skipped, False, columns, grads, metric)
