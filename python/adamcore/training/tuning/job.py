"""What is tuned: all that a process needs to know to run a trial."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from adamcore.training.metrics import Metric
from adamcore.training.problem import name_of
from adamcore.training.tuning.rules import Rule
from adamcore.training.tuning.space import Space

FACTOR = 3
_SHARE = 27
"""The first rung is at this part of a run: after 9 steps of 240, bad rates show already."""
_LAST = 4
"""The last rung of "asha" is not behind this part of a run. Later values say little about the order of good
trials at the end, and a choice then costs more steps than it saves: docs/tuning.md has the figures."""


class Job(NamedTuple):
    """A search: the problem, the rule, and all that was asked for."""

    problem: Any
    rule: Rule
    space: Space
    trials: int
    steps: int
    seed: int
    seeds: int
    metric: Metric
    pruner: Any
    """A name, None or a pruner of Optuna's."""
    validate_every: int | None

    @property
    def first(self) -> int:
        """The step of the first rung."""
        return max(round(self.steps / _SHARE), 1)

    @property
    def stops(self) -> list[int]:
        """The steps at which a trial may be pruned: the rungs of the pruner, as far as they are known."""
        if self.pruner is None:
            return []
        if self.validate_every is not None:
            return list(range(self.validate_every, self.steps, self.validate_every))
        if self.pruner in ("asha", "hyperband"):
            last = max(self.steps // _LAST, self.first) if self.pruner == "asha" else self.steps
            found = [self.first]
            while found[-1] * FACTOR <= last:
                found.append(found[-1] * FACTOR)
            return [step for step in found if step < self.steps]
        return list(range(self.first, self.steps, self.first))

    def facts(self) -> dict[str, Any]:
        """Return what all processes that share a study must have alike."""
        kind = self.pruner if self.pruner is None or isinstance(self.pruner, str) else type(self.pruner).__name__
        return {
            "problem": name_of(self.problem),
            "rule": self.rule.name,
            "space": self.space.described(),
            "steps": self.steps,
            "seed": self.seed,
            "seeds": self.seeds,
            "metric": self.metric.name,
            "mode": "min" if self.metric.is_low_good else "max",
            "pruner": kind,
            "validate_every": self.validate_every,
        }

    def factory(self, arguments: dict[str, Any]) -> Any:
        """Return what makes an optimizer of parameters."""
        return partial(self.rule.make, **arguments)
