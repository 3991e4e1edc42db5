"""A problem of your own, for `ac.fit` and `ac.compare`: a small network learns a curve from noisy points.

    python examples/problem.py                                           # trains it, and says how that went
    python -m adamcore compare examples/problem.py --report report.html  # which optimizer is best here?

Copy this file, and put your own parameters, batches and gradients in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

import adamcore as ac

Params = dict[str, np.ndarray]
Batch = tuple[np.ndarray, np.ndarray]


def init(rng: np.random.Generator) -> Params:
    """Return new parameters. They may also be a list, or nested."""
    return {
        "w1": rng.standard_normal((1, 32)).astype(np.float32),
        "b1": rng.standard_normal(32).astype(np.float32),
        "w2": (rng.standard_normal((32, 1)) / np.sqrt(32)).astype(np.float32),
        "b2": np.zeros(1, np.float32),
    }


def batches(rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the batches of one epoch. A batch may be any object."""
    for _ in range(50):
        x = rng.uniform(-3, 3, (64, 1)).astype(np.float32)
        yield x, curve(x) + rng.normal(0, 0.1, x.shape).astype(np.float32)


def loss_and_grad(params: Params, batch: Batch) -> tuple[float, Params]:
    """Return the loss of a batch, and the gradient of each parameter."""
    x, y = batch
    hidden = np.tanh(x @ params["w1"] + params["b1"])
    error = hidden @ params["w2"] + params["b2"] - y
    d_out = 2 * error / len(x)
    d_hidden = (d_out @ params["w2"].T) * (1 - hidden * hidden)
    grads = {"w1": x.T @ d_hidden, "b1": d_hidden.sum(axis=0), "w2": hidden.T @ d_out, "b2": d_out.sum(axis=0)}
    return float(np.square(error).mean()), grads


def evaluate(params: Params) -> dict[str, float]:
    """Return what is measured now and then, of data that are not trained on. This function may be left out."""
    x = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
    predicted = np.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]
    return {"val_loss": float(np.square(predicted - curve(x)).mean())}


def curve(x: np.ndarray) -> np.ndarray:
    """Return what is to be learnt."""
    return np.sin(2 * x) * np.exp(-0.2 * x * x)


if __name__ == "__main__":
    import sys

    run = ac.fit(sys.modules[__name__], partial(ac.AdamW, lr=0.01), epochs=30, monitor=True, progress=None)
    print(run.describe())
    assert run.history["val_loss"][-1] < 0.01
