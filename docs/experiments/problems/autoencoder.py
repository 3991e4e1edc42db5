"""An autoencoder of handwritten digits: 64-48-16-48-64, with tanh in the two wide hidden layers.

The loss of an image is half the squared distance between its pixels, which are in [0, 1], and their reconstruction.
The 16 principal components of the images have a held-out loss of 0.366, and the mean image one of 2.33.

AdamW with a rate of 3e-3 lowers the held-out loss from about 10 to 0.46 in 300 steps, 0.37 in 1000, and 0.35 in 1500.
SGD with a momentum of 0.9 and a rate of 0.03 gets to 0.40, 0.37 and 0.35; with 0.1 it diverges.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from problems.parts import digits, shuffled

from adamcore._cli.network import Array, Params

WIDTHS = (64, 48, 16, 48, 64)
LAYERS = len(WIDTHS) - 1
CURVED = (0, 2)  # The code and the reconstruction are linear.
BATCH = 32


def init(rng: np.random.Generator) -> Params:
    """Draw weights of variance 2 / (inputs + outputs), which is Xavier's. Biases start at zero."""
    params = {}
    for i, (rows, columns) in enumerate(pairwise(WIDTHS)):
        weights = rng.standard_normal((rows, columns)) * np.sqrt(2 / (rows + columns))
        params[f"w{i}"] = weights.astype(np.float32)
        params[f"b{i}"] = np.zeros(columns, np.float32)
    return params


def batches(rng: np.random.Generator) -> Iterator[Array]:
    """Yield one epoch of batches of images."""
    x = digits().x
    for rows in shuffled(rng, len(x), BATCH):
        yield x[rows]


def loss_and_grad(params: Params, batch: Array) -> tuple[float, Params]:
    """Compute the mean loss of a batch, and its gradients by parameter name."""
    outputs = _forward(params, batch)
    delta = (outputs[-1] - batch) / len(batch)
    grads = {}
    for i in reversed(range(LAYERS)):
        if i in CURVED:
            delta = delta * (1 - outputs[i + 1] * outputs[i + 1])
        grads[f"w{i}"] = outputs[i].T @ delta
        grads[f"b{i}"] = delta.sum(axis=0)
        if i > 0:
            delta = delta @ params[f"w{i}"].T
    return _loss(outputs[-1], batch), {name: grads[name] for name in params}


def evaluate(params: Params) -> dict[str, float]:
    """Return the mean loss of the held-out images."""
    x = digits().x_held_out
    return {"val_loss": _loss(_forward(params, x)[-1], x)}


def _forward(params: Params, x: Array) -> list[Array]:
    """Compute the input and the output of each layer."""
    outputs = [x]
    for i in range(LAYERS):
        z = outputs[-1] @ params[f"w{i}"] + params[f"b{i}"]
        outputs.append(np.tanh(z) if i in CURVED else z)
    return outputs


def _loss(reconstruction: Array, x: Array) -> float:
    return 0.5 * float(np.square(reconstruction - x).sum(axis=1).mean())
