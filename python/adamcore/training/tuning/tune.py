"""`tune`: the best numbers of a rule for a problem."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from adamcore._checks.extras import import_extra
from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore.training.metrics import choose_metric
from adamcore.training.problem import require_problem
from adamcore.training.progress import make_progress
from adamcore.training.tuning.job import Job
from adamcore.training.tuning.rules import read_rule
from adamcore.training.tuning.space import read_space

if TYPE_CHECKING:
    from adamcore.training.tuning.tuning import Tuning


def tune(
    problem: Any,
    rule: Any,
    *,
    space: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]] | None = None,
    trials: int = 50,
    steps: int,
    seed: int = 0,
    pruner: Any = "asha",
    storage: str | os.PathLike[str] | Any = None,
    workers: int = 1,
    seeds: int = 1,
    metric: str | None = None,
    mode: Literal["min", "max"] = "min",
    validate_every: int | None = None,
    progress: Any = "auto",
) -> Tuning:
    """Look for the best numbers of a rule: train a problem many times, and give up early what does not look good.

    Optuna does the searching, which the extra ``tune`` installs: ``pip install "adamcore[tune]"``. All trials begin
    with the same parameters and get the same batches. The first one has the rule's own defaults.

    Parameters
    ----------
    problem : Problem
        As for `fit`. Without ``evaluate``, the training loss decides: the median of its last tenth.
    rule : optimizer class, str or callable
        `AdamW`, its name, ``functools.partial(ac.SGD, nesterov=True)``, or a function ``(params, **numbers)`` that
        returns an optimizer. What is bound in a ``partial`` is not tuned.
    space : dict or callable, optional
        What differs from the usual ranges, by the names of the rule's numbers; ``betas`` are "beta1", "beta2", ....
        The usual ones are "lr": 1e-5 to 1; "beta1" and "momentum": 0.5 to 0.99; "beta2" and "alpha": 0.9 to 0.9999, as
        far as the rule has them. A tuple (low, high) is a range: uniform in the logarithm if both are > 0, and
        otherwise uniform; of "beta1", "beta2", "beta3", "momentum" and "alpha" uniform in the logarithm of the distance
        from 1. A list has choices. True or "default" adds the usual range of "eps" (1e-10 to 1e-6) or "weight_decay"
        (1e-4 to 1; 1e-6 to 1e-2 where it is a penalty). A number is held at this value. None leaves a number at the
        rule's default. Or a function that asks an Optuna trial for what it likes, and returns all arguments of the
        rule.
    trials : int
        How many trials there are in the end, >= 1, those included that are in `storage` already.
    steps : int
        How many steps a trial has that is not given up, >= 1.
    seed : int
        The seed of the search and of the first run of each trial, >= 0.
    pruner : {"asha", "hyperband", "median", None} or optuna.pruners.BasePruner
        What gives trials up: asynchronous successive halving, in which the best third of the trials goes on from each
        rung to the next, which is three times as far (the first is after a 27th of `steps`, the last before a
        quarter); Hyperband with such rungs; a value worse than the median of the others after the same step; or
        nothing.
    storage : path or optuna.storages.BaseStorage, optional
        A file in which the study is kept, made if there is none. Processes, also on several machines with a shared
        folder, that call this with the same file share the work. A call that was ended goes on from it.
    workers : int
        How many processes run trials, >= 1. The problem, the rule and the space must be such as `pickle` can send, or a
        module.
    seeds : int
        How many runs a trial has, on ``seed, seed + 1, ...``. All of them go on to the next rung, and their mean counts
        there and in the end.
    metric : str, optional
        What decides among the results of ``evaluate``. The default is "val_loss", or the first one.
    mode : {"min", "max"}
        Whether a low or a high metric is good.
    validate_every : int, optional
        After how many steps trials are measured and may be given up. The default is at the rungs.
    progress : {"auto", "bar", "lines", None}
        A bar of rich's on a terminal, and a line for each new best elsewhere, on stderr.

    Returns
    -------
    Tuning

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, the problem lacks a function, or the study in `storage` is another one. A trial
        that diverges raises nothing: its state is "failed".
    ModuleNotFoundError
        If Optuna is not installed.

    Notes
    -----
    With one worker, the same seed gives the same trials and the same bits, also if the search was broken off and has
    gone on from a file. With several, the order in which trials end decides what the next one tries.

    Ctrl-C ends the search between two steps, and what has been found is returned. The trial that was broken off is not
    in it; it is run again when the search goes on. So is one whose process was killed: on the same machine at once, and
    elsewhere ten minutes after its last sign. A step should therefore not take longer than that.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> class Line:
    ...     def init(self, rng):
    ...         return {"w": rng.standard_normal(3)}
    ...     def batches(self, rng):
    ...         for _ in range(10):
    ...             yield rng.standard_normal((32, 3))
    ...     def loss_and_grad(self, params, x):
    ...         error = x @ params["w"] - x.sum(axis=1)
    ...         return float(np.square(error).mean()), {"w": 2 * x.T @ error / len(x)}
    >>> tuning = ac.tune(Line(), ac.SGD, space={"momentum": None}, trials=12, steps=48, progress=None)
    >>> sorted(tuning.best), bool(tuning.best_value < 1e-6)
    (['lr'], True)
    >>> opt = ac.SGD(np.zeros(3), **tuning.best)
    """
    import_extra("optuna", "tune", "tune")
    from adamcore.training.tuning.search import require_pruner, search  # noqa: PLC0415  (it imports Optuna)

    require_problem(problem, "tune")
    found = read_rule(rule)
    if mode not in ("min", "max"):
        raise ValueError(f"tune: mode must be one of ('min', 'max'), got {short_repr(mode)}")
    require_pruner(pruner)
    processes = _count(workers, "workers", 1)
    job = Job(
        problem=problem,
        rule=found,
        space=read_space(space, found),
        trials=_count(trials, "trials", 1),
        steps=_count(steps, "steps", 1),
        seed=_count(seed, "seed", 0),
        seeds=_count(seeds, "seeds", 1),
        metric=choose_metric(problem, metric, mode, "tune"),
        pruner=pruner,
        validate_every=None if validate_every is None else _count(validate_every, "validate_every", 1),
    )
    return search(job, storage, processes, make_progress(progress, "tune"))


def _count(value: Any, name: str, least: int) -> int:
    return as_int(value, f"tune: {name}", f"an int >= {least}", least)
