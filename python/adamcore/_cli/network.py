"""A network with one hidden tanh layer and a softmax output: its loss, and its gradients, written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Params = dict[str, Array]


def init_params(
    rng: np.random.Generator, inputs: int, hidden: int, classes: int, dtype: DTypeLike = np.float32
) -> Params:
    """Draw weights with variance 1 / (number of inputs). Biases start at zero."""

    def weights(rows: int, columns: int) -> Array:
        return np.asarray(rng.standard_normal((rows, columns)) / np.sqrt(rows), dtype)

    return {
        "w1": weights(inputs, hidden),
        "b1": np.zeros(hidden, dtype),
        "w2": weights(hidden, classes),
        "b2": np.zeros(classes, dtype),
    }


def loss_and_grads(params: Params, x: Array, labels: Array) -> tuple[float, Params]:
    """Compute the mean cross-entropy of a batch, and its gradients by parameter name.

    Parameters
    ----------
    params : dict of arrays
        Parameters from `init_params`.
    x : array of shape (batch, inputs)
    labels : array of shape (batch,)
        The class of each row.

    Returns
    -------
    loss : float
    grads : dict of arrays
        Gradients with the shapes, dtype and order of `params`.
    """
    rows = np.arange(len(labels))
    hidden = np.tanh(x @ params["w1"] + params["b1"])
    log_chance = _log_softmax(hidden @ params["w2"] + params["b2"])
    loss = -float(log_chance[rows, labels].mean())

    d_logits = np.exp(log_chance)
    d_logits[rows, labels] -= 1
    d_logits /= len(labels)
    d_hidden = (d_logits @ params["w2"].T) * (1 - hidden * hidden)
    return loss, {
        "w1": x.T @ d_hidden,
        "b1": d_hidden.sum(axis=0),
        "w2": hidden.T @ d_logits,
        "b2": d_logits.sum(axis=0),
    }


def accuracy(params: Params, x: Array, labels: Array) -> float:
    """Return the fraction of rows whose most likely class is their label."""
    logits = np.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]
    return float((logits.argmax(axis=1) == labels).mean())


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted)
