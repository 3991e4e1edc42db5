"""What several problems share: the digits, the order of an epoch, and the loss of a softmax."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from adamcore._cli.network import Array
from adamcore._cli.training import Digits, read_digits


@cache
def digits() -> Digits:
    """Return scikit-learn's digits, always split in the same way: 1438 to train on, and 359 held out."""
    return read_digits(seed=0)


def shuffled(rng: np.random.Generator, count: int, batch: int) -> Iterator[Array]:
    """Yield the rows of each batch of an epoch. The last batch may be smaller."""
    order = rng.permutation(count)
    for first in range(0, count, batch):
        yield order[first : first + batch]


def cross_entropy(logits: Array, labels: Array) -> tuple[float, Array]:
    """Return the mean cross-entropy of the rows, and its gradient by the logits."""
    rows = np.arange(len(labels))
    log_chance = logits - logits.max(axis=1, keepdims=True)
    log_chance -= np.log(np.exp(log_chance).sum(axis=1, keepdims=True))
    d_logits = np.exp(log_chance)
    d_logits[rows, labels] -= 1
    d_logits /= len(labels)
    return -float(log_chance[rows, labels].mean()), d_logits
