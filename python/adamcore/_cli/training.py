"""The training of the demo: the digits, the training loop, and the rules that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn depends on it

import adamcore as ac
from adamcore._cli import network, textbook
from adamcore._cli.network import Array, Params

BATCH = 64


class Stepper(Protocol):
    """The interface of optimizers that the training loop uses."""

    def step(self, grads: Params) -> Any:
        """Update the parameters in place."""


Maker = Callable[[Params], Stepper]
"""Binds an optimizer to parameters."""


class Rule(NamedTuple):
    """One update rule with its hyper-parameters, as an adamcore optimizer and as a textbook one."""

    name: str
    core: Maker
    textbook: Maker


def _rule(name: str, core: Callable[..., Stepper], book: Callable[..., Stepper], **options: float) -> Rule:
    return Rule(name, partial(core, **options), partial(book, **options))


RULES = (
    _rule("AdamW", ac.AdamW, textbook.AdamW, lr=2e-3, weight_decay=1e-2),
    _rule("AMSGrad", partial(ac.Adam, amsgrad=True), textbook.AMSGrad, lr=1e-3),
    _rule("RMSprop", ac.RMSprop, textbook.RMSprop, lr=3e-4),
    _rule("Adagrad", ac.Adagrad, textbook.Adagrad, lr=1e-2),
    _rule("SGD, momentum", ac.SGD, textbook.SGD, lr=5e-2, momentum=0.9),
)


class Digits(NamedTuple):
    """Scikit-learn's 1797 handwritten digits, of which a fifth is kept for validation."""

    x: Array
    labels: Array
    x_held_out: Array
    labels_held_out: Array


@dataclass
class Run:
    """The result of one training; times are in seconds."""

    params: Params
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    accuracy: float = 0.0
    step_time: float = 0.0
    loop_time: float = 0.0


@dataclass(frozen=True)
class Contest:
    """The same training with adamcore's optimizer and with the textbook's."""

    name: str
    core: Run
    textbook: Run

    @property
    def factor(self) -> float:
        """How many times longer the textbook's steps took."""
        return self.textbook.step_time / self.core.step_time

    @property
    def difference(self) -> float:
        """The largest absolute difference between the two networks' weights."""
        return max(float(abs(p - self.textbook.params[name]).max()) for name, p in self.core.params.items())


def read_digits(seed: int) -> Digits:
    """Load the digits as float32 pixels in [0, 1], and split them at random."""
    pixels, labels = load_digits(return_X_y=True)
    x = (pixels / 16).astype(np.float32)
    held_out, used = np.split(np.random.default_rng(seed).permutation(len(x)), [len(x) // 5])
    return Digits(x[used], labels[used], x[held_out], labels[held_out])


def train(
    make: Maker,
    digits: Digits,
    *,
    epochs: int,
    hidden: int,
    seed: int,
    on_epoch: Callable[[], None] = lambda: None,
) -> Run:
    """Train a new network.

    Parameters
    ----------
    make : callable
        Binds an optimizer to the network's parameters.
    digits : Digits
    epochs, hidden : int
        Number of passes over the digits, and number of units in the hidden layer.
    seed : int
        Seed of the initial weights and the batches. The same seed gives every optimizer the same ones.
    on_epoch : callable
        Called after each epoch.

    Returns
    -------
    Run
        The result. Its losses are the mean loss of the batches in each epoch.
    """
    rng = np.random.default_rng(seed)
    run = Run(network.init_params(rng, digits.x.shape[1], hidden, classes=10))
    optimizer = make(run.params)
    for _ in range(epochs):
        started = perf_counter()
        _train_epoch(run, optimizer, digits, rng.permutation(len(digits.x)))
        run.loop_time += perf_counter() - started
        on_epoch()
    run.accuracy = network.accuracy(run.params, digits.x_held_out, digits.labels_held_out)
    return run


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit adamcore and NumPy's BLAS to one thread each, so that the comparison of updates is fair."""
    threads = ac.get_num_threads()
    ac.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        ac.set_num_threads(threads)


def _train_epoch(run: Run, optimizer: Stepper, digits: Digits, order: Array) -> None:
    total = 0.0
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        loss, grads = network.loss_and_grads(run.params, digits.x[rows], digits.labels[rows])
        total += loss * len(rows)
        started = perf_counter()
        optimizer.step(grads)
        run.step_time += perf_counter() - started
        run.steps += 1
    run.losses.append(total / len(order))
