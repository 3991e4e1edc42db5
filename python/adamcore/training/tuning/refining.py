"""The best trials, on new seeds."""

from __future__ import annotations

import copy
from typing import Any

from adamcore.training.comparing.compare import compare
from adamcore.training.tuning.job import Job

Data = dict[str, Any]


class Refinement:
    """What `Tuning.refine` returns.

    Attributes
    ----------
    best : dict
        The numbers with the best median, as arguments of the rule.
    best_value : float
        That median: of runs on seeds on which nothing was chosen before.
    trial : int
        Which trial of the search had these numbers.
    is_shown : bool
        Whether it beats the next one in each seed. Otherwise no difference is shown.
    verdict : str
        One sentence that says so.
    rows : list of dict
        The trials, the best one first: "trial", "numbers", "searched" (its value in the search), "median", "min",
        "max", "values" (one for each seed; None if it diverged).
    """

    def __init__(self, rows: list[Data], verdict: str, *, is_shown: bool) -> None:
        self._rows, self.verdict, self.is_shown = rows, verdict, is_shown

    @property
    def rows(self) -> list[Data]:
        """The trials, the best one first."""
        return copy.deepcopy(self._rows)

    @property
    def best(self) -> Data:
        """The numbers with the best median, as arguments of the rule."""
        return copy.deepcopy(self._rows[0]["numbers"])

    @property
    def best_value(self) -> float:
        """The best median."""
        return float(self._rows[0]["median"])

    @property
    def trial(self) -> int:
        """Which trial of the search had the best numbers."""
        return int(self._rows[0]["trial"])

    def to_dict(self) -> Data:
        """Return all of it as plain values."""
        return {"verdict": self.verdict, "is_shown": self.is_shown, "rows": self.rows}

    def __repr__(self) -> str:
        return f"<Refinement: {self.verdict}>"


def refine(job: Job, trials: list[Data], seeds: int, steps: int, progress: Any) -> Refinement:
    """Run trials again: as rules that are compared with each other, on the seeds after those of the search."""
    by_name = {f"trial {trial['number']}": trial for trial in trials}
    first = job.seed + job.seeds
    found = compare(
        job.problem,
        {name: job.factory(trial["numbers"]) for name, trial in by_name.items()},
        steps=steps,
        seeds=range(first, first + seeds),
        metric=None if job.metric.name == "loss" else job.metric.name,
        mode="min" if job.metric.is_low_good else "max",
        validate_every=steps,
        progress=progress,
    )
    rows = [_row(by_name[row["rule"]], row) for row in found.rows]
    if rows[0]["median"] is None:
        raise ValueError(f"refine: {found.verdict}; search among lower rates")
    return Refinement(rows, found.verdict, is_shown=found.best is not None)


def _row(trial: Data, row: Data) -> Data:
    return {
        "trial": trial["number"],
        "numbers": trial["numbers"],
        "searched": trial["value"],
        **{name: row[f"final_{name}"] for name in ("median", "min", "max")},
        "values": row["final"],
    }
