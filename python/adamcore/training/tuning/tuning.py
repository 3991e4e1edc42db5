"""`Tuning`: what `tune` returns."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from adamcore._checks.extras import import_extra
from adamcore._checks.numbers import as_int
from adamcore._files.writing import put_text
from adamcore.training.tuning.importance import importance_of
from adamcore.training.tuning.job import Job
from adamcore.training.tuning.refining import Refinement, refine
from adamcore.training.tuning.sampling import State, arguments_of
from adamcore.training.tuning.tables import as_text, hints_of, plain

Data = dict[str, Any]


class Tuning:
    """The result of `tune`.

    Attributes
    ----------
    best : dict
        The best numbers, as arguments of the rule: ``rule(params, **tuning.best)``. After `refine`, those that were
        best then.
    best_value : float
        The metric that they reached: of the search, or the median of `refine`.
    trials : list of dict
        All trials that have ended: "number", "numbers" (the arguments of the rule), "value" (the last metric, or None),
        "state" ("complete", "pruned", or "failed" if it diverged), "steps" (of all seeds) and "failure" (what happened
        if it diverged).
    steps : int
        How many steps all trials did together.
    refined : Refinement or None
        What `refine` has returned.
    study : optuna.Study
        The study, for Optuna's own tools. A trial that was broken off and run again is in it twice.
    """

    def __init__(self, job: Job, study: Any, trials: list[Any]) -> None:
        self._job, self.study = job, study
        self._trials = [_record(job, place, trial) for place, trial in enumerate(trials)]
        self._finished = trials
        self.refined: Refinement | None = None

    @property
    def best(self) -> Data:
        """The best numbers, as arguments of the rule."""
        if self.refined is not None:
            return self.refined.best
        return copy.deepcopy(self._ranked()[0]["numbers"])

    @property
    def best_value(self) -> float:
        """The metric that the best numbers reached: of the search, or the median of `refine`."""
        if self.refined is not None:
            return self.refined.best_value
        return float(self._ranked()[0]["value"])

    @property
    def trials(self) -> list[Data]:
        """All trials that have ended."""
        return copy.deepcopy(self._trials)

    @property
    def steps(self) -> int:
        """How many steps all trials did together."""
        return sum(trial["steps"] for trial in self._trials)

    def _ranked(self) -> list[Data]:
        """Return the trials that came to their end, the best one first; of equal ones the earlier."""
        found = [trial for trial in self._trials if trial["state"] == "complete"]
        if not found:
            raise ValueError(
                f"tune: there is no best trial: of {len(self._trials)}, none has come to its end. Run more, or search "
                "among lower rates"
            )
        return sorted(found, key=lambda trial: self._job.metric.cost(trial["value"]))

    def refine(self, top: int = 3, seeds: int = 5, steps: int | None = None, progress: Any = "auto") -> Refinement:
        """Run the best trials again on new seeds, and take the best of these.

        The best of many trials suits its own seed best, so its value is too good. Values on new seeds are honest.

        Parameters
        ----------
        top : int
            How many trials, >= 1.
        seeds : int
            On how many seeds, >= 1: those that follow the seeds of the search.
        steps : int, optional
            How many steps each run has. The default is as many as in the search.
        progress : {"auto", "bar", "lines", None}
            As for `fit`.

        Returns
        -------
        Refinement
            It is also kept as `refined`, and decides `best` and `best_value`.

        Raises
        ------
        TypeError, ValueError
            If an argument is out of range, or no trial has come to its end.
        """
        count = as_int(top, "refine: top", "an int >= 1", 1)
        runs = as_int(seeds, "refine: seeds", "an int >= 1", 1)
        length = self._job.steps if steps is None else as_int(steps, "refine: steps", "an int >= 1", 1)
        self.refined = refine(self._job, self._ranked()[:count], runs, length, progress)
        return self.refined

    def importance(self) -> dict[str, float]:
        """Return how much each number matters, the most important one first; together they are 1.

        This is Optuna's fANOVA (Hutter, Hoos & Leyton-Brown 2014), which needs scikit-learn. Trials are in order of how
        far they got, and then of their values, so those that were pruned count too. With fewer than some twenty trials
        it says little.

        Raises
        ------
        ValueError
            If fewer than two trials have ended.
        ModuleNotFoundError
            If scikit-learn is not installed.
        """
        return importance_of(self._job, self._finished)

    def table(self) -> str:
        """Return the best numbers, the best trials, and hints what to do next, as text."""
        return as_text(self.to_dict())

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the values of all trials in their order, and against each number; save the picture if there is a path.

        Returns
        -------
        matplotlib.figure.Figure
        """
        import_extra("matplotlib", "Tuning.plot", "plot")
        from adamcore.training.tuning.pictures import draw  # noqa: PLC0415  (imported when used)

        figure = draw(self._job, self._trials, self._finished)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def to_dict(self) -> Data:
        """Return all that was found as plain values."""
        has_best = any(trial["state"] == "complete" for trial in self._trials)
        data: Data = {
            **self._job.facts(),
            "best": self.best if has_best else None,
            "best_value": self.best_value if has_best else None,
            "total_steps": self.steps,
            "hints": [],
            "trials": self.trials,
            "refined": None if self.refined is None else self.refined.to_dict(),
        }
        if has_best:
            best = self.refined.trial if self.refined is not None else self._ranked()[0]["number"]
            data["hints"] = hints_of(self._job, self._trials, self._finished[best], is_refined=self.refined is not None)
        found: Data = plain(data)
        return found

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return `to_dict` as JSON, and write it to `path` if one is given."""
        return put_text(json.dumps(self.to_dict(), allow_nan=False), path)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        job = self._job
        return f"<Tuning of {job.rule.name} on {self.to_dict()['problem']}: {len(self._trials)} trials>"


def _record(job: Job, place: int, trial: Any) -> Data:
    failure = trial.user_attrs.get("failure")
    state = "complete" if trial.state == State.COMPLETE else "pruned" if failure is None else "failed"
    return {
        "number": place,
        "numbers": arguments_of(job, trial),
        "value": None if state == "failed" else trial.value,
        "state": state,
        "steps": trial.user_attrs["steps"],
        "failure": failure,
    }
