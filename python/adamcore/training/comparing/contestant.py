"""One run of a comparison: a rule on one seed, and all that is measured of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adamcore._core import slope_interval
from adamcore.loss_scaler import NonFiniteError
from adamcore.schedules._detector import block_medians, place_of
from adamcore.training.comparing.rules import Candidate
from adamcore.training.problem import ProblemError
from adamcore.training.trainer import Trainer

_LAST = 0.1
"""The final loss, where there are no validations, is the median of that share of all losses."""
_WORSE = 0.1
_SHORTEST = 7
_SURELY = 3.3
"""Standard deviations: of runs in which nothing happens, one in 2000 seems to rise."""


class Contestant:
    """A run that goes on a few steps at a time."""

    def __init__(self, problem: Any, candidate: Candidate, seed: int, *, every: int, ratios: int, metric: Any) -> None:
        self.candidate, self.seed = candidate, seed
        self._every, self._ratios, self._metric = every, ratios, metric
        self._trainer: Trainer = Trainer(problem, candidate.factory, seed=seed, owner="compare")
        self._can_evaluate = callable(getattr(problem, "evaluate", None))
        self.lr = _plain_rate(self._trainer.opt)
        self.state_bytes = sum(array.nbytes for slots in self._trainer.opt.state.values() for array in slots.values())
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.rates: list[float] = []
        self.ratios: list[tuple[int, float]] = []
        self.metrics: list[tuple[int, float, float]] = []
        """Steps, seconds and the metric of each validation."""
        self.diverged = False
        self._measure()

    @property
    def elapsed(self) -> float:
        """The seconds of all steps, without validations."""
        return self._trainer.seconds

    @property
    def share(self) -> float:
        """The optimizer's share of this time."""
        return self._trainer.step_seconds / self._trainer.seconds if self._trainer.seconds else math.nan

    def advance(self, steps: int, limit: int | None) -> None:
        """Do so many steps, but at most up to `limit` in all, unless the run diverges."""
        for _ in range(steps):
            if self.diverged or (limit is not None and len(self.losses) >= limit):
                return
            # What overflows in a run that diverges is no news.
            with np.errstate(all="ignore"):
                self._step()

    def _step(self) -> None:
        step = len(self.losses) + 1
        done = None
        try:
            while done is None:
                done = self._trainer.step(["ratio"] if step % self._ratios == 0 else False)
        except NonFiniteError:
            self.diverged = True
            return
        except (ArithmeticError, ValueError) as error:
            # Problems may fail in ways of their own once parameters are not finite.
            if isinstance(error, ProblemError) or self._is_finite():
                raise
            self.diverged = True
            return
        self.losses.append(done.loss)
        self.seconds.append(self._trainer.seconds)
        self.rates.append(done.lr)
        self.diverged = not math.isfinite(done.loss) and not done.info.skipped
        if done.info.stats is not None and np.isfinite(done.info.stats.ratio).any():
            known = done.info.stats.ratio
            self.ratios.append((step, float(np.median(known[np.isfinite(known)]))))
        if step % self._every == 0 and not self.diverged:
            self._measure()

    def _measure(self) -> None:
        step = len(self.losses)
        if self.metrics and self.metrics[-1][0] == step:
            return
        if self._can_evaluate:
            with np.errstate(all="ignore"):
                value = self._metric.of(self._trainer.evaluate())
        elif step:
            value = float(np.median(self.losses[-self._every :]))
        else:
            return
        self.metrics.append((step, self._trainer.seconds, value))

    def finish(self) -> None:
        """Measure the last state, and decide whether the run has diverged. It cannot go on after that."""
        if not self.diverged:
            self._measure()
            is_finite = not self.metrics or math.isfinite(self.metrics[-1][2])
            self.diverged = not is_finite or self._rose()
        self._can_evaluate = False
        del self._trainer.params, self._trainer.opt, self._trainer.batches

    def _rose(self) -> bool:
        """Whether losses have risen through the whole run, or the metric is worse than at the beginning."""
        is_loss = self._metric.is_low_good and self._metric.name.startswith("val_") and "loss" in self._metric.name
        if is_loss and len(self.metrics) > 1:
            first, last = self.metrics[0][2], self.metrics[-1][2]
            if last > first + _WORSE * abs(first):
                return True
        heights = block_medians([loss for loss in self.losses if math.isfinite(loss)])
        if len(heights) < _SHORTEST:
            return False
        least, _ = slope_interval(list(heights), place_of(len(heights), _SURELY))
        begin = self.losses[: max(len(self.losses) // len(heights), 1)]
        return least > 0 or min(heights[len(heights) // 2 :]) > max(begin)

    def _is_finite(self) -> bool:
        groups = self._trainer.opt.param_groups
        return all(bool(abs(array).max() < math.inf) for group in groups for array in group["params"] if array.size)

    @property
    def final(self) -> float | None:
        """The last metric, or None if the run diverged."""
        return None if self.diverged or not self.metrics else self.metrics[-1][2]

    @property
    def best(self) -> float | None:
        """The best metric of the run, or None if the run diverged."""
        if self.diverged or not self.metrics:
            return None
        values = [value for step, _, value in self.metrics if step]
        return (min if self._metric.is_low_good else max)(values, default=self.metrics[-1][2])

    def reached(self, target: float) -> tuple[int, float] | None:
        """Return after how many steps and seconds the metric was as good as `target`, or None if it never was."""
        for step, seconds, value in self.metrics:
            if value <= target if self._metric.is_low_good else value >= target:
                return step, seconds
        return None


def _plain_rate(opt: Any) -> float | None:
    rate = opt.param_groups[0].get("lr")
    return float(rate) if isinstance(rate, (int, float)) else None
