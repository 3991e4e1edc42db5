"""The search of `tune`, when its arguments have been read: in this process, or in others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from adamcore._core import short_repr
from adamcore.training.interrupts import Interrupts
from adamcore.training.progress import Silent
from adamcore.training.tuning.attempt import try_out
from adamcore.training.tuning.job import Job
from adamcore.training.tuning.loop import Loop
from adamcore.training.tuning.sampling import Sampler, State, arguments_of, optuna, quiet
from adamcore.training.tuning.study import Shared, open_storage, require_storage
from adamcore.training.tuning.tables import shown as as_shown
from adamcore.training.tuning.tuning import Tuning
from adamcore.training.tuning.workers import packed, working

_PRUNERS = ("asha", "hyperband", "median")


def require_pruner(pruner: Any) -> None:
    """Raise an error unless `pruner` is a name, None or a pruner of Optuna's."""
    if pruner is None or (isinstance(pruner, str) and pruner in _PRUNERS):
        return
    if isinstance(pruner, str) or not isinstance(pruner, optuna.pruners.BasePruner):
        names = ", ".join(f'"{name}"' for name in _PRUNERS)
        kind = ValueError if isinstance(pruner, str) else TypeError
        raise kind(f"tune: pruner must be {names}, None or a pruner of Optuna's, got {short_repr(pruner)}")


def search(job: Job, storage: Any, workers: int, shown: Silent) -> Tuning:
    """Run trials, and return what was found."""
    require_storage(storage)
    if workers > 1:
        if isinstance(storage, optuna.storages.InMemoryStorage):
            raise ValueError(
                "tune: workers > 1 need a storage that processes share: a path, or None for a temporary file"
            )
        packed(job, storage)
    _try_out(job)
    if workers == 1:
        shared = Shared(job, open_storage(storage))
        _run(job, shared, shown, lambda progress: Loop(job, shared, progress.is_over, progress.note).run_all())
        return Tuning(job, shared.study, shared.trials())
    with _shared_file(storage) as place:
        shared = Shared(job, open_storage(place))
        work = packed(job, place)

        def run_workers(progress: _Progress) -> None:
            with working(workers, work) as processes:
                processes.run_all(progress.is_over, progress.note)

        _run(job, shared, shown, run_workers)
        trials, study = shared.trials(), shared.study
        if storage is None:
            study = _in_memory(study)
    return Tuning(job, study, trials)


def _try_out(job: Job) -> None:
    """Raise an error unless the problem and the rule work together, with the numbers at the ends of their ranges."""
    params = job.problem.init(np.random.default_rng(job.seed))
    for arguments in job.space.corners():
        _require_accepted(job, params, arguments)
    with quiet():
        trial = optuna.create_study(sampler=Sampler(job)).ask()
        first = job.space.draw(trial)
    try_out(job, first)


def _require_accepted(job: Job, params: Any, arguments: dict[str, Any]) -> None:
    try:
        job.rule.make(params, **arguments)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise kind(f"tune: space: {job.rule.name} does not take {shown}: {error}") from error


@contextmanager
def _shared_file(storage: Any) -> Iterator[Any]:
    """Yield a storage for several processes: a temporary file if there is no other."""
    if storage is not None:
        yield storage
        return
    with tempfile.TemporaryDirectory(prefix="adamcore-") as folder:
        yield Path(folder) / "study.journal"


def _in_memory(study: Any) -> Any:
    """Return a copy of a study whose file will be deleted."""
    storage = optuna.storages.InMemoryStorage()
    with quiet():
        optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=storage)
        return optuna.load_study(
            study_name=study.study_name, storage=storage, sampler=study.sampler, pruner=study.pruner
        )


class _Progress:
    """What is shown while trials run, and whether they are to end."""

    def __init__(self, job: Job, shared: Shared, shown: Silent, interrupts: Interrupts) -> None:
        self._job, self._shared, self._shown, self._interrupts = job, shared, shown, interrupts
        trials = shared.trials()
        self._best = self._best_of(trials)
        shown.begin(job.trials, len(trials))

    def is_over(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._interrupts.came

    def note(self) -> None:
        """Show how far the search is, and a new best."""
        trials, name = self._shared.trials(), self._job.metric.name
        best = self._best_of(trials)
        if best is not None and (self._best is None or best.number != self._best.number):
            self._best = best
            numbers = ", ".join(f"{key}={as_shown(value)}" for key, value in arguments_of(self._job, best).items())
            self._shown.say(f"tune: trial {len(trials)} of {self._job.trials}: {name} {best.value:.4g} with {numbers}")
        self._shown.show(len(trials), "" if best is None else f"best {best.value:.4g}")

    def _best_of(self, trials: list[Any]) -> Any:
        found = [trial for trial in trials if trial.state == State.COMPLETE]
        return min(found, key=lambda trial: self._job.metric.cost(trial.value), default=None)


def _run(job: Job, shared: Shared, shown: Silent, run: Any) -> None:
    """Run what is given, until it ends or Ctrl-C is pressed."""
    with Interrupts() as interrupts:
        progress = _Progress(job, shared, shown, interrupts)
        try:
            run(progress)
        except KeyboardInterrupt:  # which the problem may raise too
            if interrupts.came:
                raise
        finally:
            shown.end()
