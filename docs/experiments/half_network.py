"""A half-precision network of tanh layers. As in hardware, products are summed in float32 and then rounded."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Params = dict[str, Array]


def init_params(rng: np.random.Generator, widths: tuple[int, ...], dtype: DTypeLike) -> Params:
    """Draw weights of variance 1 / (number of inputs); biases start at zero.

    Both bfloat16 and float16 can represent these weights exactly, so networks of every type start from the same ones.
    """
    params = {}
    for i, (rows, columns) in enumerate(pairwise(widths)):
        weights = rng.standard_normal((rows, columns)) / np.sqrt(rows)
        params[f"w{i}"] = weights.astype(ml_dtypes.bfloat16).astype(np.float16).astype(dtype)
        params[f"b{i}"] = np.zeros(columns, dtype)
    return params


def rounded(values: Array, dtype: DTypeLike) -> Array:
    """Round to the nearest numbers of `dtype`, ties to even. In float16, overflow becomes inf."""
    if dtype == np.float16:
        # NumPy's conversion is slow if the result is subnormal and inexact. This rounds such values to a multiple of
        # 2**-24, which is float32's unit in the last place at 0.75, so nothing is left to round. `values` are float32.
        shift = np.float32(0.75)
        values = np.where(abs(values) < 2.0**-14, (values + shift) - shift, values)
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def loss_and_grads(params: Params, x: Array, labels: Array, factor: float) -> tuple[float, Params]:
    """Compute the mean cross-entropy of a batch, and the gradients of `factor` times the sum of its cross-entropies.

    Parameters
    ----------
    params : dict of arrays
        Parameters made by `init_params`. Activations and gradients have the same dtype.
    x : array of shape (batch, inputs)
    labels : array of shape (batch,)
        The class index of each row.
    factor : float
        Multiplies the gradient of the logits before it is rounded.

    Returns
    -------
    loss : float
    grads : dict of arrays
        Arrays with the shapes and dtype of `params`.
    """
    activations = _forward(params, x)
    log_chance = _log_softmax(activations[-1])
    rows = np.arange(len(labels))
    d_out = np.exp(log_chance)
    d_out[rows, labels] -= 1
    d_out = rounded(d_out * d_out.dtype.type(factor), activations[-1].dtype)
    return -float(log_chance[rows, labels].mean()), _backward(params, activations, d_out)


def evaluate(params: Params, x: Array, labels: Array) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy."""
    log_chance = _log_softmax(_forward(params, x)[-1])
    loss = -float(log_chance[np.arange(len(labels)), labels].mean())
    return loss, float((log_chance.argmax(axis=1) == labels).mean())


def _forward(params: Params, x: Array) -> list[Array]:
    """Compute the input, each hidden layer and the logits, all rounded to the parameters' type."""
    dtype, layers = params["w0"].dtype, len(params) // 2
    activations = [x.astype(dtype)]
    for i in range(layers):
        z = rounded(_wide(activations[-1]) @ _wide(params[f"w{i}"]) + _wide(params[f"b{i}"]), dtype)
        activations.append(z if i == layers - 1 else rounded(np.tanh(_wide(z)), dtype))
    return activations


def _backward(params: Params, activations: list[Array], d_out: Array) -> Params:
    """Backpropagate the gradient of the logits. All results are rounded to its type."""
    grads, dtype = {}, d_out.dtype
    for i in reversed(range(len(params) // 2)):
        inputs, delta = _wide(activations[i]), _wide(d_out)
        grads[f"w{i}"] = rounded(inputs.T @ delta, dtype)
        grads[f"b{i}"] = rounded(delta.sum(axis=0), dtype)
        if i > 0:
            d_inputs = rounded(delta @ _wide(params[f"w{i}"]).T, dtype)
            d_out = rounded(_wide(d_inputs) * (1 - inputs * inputs), dtype)
    return grads


def _wide(values: Array) -> Array:
    return values.astype(np.promote_types(values.dtype, np.float32), copy=False)


def _log_softmax(logits: Array) -> Array:
    wide = _wide(logits)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
