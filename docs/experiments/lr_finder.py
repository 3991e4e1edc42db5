"""Compare the suggestions of `ac.lr_finder` with the best rate of a grid, on five networks trained by Adam.

    python docs/experiments/lr_finder.py

A number is the held-out loss after training at a constant rate, divided by that of the best rate of a grid of powers of
2, from 2^-14 to 2^-3. Each is the median over the seeds of losses at the end (the mean of the last 3 of the validations
that the run has, one in 20 steps). The sweep begins with the parameters with which training begins.

docs/tuning.md discusses the results.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache
from statistics import median
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from problems import autoencoder, convnet, transformer
from problems.layers import Layers

import adamcore as ac
from adamcore._cli.training import one_thread
from adamcore.training.lr_range import LrRange

GRID = [2.0**power for power in range(-14, -2)]
WAYS = {"steepest": "suggestion", "minimum/10": "minimum_tenth", "valley": "valley"}


class Net(NamedTuple):
    """A problem, and how many steps it is trained."""

    problem: Layers | ModuleType
    steps: int


NETS = {
    "digits, tanh 64": Net(Layers(), 300),
    "digits, ReLU 3 x 64": Net(Layers((64, 64, 64), "relu"), 300),
    "autoencoder": Net(autoencoder, 300),
    "convnet": Net(convnet, 200),
    "transformer": Net(transformer, 150),
}


def main() -> None:
    """Print the table."""
    options = _parse()
    one_thread()
    print(f"| network | best rate | {' | '.join(f'{way}: rate | loss / best' for way in WAYS)} |")
    print("|---" * (2 + 2 * len(WAYS)) + "|")
    for name in options.only or NETS:
        print(f"| {name} | {' | '.join(row(name, options.seeds, options.steps))} |", flush=True)


def row(name: str, seeds: int, sweep: int) -> list[str]:
    """Return the cells of a network."""
    best = min(GRID, key=lambda rate: _loss(name, rate, seeds))
    cells = [f"{best:.2g}"]
    for attribute in WAYS.values():
        rates = [getattr(swept(name, seed, sweep), attribute) for seed in range(seeds)]
        reached = median(held_out(name, rate, seed) for seed, rate in enumerate(rates))
        cells += [f"{median(rates):.2g}", f"{reached / _loss(name, best, seeds):.2f}"]
    return cells


def _loss(name: str, rate: float, seeds: int) -> float:
    return median(held_out(name, rate, seed) for seed in range(seeds))


@cache
def swept(name: str, seed: int, steps: int) -> LrRange:
    """Sweep with the parameters of a seed, and then with batches that training does not see in this order."""
    problem: Any = NETS[name].problem
    opt = ac.Adam(problem.init(np.random.default_rng(seed)))
    rng = np.random.default_rng(1000 + seed)
    return ac.lr_finder(opt, problem.loss_and_grad, _endless(problem, rng), steps=steps, rngs=[rng])


@cache
def held_out(name: str, rate: float, seed: int) -> float:
    """Train at a constant rate, and return the held-out loss at the end; inf if it is not finite."""
    problem, steps = NETS[name]
    run = ac.fit(
        problem, lambda params: ac.Adam(params, lr=rate), steps=steps, seed=seed, validate_every=20, progress=None
    )
    losses = run.history["val_loss"]
    last = losses[np.arange(len(losses)) % 20 == 19][-3:]  # NaN where the run has diverged
    return float(last.mean()) if np.isfinite(last).all() else float("inf")


def _endless(problem: Any, rng: np.random.Generator) -> Iterator[Any]:
    while True:
        yield from problem.batches(rng)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="of each sweep")
    parser.add_argument("--only", nargs="+", choices=list(NETS), help="networks")
    return parser.parse_args()


if __name__ == "__main__":
    main()
