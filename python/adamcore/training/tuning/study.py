"""The study in which trials are kept: in memory, or in a file that several processes share."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adamcore._core import short_repr
from adamcore.training.tuning.attempt import Stopped
from adamcore.training.tuning.job import Job
from adamcore.training.tuning.processes import Lock, is_known_dead, this_process
from adamcore.training.tuning.sampling import Sampler, State, counts, make_pruner, optuna, quiet

_NAME = "adamcore"
_FACTS = "adamcore"
_OWNER = "owner"
_BEAT = "beat"
_BEATS_EVERY = 30.0
"""Seconds."""
_SILENT = 600.0
"""After so many seconds without a sign, a process of another machine is taken for dead."""
_NAMELESS = 3.0
"""A trial gets its owner's name just after it was made, unless the process died just then."""
_WAITS = 0.1

_Finished: Any = getattr(optuna.exceptions, "UpdateFinishedTrialError", RuntimeError)

_calls: set[str] = set()
"""The calls of `tune` that go on in this process."""


def require_storage(storage: Any) -> None:
    """Raise an error unless `storage` is None, a storage of Optuna's, or the path of a file that is or can be made."""
    if storage is None or isinstance(storage, optuna.storages.BaseStorage):
        return
    if not isinstance(storage, (str, os.PathLike)):
        raise TypeError(f"tune: storage must be a path, a storage of Optuna's or None, got {short_repr(storage)}")
    if "://" in os.fspath(storage):
        raise ValueError(
            f"tune: storage must be a path; for a database pass optuna.storages.RDBStorage({os.fspath(storage)!r})"
        )
    path = Path(storage).absolute()
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"is in a folder that does not exist: {path.parent}"
        raise ValueError(f"tune: storage: {path} {what}; name a file")


def open_storage(storage: Any) -> Any:
    """Return Optuna's storage for a path, or for None, which is memory."""
    if storage is None:
        return optuna.storages.InMemoryStorage()
    if isinstance(storage, optuna.storages.BaseStorage):
        return storage
    path = Path(storage).absolute()
    journal = optuna.storages.journal
    try:
        with quiet():
            return optuna.storages.JournalStorage(journal.JournalFileBackend(str(path), lock_obj=Lock(path)))
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"tune: storage: {path} is no journal of Optuna's: {error}") from error


class Shared:
    """A study that several processes may share: what each of them does for all."""

    def __init__(self, job: Job, storage: Any) -> None:
        self._job, self._token = job, uuid.uuid4().hex
        direction = "minimize" if job.metric.is_low_good else "maximize"
        with quiet():
            known = {each.study_name for each in optuna.get_all_study_summaries(storage)}
            self.study: Any = None
            if _NAME in known:
                self._require_alike(optuna.load_study(study_name=_NAME, storage=storage))
            self.study = optuna.create_study(
                storage=storage,
                study_name=_NAME,
                direction=direction,
                sampler=Sampler(job),
                pruner=make_pruner(job),
                load_if_exists=True,
            )
            if _FACTS not in self.study.user_attrs:
                self.study.set_user_attr(_FACTS, job.facts())
            self._require_alike(self.study)  # another process may have made it in the meantime

    def _require_alike(self, study: Any) -> None:
        saved, wanted = study.user_attrs.get(_FACTS), self._job.facts()
        if saved is None:
            if study.get_trials(deepcopy=False):
                raise ValueError(f"tune: storage: the study {_NAME!r} in it was not made by tune; use another storage")
            return
        for name, value in wanted.items():
            if saved.get(name) != value:
                raise ValueError(
                    f"tune: storage: the study in it has {name}={saved.get(name)!r}, and this call has "
                    f"{name}={value!r}; use the same, or another storage"
                )

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """Run trials of this study within."""
        _calls.add(self._token)
        try:
            yield
        finally:
            _calls.discard(self._token)

    def claim(self) -> Any:
        """Return a new trial of this process's own; None if there are enough, or False if others have yet to end."""
        with quiet():
            self._give_up_lost()
            found = self.study.get_trials(deepcopy=False)
            if sum(map(counts, found)) >= self._job.trials:
                return False if any(trial.state == State.RUNNING for trial in found) else None
            trial = self.study.ask()
            try:
                for name, value in ((_OWNER, [*this_process(), self._token]), (_BEAT, time.time())):
                    trial.set_user_attr(name, value)
            except _Finished:  # this process was so slow that others took it for dead
                return False
            before = [t for t in self.study.get_trials(deepcopy=False) if t.number < trial.number]
            if sum(map(counts, before)) < self._job.trials:
                return trial
            self.study.tell(trial, state=State.FAIL, skip_if_finished=True)  # another process was faster
            return False

    def wait(self) -> None:
        """Let some time pass until another process may have ended."""
        time.sleep(_WAITS)

    def beat(self, trial: Any, last: float) -> float:
        """Give a sign, if the last one was given some time ago; return when the last one was."""
        now = time.monotonic()
        if now - last < _BEATS_EVERY:
            return last
        with self._own():
            trial.set_user_attr(_BEAT, time.time())
        return now

    def is_given_up(self, trial: Any, step: int, value: float) -> bool:
        """Tell the others the value of a trial at a step; return whether the trial is pruned."""
        with self._own():
            trial.report(value, step)
            return bool(trial.should_prune())

    def end(self, trial: Any, steps: int, value: float | None, failure: str | None = None) -> None:
        """Note that a trial has come to its end with a value, or that it was pruned or has diverged."""
        with self._own():
            for name, note in (("steps", steps), ("failure", failure)):
                if note is not None:
                    trial.set_user_attr(name, note)
            # A trial that has diverged has no report of that, so that it is among the worst for the sampler.
            self.study.tell(trial, value, state=State.PRUNED if value is None else State.COMPLETE)

    def break_off(self, trial: Any) -> None:
        """Note that a trial was broken off, and has to be run again."""
        with quiet():
            self.study.tell(trial, state=State.FAIL, skip_if_finished=True)

    @contextmanager
    def _own(self) -> Iterator[None]:
        """Raise `Stopped` if a trial is no longer this process's own: others have taken the process for dead."""
        try:
            with quiet():
                yield
        except _Finished as error:
            raise Stopped from error

    def _give_up_lost(self) -> None:
        """Mark the trials of processes that are dead, so that they are run again."""
        for trial in self.study.get_trials(deepcopy=False, states=(State.RUNNING,)):
            if _is_lost(trial):
                self.study.tell(trial.number, state=State.FAIL, skip_if_finished=True)

    def trials(self) -> list[Any]:
        """Return the trials that have ended, in order."""
        with quiet():
            found = self.study.get_trials(deepcopy=False)
        return [trial for trial in found if counts(trial) and trial.state != State.RUNNING]


def _is_lost(trial: Any) -> bool:
    """Whether the process that runs a trial is dead, as far as can be known."""
    owner, now = trial.user_attrs.get(_OWNER), time.time()
    if owner is None:
        return bool(now - trial.datetime_start.timestamp() > _NAMELESS)
    *process, call = owner
    if process == this_process():
        return call not in _calls
    is_dead = is_known_dead(process)
    return bool(now - trial.user_attrs.get(_BEAT, 0.0) > _SILENT) if is_dead is None else is_dead
