"""Saddles: functions and networks of which it is known whether they have come to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from detecting.layers import HEALTHY
from detecting.runs import ADAMW, share
from problems.layers import Layers
from problems.parts import digits

import adamcore as ac

STEPS, ROWS = 1500, 512
ALIVE = 2.25
"""A network that tells no digits apart has a loss of log(10) = 2.303."""


def factorisation(seed: int, *, solved: bool) -> bool:
    """Ask of a factorisation of rank 2: at its minimum, or with second columns of 0, which is an exact saddle."""
    rng = np.random.default_rng(seed)
    a, b = (np.linalg.qr(rng.standard_normal((rows, 2)))[0] for rows in (6, 5))
    sizes = np.sqrt(rng.uniform(1, 3, 2))
    u, v = a * sizes, b * sizes
    target = u @ v.T
    if not solved:
        u[:, 1] = v[:, 1] = 0

    def loss_and_grad(params: Any, _: Any) -> tuple[float, Any]:
        error = params["u"] @ params["v"].T - target
        return 0.01 + float(np.square(error).sum()), {"u": 2 * error @ params["v"], "v": 2 * error.T @ params["u"]}

    opt = ac.AdamW({"u": u, "v": v})
    return is_saddle(opt, loss_and_grad, None, seed)


def is_saddle(opt: ac.Optimizer, loss_and_grad: Callable[..., Any], batch: Any, seed: int) -> bool:
    """Ask a monitor."""
    return bool(ac.Monitor(opt, seed=seed).curvature(loss_and_grad, batch).is_saddle)


def of_network(problem: Layers, seed: int, steps: int = STEPS) -> tuple[bool, float]:
    """Train, and return whether the monitor calls the end a saddle, and the last losses."""
    run = ac.fit(problem, ADAMW, steps=steps, seed=seed, progress=None)
    data = digits()
    rows = np.random.default_rng(seed).permutation(len(data.x))[:ROWS]
    found = is_saddle(run.opt, problem.loss_and_grad, (data.x[rows], data.labels[rows]), seed)
    return found, float(run.history["loss"][-50:].mean())


def rows(runs: int) -> Iterator[tuple[str, list[bool]]]:
    """Yield what is measured, and for each run whether it was called a saddle."""
    yield "exact saddles, factorisation", [factorisation(seed, solved=False) for seed in range(20)]
    for activation in ("tanh", "relu"):
        ends = [of_network(Layers((16,), activation, identical=True), seed) for seed in range(runs + 1)]
        yield f"identical units, {activation}", [found for found, loss in ends if loss < ALIVE]
    yield "no saddle: minima", [factorisation(seed, solved=True) for seed in range(20)]
    trained = partial(of_network, steps=600)
    yield "no saddle: trained networks", [trained(HEALTHY[name], seed)[0] for name in HEALTHY for seed in range(2)]
    yield (
        "no saddle: vanishing, converged",
        [
            of_network(Layers((32,) * 8, "sigmoid"), 0, 500)[0],
            of_network(Layers((64,), "tanh", rows=64), 0, 3000)[0],
        ],
    )


def show(runs: int = 8) -> None:
    """Print the table."""
    print("saddle: runs that are called one")
    for name, found in rows(runs):
        print(f"  {name:34} {share(found)}", flush=True)
