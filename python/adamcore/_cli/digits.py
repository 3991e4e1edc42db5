"""The problem that ``adamcore compare`` takes unless it is given another one: a small network reads digits.

It is a module with the functions of a problem, as yours may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from adamcore._cli import network
from adamcore._cli.network import Array, Params
from adamcore._cli.training import BATCH, Digits, read_digits

HIDDEN = 64

Batch = tuple[Array, Array]


@cache
def _digits() -> Digits:
    return read_digits(seed=0)


def init(rng: np.random.Generator) -> Params:
    """Return new parameters."""
    return network.init_params(rng, 64, HIDDEN, classes=10)


def batches(rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the batches of one epoch."""
    data = _digits()
    order = rng.permutation(len(data.x))
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        yield data.x[rows], data.labels[rows]


def loss_and_grad(params: Params, batch: Batch) -> tuple[float, Params]:
    """Return the loss of a batch, and its gradients by parameter name."""
    return network.loss_and_grads(params, *batch)


def evaluate(params: Params) -> dict[str, float]:
    """Return the mean cross-entropy of digits that are not trained on, and the share that is read correctly."""
    data = _digits()
    loss, _ = network.loss_and_grads(params, data.x_held_out, data.labels_held_out)
    return {"val_loss": loss, "val_accuracy": network.accuracy(params, data.x_held_out, data.labels_held_out)}


def weight(batch: Batch) -> int:
    """Return the number of digits in a batch."""
    return len(batch[1])
