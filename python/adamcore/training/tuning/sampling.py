"""How numbers are drawn, and which trials are given up: Optuna's samplers and pruners, made reproducible."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from adamcore._checks.extras import import_extra
from adamcore.training.tuning.job import FACTOR, Job

optuna: Any = import_extra("optuna", "tune", "tune")
State: Any = optuna.trial.TrialState
_Sampler: Any = optuna.samplers.BaseSampler
_Halving: Any = optuna.pruners.SuccessiveHalvingPruner

_MEDIAN_OF = 5
"""So many trials are run to the end before the first one is pruned by their median: Optuna's default."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from printing what it does, and from warning that parts of it may change."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def arguments_of(job: Job, trial: Any) -> dict[str, Any]:
    """Return the rule's arguments of a trial that has been run."""
    with quiet():
        return job.space.draw(optuna.trial.FixedTrial(trial.params, number=trial.number))


def counts(trial: Any) -> bool:
    """Whether a trial counts. Those that were broken off are marked as failed, and are run again."""
    return trial.state in (State.COMPLETE, State.PRUNED, State.RUNNING)


class Sampler(_Sampler):
    """Tree-structured Parzen estimators (Bergstra et al. 2011), of which the first trial has the rule's defaults.

    What a trial draws depends on the seed and on the trials that count, so that a study which was broken off goes on as
    if it had not been.
    """

    def __init__(self, job: Job) -> None:
        self._seed, self._presets = job.seed, job.space.presets()
        self._inner: Any = None
        self._is_first = False

    def before_trial(self, study: Any, trial: Any) -> None:
        """Begin with a generator of this trial's own."""
        others = [t for t in study.get_trials(deepcopy=False) if counts(t) and t.number < trial.number]
        # Two trials that run at the same time may see the same others. Hyperband shows those of a bracket.
        is_alone = all(t.state != State.RUNNING for t in others)
        is_whole = not isinstance(study.pruner, optuna.pruners.HyperbandPruner)
        words = [self._seed, len(others)] if is_alone and is_whole else [self._seed, trial.number, 1]
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        with quiet():
            self._inner = optuna.samplers.TPESampler(multivariate=True, constant_liar=True, seed=seed)
        self._is_first = not any(t.number < trial.number and counts(t) for t in others)

    def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
        """Return what is drawn together."""
        return {} if self._is_first else self._inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
        """Draw numbers together."""
        return {} if self._is_first else self._inner.sample_relative(study, trial, search_space)

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Draw one number."""
        if self._is_first and param_name in self._presets:
            return self._presets[param_name]
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        """Do nothing: the next trial has a generator of its own."""


class _Counted:
    """A study without the trials that were broken off, whose values are those of the trials that take their places."""

    def __init__(self, study: Any) -> None:
        self._study = study

    def get_trials(self, **options: Any) -> list[Any]:
        """Return the trials that count."""
        return [trial for trial in self._study.get_trials(**options) if counts(trial)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


class Halving(_Halving):
    """Asynchronous successive halving (Li et al. 2020), whose rungs have one value from each trial that counts."""

    def prune(self, study: Any, trial: Any) -> bool:
        """Whether a trial is given up."""
        return bool(super().prune(_Counted(study), trial))


def make_pruner(job: Job) -> Any:
    """Return the pruner that was asked for."""
    with quiet():
        if job.pruner is None:
            return optuna.pruners.NopPruner()
        if job.pruner == "asha":
            return Halving(min_resource=job.first, reduction_factor=FACTOR)
        if job.pruner == "hyperband":
            options = {"min_resource": job.first, "max_resource": job.steps, "reduction_factor": FACTOR}
            return optuna.pruners.HyperbandPruner(**options)
        if job.pruner == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=_MEDIAN_OF)
    return job.pruner
