"""Networks of dense layers that read handwritten digits, healthy ones and ones in which something is wrong.

A `Layers` is a problem: an object with `init`, `batches`, `loss_and_grad` and `evaluate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from problems.parts import cross_entropy, digits, shuffled

from adamcore._cli.network import Array, Params

Activation = Literal["tanh", "relu", "sigmoid"]
Batch = tuple[Array, Array]

GAINS = {"tanh": 1.0, "relu": 2.0, "sigmoid": 1.0}


@dataclass(frozen=True)
class Layers:
    """A network of dense layers.

    Attributes
    ----------
    hidden : tuple of int
        The width of each hidden layer.
    activation : {"tanh", "relu", "sigmoid"}
    skip : bool
        Whether each hidden layer after the first adds its input to its output. All must have the same width then.
    batch, rows : int
        The size of a batch, and how many digits there are to train on.
    shift : float
        What biases of hidden layers begin with. With ReLUs, a large negative one makes dead units.
    labels : float
        The share of training labels that are drawn at random.
    identical : bool
        Whether all units of a hidden layer begin with the same weights. They get the same gradients then, so that
        training alone never tells them apart.
    gain : float, optional
        The variance of the weights of hidden layers, times the number of their inputs. The default depends on the
        activation.
    """

    hidden: tuple[int, ...] = (64,)
    activation: Activation = "tanh"
    skip: bool = False
    batch: int = 64
    rows: int = 1438
    shift: float = 0.0
    labels: float = 0.0
    identical: bool = False
    gain: float | None = None

    def init(self, rng: np.random.Generator) -> Params:
        """Draw weights of variance gain / inputs."""
        params = {}
        for i, (rows, columns) in enumerate(pairwise((64, *self.hidden, 10))):
            gain = (self.gain or GAINS[self.activation]) if i < len(self.hidden) else 1.0
            params[f"w{i}"] = (rng.standard_normal((rows, columns)) * np.sqrt(gain / rows)).astype(np.float32)
            params[f"b{i}"] = np.full(columns, self.shift if i < len(self.hidden) else 0, np.float32)
            if self.identical and i < len(self.hidden):
                params[f"w{i}"][...] = params[f"w{i}"][:, :1]
            if self.identical and i:
                params[f"w{i}"][...] = params[f"w{i}"][:1]
        return params

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield one epoch of batches."""
        data = digits()
        labels = data.labels.copy()
        wrong = np.random.default_rng(1).random(len(labels)) < self.labels
        labels[wrong] = np.random.default_rng(2).integers(0, 10, int(wrong.sum()))
        for rows in shuffled(rng, self.rows, self.batch):
            yield data.x[rows], labels[rows]

    def loss_and_grad(self, params: Params, batch: Batch) -> tuple[float, Params]:
        """Compute the mean cross-entropy of a batch, and its gradients by parameter name."""
        x, labels = batch
        outputs = self._forward(params, x)
        loss, delta = cross_entropy(outputs.pop(), labels)
        grads, around = {}, np.float32(0)  # the gradient that goes around a layer
        for i in reversed(range(len(self.hidden) + 1)):
            grads[f"w{i}"] = outputs[i].T @ delta
            grads[f"b{i}"] = delta.sum(axis=0)
            if i:
                back = delta @ params[f"w{i}"].T + around
                around = back if self.skip else around
                value = outputs[i] - outputs[i - 1] if self.skip and i > 1 else outputs[i]
                delta = back * self._slope(value)
        return loss, {name: grads[name] for name in params}

    def evaluate(self, params: Params) -> dict[str, float]:
        """Return the mean cross-entropy of the held-out digits, and the fraction that is read correctly."""
        data = digits()
        logits = self._forward(params, data.x_held_out)[-1]
        loss, _ = cross_entropy(logits, data.labels_held_out)
        return {"val_loss": loss, "val_accuracy": float((logits.argmax(axis=1) == data.labels_held_out).mean())}

    def hidden_outputs(self, params: Params, x: Array) -> list[Array]:
        """Return the outputs of each hidden layer."""
        return self._forward(params, x)[1:-1]

    def _forward(self, params: Params, x: Array) -> list[Array]:
        outputs = [x]
        for i in range(len(self.hidden)):
            value = self._activate(outputs[-1] @ params[f"w{i}"] + params[f"b{i}"])
            outputs.append(value + outputs[-1] if self.skip and i else value)
        outputs.append(outputs[-1] @ params[f"w{len(self.hidden)}"] + params[f"b{len(self.hidden)}"])
        return outputs

    def _activate(self, z: Array) -> Array:
        if self.activation == "relu":
            return np.maximum(z, 0)
        if self.activation == "tanh":
            return np.tanh(z)
        return np.asarray(0.5 * np.tanh(0.5 * z) + 0.5)

    def _slope(self, value: Array) -> Array:
        """Return the derivative of the activation, from its value."""
        if self.activation == "relu":
            return np.asarray(value > 0, value.dtype)
        return np.asarray(1 - value * value if self.activation == "tanh" else value * (1 - value))
