"""One choice of numbers: a run on each seed, all of them as far as the next rung."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import Any

import numpy as np

from adamcore.loss_scaler import NonFiniteError
from adamcore.training.comparing.health import require_own_arrays, require_own_batches
from adamcore.training.explosions import FAILURES, explain, largest
from adamcore.training.metrics import late_loss
from adamcore.training.trainer import Trainer
from adamcore.training.tuning.job import Job


class Stopped(Exception):  # noqa: N818  (nothing is wrong)
    """A trial has been broken off between two steps."""


class _Run:
    """A run on one seed, as `fit` would do it."""

    def __init__(self, job: Job, arguments: dict[str, Any], seed: int) -> None:
        self._metric = job.metric
        self._trainer = Trainer(job.problem, job.factory(arguments), seed=seed, owner="tune")
        self._size = largest(self.arrays())
        self._can_evaluate = callable(getattr(job.problem, "evaluate", None))
        self.losses: list[float] = []
        self.failure: str | None = None

    def arrays(self) -> Iterator[Any]:
        """Yield the parameters that are trained."""
        return (array for group in self._trainer.opt.param_groups for array in group["params"])

    @property
    def batches(self) -> Any:
        """The iterator over the batches of the present epoch, or None between epochs."""
        return self._trainer.batches.iterator

    def begin(self) -> None:
        """Take the first batch from the problem, without a step."""
        self._trainer.is_at_end()

    def step(self) -> None:
        """Do one step."""
        try:
            done = None
            while done is None:
                done = self._trainer.step()
            self.losses.append(done.loss)
            if not math.isfinite(done.loss) and not done.info.skipped:
                self.failure = "the loss is not finite"
        except NonFiniteError:
            self.failure = "gradients are not finite"
        except FAILURES as error:
            self.failure = explain(error, self.losses, self.arrays(), self._size)

    def measure(self) -> float:
        """Return the metric; infinity if it is not finite."""
        try:
            found = self._metric.of(self._trainer.evaluate(), "tune") if self._can_evaluate else late_loss(self.losses)
        except FAILURES as error:
            self.failure = explain(error, self.losses, self.arrays(), self._size)
            return math.inf
        if not (math.isfinite(found) and math.isfinite(largest(self.arrays()))):
            self.failure = f"{self._metric.name} or parameters are not finite"
            return math.inf
        return found


class Attempt:
    """The runs of one choice of numbers."""

    def __init__(self, job: Job, arguments: dict[str, Any]) -> None:
        self._problem = job.problem
        # What overflows in a run that diverges is no news.
        with np.errstate(all="ignore"):
            self._runs = [_Run(job, arguments, job.seed + place) for place in range(job.seeds)]
        if job.seeds > 1:
            require_own_arrays([run.arrays() for run in self._runs], job.problem, "tune")

    @property
    def steps(self) -> int:
        """How many steps have been done, of all runs together."""
        return sum(len(run.losses) for run in self._runs)

    @property
    def failure(self) -> str | None:
        """Why a run has diverged, or None."""
        return next((run.failure for run in self._runs if run.failure is not None), None)

    def advance(self, step: int, between: Callable[[], bool]) -> float | None:
        """Go on to a step; return the mean of the metric over the seeds, or None if a run diverges.

        `between` is called between steps. Where it returns True, `Stopped` is raised.
        """
        with np.errstate(all="ignore"):
            for run in self._runs:
                while len(run.losses) < step and run.failure is None:
                    if between():
                        raise Stopped
                    run.step()
                if run.failure is not None:
                    return None
            require_own_batches([run.batches for run in self._runs], self._problem, "tune")
            found = [run.measure() for run in self._runs]
        return None if self.failure is not None else fmean(found)


def try_out(job: Job, arguments: dict[str, Any]) -> None:
    """Raise an error if two runs cannot begin beside each other: trials would train what others have trained."""
    with np.errstate(all="ignore"):
        runs = [_Run(job, arguments, job.seed) for _ in range(2)]
        require_own_arrays([run.arrays() for run in runs], job.problem, "tune")
        for run in runs:
            run.begin()
        require_own_batches([run.batches for run in runs], job.problem, "tune")
