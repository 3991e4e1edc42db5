"""The loop of `tune`: one trial after the other, in each process that takes part."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from adamcore.training.tuning.attempt import Attempt, Stopped
from adamcore.training.tuning.job import Job
from adamcore.training.tuning.sampling import quiet
from adamcore.training.tuning.study import Shared


class Loop:
    """Runs trials until there are enough.

    Parameters
    ----------
    job : Job
    shared : Shared
    is_over : callable
        Called between steps; the loop ends where it returns True.
    on_end : callable
        Called after each trial.
    """

    def __init__(self, job: Job, shared: Shared, is_over: Callable[[], bool], on_end: Callable[[], None]) -> None:
        self._job, self._shared, self._is_over, self._on_end = job, shared, is_over, on_end
        self._last_beat = 0.0

    def run_all(self) -> None:
        """Run trials."""
        with self._shared.taking_part():
            while not self._is_over():
                trial = self._shared.claim()
                if trial is None:
                    return
                if trial is False:
                    self._shared.wait()
                    continue
                self._run(trial)
                self._on_end()

    def _run(self, trial: Any) -> None:
        arguments: dict[str, Any] = {}
        try:
            with quiet():
                arguments = self._job.space.draw(trial)
            self._advance(trial, Attempt(self._job, arguments))
        except Stopped:
            self._shared.break_off(trial)
        except BaseException as error:
            self._shared.break_off(trial)
            note: Any = getattr(error, "add_note", None)  # Python 3.11 has it
            if note is not None:
                numbers = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
                note(f"in ac.tune: {self._job.rule.name} with {numbers or 'no numbers yet'}")
            raise

    def _advance(self, trial: Any, attempt: Attempt) -> None:
        self._last_beat = monotonic()

        def between() -> bool:
            self._last_beat = self._shared.beat(trial, self._last_beat)
            return self._is_over()

        for step in [*self._job.stops, self._job.steps]:
            value = attempt.advance(step, between)
            if value is None:
                self._shared.end(trial, attempt.steps, None, attempt.failure)
                return
            if step == self._job.steps:
                self._shared.end(trial, attempt.steps, value)
            elif self._shared.is_given_up(trial, step, value):
                self._shared.end(trial, attempt.steps, None)
                return
