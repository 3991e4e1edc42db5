"""Networks that are stuck: identical hidden units, and gradients that vanish; and runs with a `Policy`."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from escaping.treatments import Stuck, Treatment
from healthy import GROUPS, Case, cases
from problems.layers import Layers
from problems.parts import digits

import adamcore as ac
from adamcore import escape

STEPS, TREATED_AT, LR = 1500, 500, 3e-3
IDENTICAL = {name: Layers((16,), name, identical=True) for name in ("tanh", "relu")}
VANISHING = Layers((32,) * 8, "sigmoid")
WELL_BEGUN = Layers((32,) * 8, "sigmoid", gain=16.0)
ADAMW = partial(ac.AdamW, lr=LR)
LAST = 50


class Ended(NamedTuple):
    """The loss at the end of a run, and what was done to it."""

    loss: float
    acts: tuple[str, ...]


def treated(problem: Layers, treatment: Treatment, seed: int, init: Any = None, factor: float = 1.0) -> float:
    """Return the loss after 1500 steps, if the run is treated after 500 of them, and the rate then multiplied."""

    def treat(run: Any) -> None:
        if run.step == TREATED_AT:
            rows = np.random.default_rng(1).permutation(1438)[:512]
            batch = digits().x[rows], digits().labels[rows]
            treatment(Stuck(run.opt, problem.loss_and_grad, batch, init or problem.init, seed))
            run.opt.param_groups[0]["lr"] = run.opt.param_groups[0]["lr"] * factor

    run = ac.fit(problem, ADAMW, steps=STEPS, seed=seed, callbacks=[treat], progress=None)
    return float(run.history["loss"][-LAST:].mean())


def train(problem: Any, seed: int, *, policy: bool, window: int = 256, tol: float = 0.01, make: Any = ADAMW) -> Ended:
    """Return how a run of 1500 steps ends, with a policy or without."""
    run = ac.fit(
        problem,
        make,
        steps=STEPS,
        seed=seed,
        monitor=partial(ac.Monitor, window=window, tol=tol),
        policy=(lambda mon: escape.Policy(mon, problem.loss_and_grad)) if policy else None,
        progress=None,
    )
    assert run.monitor is not None
    return Ended(float(run.history["loss"][-LAST:].mean()), tuple(act.kind for act in run.monitor.acts))


def healthy_cases(runs: int) -> list[Case]:
    """Return healthy runs: 8 of digits, 5 of an autoencoder, 5 of a convolutional network, 2 of a transformer."""
    counts = dict(zip(("digits", "autoencoder", "convnet", "transformer"), (8, 5, 5, 2), strict=True))
    every = [case for group in GROUPS for case in cases(group, counts[group.name])]
    return every[:: max(len(every) // runs, 1)][:runs]


def run_healthy(case: Case, *, policy: bool) -> tuple[Any, float]:
    """Return the run and the mean of its last losses."""
    make = partial(ac.AdamW, lr=case.rate) if case.rule == "AdamW" else partial(ac.SGD, lr=case.rate, momentum=0.9)
    problem = case.group.problem
    run = ac.fit(
        problem,
        make,
        steps=case.group.steps,
        seed=case.seed,
        monitor=True,
        policy=(lambda mon: escape.Policy(mon, problem.loss_and_grad)) if policy else None,
        progress=None,
    )
    return run, float(run.history["loss"][-LAST:].mean())


def same_bits(a: Any, b: Any) -> bool:
    """Whether two runs have the same losses and parameters, bit for bit."""
    pairs = zip(a.opt.param_groups[0]["params"], b.opt.param_groups[0]["params"], strict=True)
    return a.history["loss"].tobytes() == b.history["loss"].tobytes() and all(
        x.tobytes() == y.tobytes() for x, y in pairs
    )
