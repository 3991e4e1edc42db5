"""Compare searches for the numbers of AdamW on the digits, which all have the same number of training steps.

    python docs/experiments/tuning.py

Each search has 2880 steps; a whole trial has 240. Random search draws from the same ranges, and runs each of its 12
trials to the end. In a repetition, all searches train the same initial weights on the same batches. The value of a
search is the lowest validation loss of its whole trials.

- mean, median: of these values over the repetitions
- wins: how often the value is lower than random search's, which is done five times in each repetition
- whole: how many trials came to their end, and of how many
- new seeds: the mean, over the repetitions, of the median loss of the winner on 5 seeds that no search has used
- refined: the same for the one of the three best trials that has the lowest median on 5 other new seeds, as `refine`
  finds it; for random search, of the first of its five

docs/tuning.md discusses the results.
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from statistics import fmean, median
from typing import Any, NamedTuple

import numpy as np
import optuna

import adamcore as ac
from adamcore._cli import digits
from adamcore._cli.training import one_thread

STEPS, BUDGET = 240, 2880
RANGES = {"lr": (1e-5, 1.0), "1 - beta1": (0.01, 0.5), "1 - beta2": (1e-4, 0.1)}
NEW_SEEDS = 5
NEW_FROM = 1_000_000
DRAWS = 5
TOP = 3

PRUNERS = {"TPE": None, "TPE, median": "median", "TPE, Hyperband": "hyperband", "tune": "asha"}


class Found(NamedTuple):
    """What a search has found."""

    value: float
    best: list[dict[str, Any]]
    """The numbers of the three best trials."""
    whole: int
    trials: int


def loss_of(numbers: dict[str, Any], seed: int) -> float:
    """Return the validation loss at the end of a run."""
    run = ac.fit(digits, partial(ac.AdamW, **numbers), steps=STEPS, seed=seed, validate_every=STEPS, progress=None)
    loss = float(run.history["val_loss"][-1])
    return loss if math.isfinite(loss) else math.inf


def random_search(seed: int, draw: int) -> Found:
    """Run trials with random numbers to their end."""
    rng = np.random.default_rng([seed, draw])
    low, high = np.log(list(RANGES.values())).T
    found = []
    for _ in range(BUDGET // STEPS):
        lr, first, second = np.exp(rng.uniform(low, high)).tolist()
        numbers = {"lr": lr, "betas": (1 - first, 1 - second)}
        found.append((loss_of(numbers, seed), numbers))
    found.sort(key=lambda pair: pair[0])
    return Found(found[0][0], [numbers for _, numbers in found[:TOP]], len(found), len(found))


def search(seed: int, pruner: str | None) -> Found:
    """Tune, trial by trial, as long as there are steps left."""
    storage = optuna.storages.InMemoryStorage()
    trials = BUDGET // STEPS
    while True:
        tuning = ac.tune(
            digits, ac.AdamW, steps=STEPS, trials=trials, seed=seed, pruner=pruner, storage=storage, progress=None
        )
        if tuning.steps >= BUDGET:
            break
        trials += max((BUDGET - tuning.steps) // STEPS, 1)
    ends = np.cumsum([trial["steps"] for trial in tuning.trials])
    within = tuning.trials[: int((ends <= BUDGET).sum())]
    whole = sorted((t for t in within if t["state"] == "complete"), key=lambda trial: trial["value"])
    return Found(whole[0]["value"], [trial["numbers"] for trial in whole[:TOP]], len(whole), len(within))


def on_new_seeds(numbers: dict[str, Any], first: int = NEW_FROM) -> float:
    """Return the median loss on seeds that no search has used."""
    return median(loss_of(numbers, first + place) for place in range(NEW_SEEDS))


def refined(found: Found) -> dict[str, Any]:
    """Return those of the best numbers that are best on seeds of their own."""
    return min(found.best, key=lambda numbers: on_new_seeds(numbers, NEW_FROM + NEW_SEEDS))


def row(name: str, found: list[Found], random: list[list[Found]], *, is_fresh: bool) -> str:
    """Return a row of the table."""
    values = [each.value for each in found]
    won = ""
    if name != "random":
        pairs = [(ours, theirs.value) for draws in random for ours, theirs in zip(values, draws, strict=True)]
        won = f"{sum(ours < theirs for ours, theirs in pairs)} of {len(pairs)}"
    whole = f"{fmean(each.whole for each in found):.1f} of {fmean(each.trials for each in found):.0f}"
    fresh = ""
    if is_fresh:
        again = found[: len(random[0])]
        first, best = ([on_new_seeds(choose(each)) for each in again] for choose in (lambda one: one.best[0], refined))
        fresh = f"{fmean(first):.4f}     {fmean(best):.4f}"
    return f"{name:16}  {fmean(values):.4f}  {median(values):.4f}  {won:>10}  {whole:>12}  {fresh}".rstrip()


def main() -> int:
    """Print the table, and the values of each repetition."""
    parser = argparse.ArgumentParser(description="Compare searches for the numbers of AdamW on the digits.")
    parser.add_argument("--repetitions", type=int, default=20, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default: %(default)s)")
    parser.add_argument("--only", choices=PRUNERS, help="only random search and this one")
    parser.add_argument("--no-new-seeds", action="store_true", help="do not run the winners again")
    options = parser.parse_args()
    if options.repetitions < 1 or options.first < 0:
        parser.error("--repetitions must be at least 1, and --first at least 0")
    seeds = range(options.first, options.first + options.repetitions)
    names = [options.only] if options.only else list(PRUNERS)
    is_fresh = not options.no_new_seeds
    with one_thread(), np.errstate(all="ignore"):
        print(f"{'search':16}  {'mean':6}  {'median':6}  {'wins':>10}  {'whole':>12}  new seeds  refined", flush=True)
        random = [[random_search(seed, draw) for seed in seeds] for draw in range(DRAWS)]
        print(row("random", [each for draws in random for each in draws], random, is_fresh=is_fresh), flush=True)
        found = {}
        for name in names:
            found[name] = [search(seed, PRUNERS[name]) for seed in seeds]
            print(row(name, found[name], random, is_fresh=is_fresh), flush=True)
    shown = {**{f"random {draw}": draws for draw, draws in enumerate(random)}, **found}
    print(f"\n{'seed':>6}", *(f"{name:>14}" for name in shown))
    for place, seed in enumerate(seeds):
        print(f"{seed:>6}", *(f"{each[place].value:14.4f}" for each in shown.values()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
