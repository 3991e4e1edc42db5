"""One run of a comparison: a rule on one seed, and all that is measured of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from adamcore.loss_scaler import NonFiniteError
from adamcore.training.comparing.health import has_diverged
from adamcore.training.comparing.rules import Candidate
from adamcore.training.explosions import FAILURES, explain, largest
from adamcore.training.metrics import Metric, late_loss
from adamcore.training.trainer import Trainer


class Contestant:
    """A run that goes on a few steps at a time."""

    def __init__(
        self, problem: Any, candidate: Candidate, seed: int, *, every: int, ratios: int, metric: Metric
    ) -> None:
        self.candidate, self.seed = candidate, seed
        self._every, self._ratios, self._metric = every, ratios, metric
        with np.errstate(all="ignore"), self._noting():
            self._trainer: Trainer = Trainer(problem, candidate.factory, seed=seed, owner="compare")
            self._size = largest(self.arrays())
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
        self.failure: str | None = None
        """What the problem has raised because the numbers of this run were not finite or too large."""
        with np.errstate(all="ignore"):
            self._measure()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Say in errors which run they are of, where Python has notes."""
        try:
            yield
        except Exception as error:
            if hasattr(error, "add_note"):
                error.add_note(f"in ac.compare: rule {self.candidate.rule!r}, seed {self.seed}")
            raise

    def arrays(self) -> Iterator[Any]:
        """Yield the parameters that are trained."""
        return (array for group in self._trainer.opt.param_groups for array in group["params"])

    @property
    def batches(self) -> Any:
        """The iterator over the batches of the present epoch, or None between epochs."""
        return self._trainer.batches.iterator

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
            with np.errstate(all="ignore"), self._noting():
                self._step()

    def _step(self) -> None:
        try:
            self._train()
            if len(self.losses) % self._every == 0 and not self.diverged:
                self._measure()
        except NonFiniteError:
            self.diverged = True
        except FAILURES as error:
            self._fail(error)

    def _train(self) -> None:
        step = len(self.losses) + 1
        done = None
        while done is None:
            done = self._trainer.step(["ratio"] if step % self._ratios == 0 else False)
        self.losses.append(done.loss)
        self.seconds.append(self._trainer.seconds)
        self.rates.append(done.lr)
        self.diverged = not math.isfinite(done.loss) and not done.info.skipped
        if done.info.stats is not None and np.isfinite(done.info.stats.ratio).any():
            known = done.info.stats.ratio
            self.ratios.append((step, float(np.median(known[np.isfinite(known)]))))

    def _measure(self) -> None:
        step = len(self.losses)
        if self.metrics and self.metrics[-1][0] == step:
            return
        if self._can_evaluate:
            value = self._metric.of(self._trainer.evaluate(), "compare")
        elif step:
            value = late_loss(self.losses)
        else:
            return
        self.metrics.append((step, self._trainer.seconds, value))

    def finish(self) -> None:
        """Measure the last state, and decide whether the run has diverged. It cannot go on after that."""
        if not self.diverged:
            with np.errstate(all="ignore"):
                self._finish()
        self._can_evaluate = False
        del self._trainer.params, self._trainer.opt, self._trainer.batches

    def _finish(self) -> None:
        try:
            self._measure()
        except FAILURES as error:
            self._fail(error)
            return
        values = [value for _, _, value in self.metrics]
        growth = largest(self.arrays()) / max(self._size, 1)
        is_finite = math.isfinite(growth) and all(map(math.isfinite, values[-1:]))
        is_loss = self._metric.is_low_good and self._metric.name.startswith("val_") and "loss" in self._metric.name
        self.diverged = not is_finite or has_diverged(self.losses, values if is_loss else (), growth)

    def _fail(self, error: Exception) -> None:
        """Note that the run has diverged, or raise the error if it is not because of numbers that are too large."""
        self.failure = explain(error, self.losses, self.arrays(), self._size)
        self.diverged = True

    @property
    def final(self) -> float | None:
        """The last metric, or None if the run diverged."""
        return None if self.diverged or not self.metrics else self.metrics[-1][2]

    @property
    def best(self) -> float | None:
        """The best metric of the run, or None if the run diverged."""
        if self.diverged or not self.metrics:
            return None
        values = [value for step, _, value in self.metrics if step and math.isfinite(value)]
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
