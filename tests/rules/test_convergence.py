"""Every optimizer finds minima, and AMSGrad finds the one that Adam misses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import adamcore as ac
from helpers import make
from reference import Case


def descend(case: Case, x: np.ndarray, gradient, steps: int, tuned: dict[str, float]) -> None:
    sign = -1 if case.options.get("maximize") else 1
    plain = {"weight_decay": 0.0} if "weight_decay" in case.presets else {}
    optimizer = make(case, x, **{**plain, **tuned, "lr": lambda t: tuned["lr"] * (1 - t / steps)})
    for _ in range(steps):
        optimizer.step(sign * gradient(x))


def test_quadratic(case: Case, dtype: type) -> None:
    scales = np.logspace(-0.5, 1, 40).astype(dtype)
    target = np.linspace(-1, 1, 40).astype(dtype)
    x = np.zeros(40, dtype)
    descend(case, x, lambda x: scales * (x - target), 3000, case.tuning.quadratic)
    assert np.max(np.abs(x - target)) < 0.01


def test_rosenbrock(case: Case) -> None:
    def gradient(x: np.ndarray) -> np.ndarray:
        a, b = x
        return np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])

    x = np.array([-1.2, 1.0])
    descend(case, x, gradient, case.tuning.steps, case.tuning.rosenbrock)
    assert np.linalg.norm(x - 1) < 0.1


def test_digits(case: Case) -> None:
    """Softmax regression on handwritten digits, a tenth held back. BLAS starts no threads for batches of 400."""
    digits = load_digits()
    x = (digits.data / 16).astype(np.float32)
    y = np.eye(10, dtype=np.float32)[digits.target]
    order = np.random.default_rng(0).permutation(len(x))
    batches, test = np.array_split(order[180:], 4), order[:180]
    params = {"w": np.zeros((64, 10), np.float32), "b": np.zeros(10, np.float32)}
    sign = np.float32(-1 if case.options.get("maximize") else 1)
    optimizer = make(case, params, **case.tuning.digits)
    for k in range(300):
        batch = batches[k % 4]
        z = x[batch] @ params["w"] + params["b"]
        prob = np.exp(z - z.max(axis=1, keepdims=True))
        prob /= prob.sum(axis=1, keepdims=True)
        error = sign * (prob - y[batch]) / np.float32(len(batch))
        optimizer.step({"w": x[batch].T @ error, "b": error.sum(axis=0)})
    found = (x[test] @ params["w"] + params["b"]).argmax(axis=1)
    assert np.mean(found == digits.target[test]) > 0.9


def reddi(amsgrad: bool) -> float:
    """The synthetic problem of Reddi, Kale & Kumar (2018), section 3: 1010 x every 101st step, else -10 x, on [-1, 1].

    The minimum is at -1. Rare large gradients are forgotten between their occurrences, so Adam drifts to +1.
    """
    x = np.zeros(1)
    optimizer = ac.Adam(x, lr=lambda t: 0.5 / np.sqrt(t + 1), betas=(0.9, 0.99), eps=1e-8, amsgrad=amsgrad)
    for t in range(1, 60_001):
        optimizer.step(np.array([1010.0 if t % 101 == 1 else -10.0]))
        np.clip(x, -1, 1, out=x)
    return float(x[0])


@pytest.mark.parametrize("amsgrad", [False, True])
def test_reddi_counterexample(amsgrad: bool) -> None:
    assert reddi(amsgrad) < -0.9 if amsgrad else reddi(amsgrad) > 0.9
