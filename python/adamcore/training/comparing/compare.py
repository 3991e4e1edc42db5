"""`compare`: which rule trains a problem best, and whether there is a difference at all."""

from __future__ import annotations

import datetime as dt
import math
import platform
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal

import numpy as np

from adamcore._checks.numbers import as_float, as_int
from adamcore._core import __version__, short_repr
from adamcore.training.comparing.comparison import Comparison
from adamcore.training.comparing.contestant import Contestant
from adamcore.training.comparing.health import require_own_arrays, require_own_batches
from adamcore.training.comparing.race import race, turns_of
from adamcore.training.comparing.rules import read_rules
from adamcore.training.comparing.tables import curves_of, plain, profile_of, row_of
from adamcore.training.comparing.verdict import Entry, best_candidate, verdict_of, warnings_of
from adamcore.training.metrics import Metric, choose_metric
from adamcore.training.problem import name_of, require_problem
from adamcore.training.progress import make_progress

_VALIDATIONS = 40
_RATIOS = 50
_TARGET_AT = 0.9


def compare(
    problem: Any,
    rules: Mapping[str, Any],
    *,
    steps: int,
    seeds: int | Sequence[int] = 3,
    target: float | None = None,
    budget: Literal["steps", "seconds"] = "steps",
    metric: str | None = None,
    mode: Literal["min", "max"] = "min",
    validate_every: int | None = None,
    progress: Any = "auto",
) -> Comparison:
    """Train a problem with several rules, and say which is best, if a difference is shown.

    With the same seed, all rules begin with the same parameters and get the same batches. A rule may be given several
    rates; the one with the best median counts. A rule is best if it beats the next one in every seed; otherwise no
    difference is shown.

    Parameters
    ----------
    problem : Problem
        As for `fit`. Without ``evaluate``, the training loss decides: the median of its last tenth. All runs of a seed
        go on at the same time, so ``init`` and ``batches`` return new arrays and a new iterator at each call.
    rules : dict
        By name, what makes an optimizer of parameters, such as ``functools.partial(ac.AdamW, lr=1e-3)``, or a list of
        several, with different rates. Give each rule as many.
    steps : int
        How many steps each run has, >= 1.
    seeds : int or sequence of int
        How many seeds there are, >= 1, or the seeds.
    target : float, optional
        The steps and seconds are counted until the metric is as good as this. The default is what the first rule has
        reached after 90% of its run.
    budget : {"steps", "seconds"}
        Whether each run has the same number of steps, or as much time as the first run of its seed took for `steps`.
    metric : str, optional
        What decides among the results of ``evaluate``. The default is "val_loss", or the first one.
    mode : {"min", "max"}
        Whether a low or a high metric is good.
    validate_every : int, optional
        After how many steps ``evaluate`` is called. The default is 40 times in a run.
    progress : {"auto", "bar", "lines", None}
        As for `fit`: one line for each seed, or a bar.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the problem lacks a function. A run that diverges raises nothing.

    Notes
    -----
    A run has diverged if its loss or its parameters are no longer finite, or if its losses rise from the beginning to
    the end. If ``evaluate`` gives a validation loss, and that decides, it overrules the training loss where it ends 10%
    lower or higher than it began: lower is well, and higher is diverged, unless the training loss has fallen. An error
    that the problem raises when numbers of a run have become too large counts as diverged, and is among the warnings.

    The rates are chosen, and the rules compared, on the same seeds, which favours rules that were given more rates.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> from functools import partial
    >>> class Line:
    ...     def init(self, rng):
    ...         return {"w": rng.standard_normal(3)}
    ...     def batches(self, rng):
    ...         for _ in range(10):
    ...             yield rng.standard_normal((32, 3))
    ...     def loss_and_grad(self, params, x):
    ...         error = x @ params["w"] - x.sum(axis=1)
    ...         return float(np.square(error).mean()), {"w": 2 * x.T @ error / len(x)}
    >>> rules = {"SGD": partial(ac.SGD, lr=0.1), "slow SGD": partial(ac.SGD, lr=0.001)}
    >>> result = ac.compare(Line(), rules, steps=50, progress=None)
    >>> result.best, [row["rule"] for row in result.rows]
    ('SGD', ['SGD', 'slow SGD'])
    """
    require_problem(problem, "compare")
    candidates = read_rules(rules)
    count = as_int(steps, "compare: steps", "an int >= 1", 1)
    chosen = _seeds(seeds)
    goal = None if target is None else _finite(target)
    for name, value, known in (("budget", budget, ("steps", "seconds")), ("mode", mode, ("min", "max"))):
        if value not in known:
            raise ValueError(f"compare: {name} must be one of {known}, got {short_repr(value)}")
    every = max(count // _VALIDATIONS, 1)
    if validate_every is not None:
        every = as_int(validate_every, "compare: validate_every", "an int >= 1", 1)
    decides = choose_metric(problem, metric, mode, "compare")
    shown = make_progress(progress, "compare")
    shown.begin(len(chosen) * len(turns_of(count)), 0)
    runs: dict[tuple[str, int], list[Contestant]] = {}
    of_seed: list[Contestant] = []
    turns = 0

    def on_turn() -> None:
        nonlocal turns
        turns += 1
        shown.step(turns, None)
        require_own_batches([run.batches for run in of_seed], problem, "compare")

    try:
        for seed in chosen:
            of_seed = [
                Contestant(problem, c, seed, every=every, ratios=max(count // _RATIOS, 1), metric=decides)
                for of_rule in candidates.values()
                for c in of_rule
            ]
            require_own_arrays([run.arrays() for run in of_seed], problem, "compare")
            race(of_seed, count, by_seconds=budget == "seconds", on_turn=on_turn)
            for run in of_seed:
                runs.setdefault((run.candidate.rule, run.candidate.place), []).append(run)
            shown.say(f"compare: seed {seed} is done ({chosen.index(seed) + 1} of {len(chosen)})")
    finally:
        shown.end()
    entries = [_entry(rule, [runs[rule, c.place] for c in of_rule], decides) for rule, of_rule in candidates.items()]
    facts = {"problem": name_of(problem), "steps": count, "budget": budget, "seeds": chosen, "mode": mode}
    return _result(entries, decides, goal, facts)


def _finite(target: Any) -> float:
    goal = as_float(target, "compare: target", "a finite number")
    if not math.isfinite(goal):
        raise ValueError(f"compare: target must be a finite number, got {goal}")
    return goal


def _seeds(seeds: Any) -> list[int]:
    if isinstance(seeds, np.ndarray) and seeds.ndim == 1:
        seeds = seeds.tolist()
    if isinstance(seeds, Sequence) and not isinstance(seeds, (str, bytes)):
        found = [as_int(seed, "compare: seeds", "ints >= 0", 0) for seed in seeds]
        if not found or len(set(found)) < len(found):
            raise ValueError(f"compare: seeds must be different ints, at least one, got {short_repr(seeds)}")
        return found
    return list(range(as_int(seeds, "compare: seeds", "an int >= 1 or a list of ints", 1)))


def _entry(rule: str, runs: list[list[Contestant]], metric: Metric) -> Entry:
    return Entry(rule, runs[best_candidate(runs, metric)], [of_candidate[0].lr for of_candidate in runs])


def _result(entries: list[Entry], metric: Metric, target: float | None, facts: dict[str, Any]) -> Comparison:
    ranked = sorted(entries, key=lambda entry: entry.cost(metric))  # stable: of equal ones the first
    origin = "as it was asked for"
    if target is None:
        target, origin = _default_target(entries)
    best, verdict = verdict_of(ranked, metric)
    reached = {
        entry.rule: [at and at[0] for at in (None if target is None else run.reached(target) for run in entry.runs)]
        for entry in entries
    }
    rows = [{**row_of(entry, target), "marked": entry.rule == best} for entry in ranked]
    data = {
        **facts,
        "metric": metric.name,
        "target": target,
        "target_from": origin,
        "best": best,
        "verdict": verdict,
        "warnings": warnings_of(ranked, metric),
        "rows": rows,
        "curves": {entry.rule: curves_of(entry.runs) for entry in ranked},
        "profile": {} if target is None else profile_of(reached),
        "environment": {
            "adamcore": __version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
            "date": dt.datetime.now(tz=dt.timezone.utc).date().isoformat(),
        },
    }
    return Comparison(plain(data), reached)


def _default_target(entries: list[Entry]) -> tuple[float | None, str]:
    """Return what the first rule that did not diverge has reached after 90% of its run, and words for it."""
    for entry in entries:
        values = [value for run in entry.runs if not run.diverged for value in _at_90_percent(run)]
        if values:
            return median(values), f"which {entry.rule} had reached after 90% of its run"
    return None, ""


def _at_90_percent(run: Contestant) -> list[float]:
    """Return the last finite metric of the first 90% of a run, or that of its end; none if there is no such metric."""
    found = [(step, value) for step, _, value in run.metrics if step and math.isfinite(value)]
    before = [value for step, value in found if step <= _TARGET_AT * len(run.losses)]
    return before[-1:] or [value for _, value in found[-1:]]
