"""Saddles of functions of a few variables, and networks for XOR, which have poor minima."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from escaping.treatments import Stuck, Treatment

import adamcore as ac

Pair = tuple[float, Any]
LR = 0.01
MOST_STEPS = 6000


def _turned(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _ridge(turn: np.ndarray, w: np.ndarray, _: Any) -> Pair:
    """x^2 - y^2 + y^4: two minima of -1/4, and a saddle between them."""
    x, y = turn @ w
    return float(x * x - y * y + y**4), turn.T @ np.array([2 * x, 4 * y**3 - 2 * y])


def _monkey(turn: np.ndarray, w: np.ndarray, _: Any) -> Pair:
    """x^3 - 3 x y^2 + (x^2 + y^2)^2: a saddle with three ways down, where the curvature is 0, and minima of -27/256."""
    x, y = turn @ w
    r = x * x + y * y
    inner = np.array([3 * x * x - 3 * y * y + 4 * x * r, -6 * x * y + 4 * y * r])
    return float(x**3 - 3 * x * y * y + r * r), turn.T @ inner


def _on_top(function: Callable[..., Pair], seed: int) -> Stuck:
    """Return AdamW on the ridge that leads to the saddle, with second moments of much larger gradients."""
    rng = np.random.default_rng(seed)
    turn = _turned(rng.uniform(0, 2 * np.pi))
    start = turn.T @ np.array([0.5, 1e-8 * rng.choice([-1, 1])])
    w = start.copy()
    opt = ac.AdamW({"w": w}, lr=LR, weight_decay=0.0)
    call = partial(function, turn)
    for _ in range(300):
        opt.step({"w": 4 * rng.standard_normal(2)})
    w[...] = start
    opt.state["w"]["exp_avg"][...] = 0

    def loss_and_grad(params: Any, batch: Any) -> Pair:
        loss, grad = call(params["w"], batch)
        return loss, {"w": grad}

    return Stuck(opt, loss_and_grad, None, lambda r: {"w": r.standard_normal(2)}, seed)


def _factors(seed: int) -> Stuck:
    """Return a factorisation of a matrix of rank 2 whose second columns are 0: an exact saddle."""
    rng = np.random.default_rng(seed)
    a, _ = np.linalg.qr(rng.standard_normal((6, 2)))
    b, _ = np.linalg.qr(rng.standard_normal((5, 2)))
    target = a @ np.diag([3.0, 1.5]) @ b.T
    params = {"u": np.zeros((6, 2)), "v": np.zeros((5, 2))}
    params["u"][:, 0], params["v"][:, 0] = a[:, 0] * np.sqrt(3.0), b[:, 0] * np.sqrt(3.0)

    def loss_and_grad(params: Any, _: Any) -> Pair:
        error = params["u"] @ params["v"].T - target
        return float(np.square(error).sum()), {"u": 2 * error @ params["v"], "v": 2 * error.T @ params["u"]}

    opt = ac.AdamW(params, lr=LR, weight_decay=0.0)
    init = lambda r: {"u": r.standard_normal((6, 2)), "v": r.standard_normal((5, 2))}  # noqa: E731
    return Stuck(opt, loss_and_grad, None, init, seed)


STARTS: dict[str, tuple[Callable[[int], Stuck], float]] = {
    "x^2 - y^2 + y^4": (partial(_on_top, _ridge), -0.2),
    "monkey saddle": (partial(_on_top, _monkey), -0.08),
    "factorisation": (_factors, 0.1),
}
"""What makes each situation, and the loss below which it is left."""


def _pairs(group: Any) -> Any:
    return zip(group["param_names"], group["params"], strict=True)


def steps_until_left(name: str, treatment: Treatment, seed: int) -> int | None:
    """Return how many steps a run takes to leave a saddle after a treatment, or None for more than 6000."""
    make, goal = STARTS[name]
    stuck = make(seed)
    treatment(stuck)
    params = {key: array for group in stuck.opt.param_groups for key, array in _pairs(group)}
    for step in range(MOST_STEPS):
        loss, grads = stuck.loss_and_grad(params, None)
        if loss < goal:
            return step
        stuck.opt.step(grads)
    return None


_X = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
_Y = np.array([0.0, 1.0, 1.0, 0.0])
_STEPS_BEFORE, _STEPS_AFTER = 3000, 3000


def _xor(params: Any, _: Any) -> Pair:
    """Mean cross-entropy of a network 2-2-1 of tanh."""
    hidden = np.tanh(_X @ params["w0"] + params["b0"])
    logits = hidden @ params["w1"] + params["b1"]
    loss = float(np.mean(np.logaddexp(0, logits) - _Y * logits))
    delta = (1 / (1 + np.exp(-logits)) - _Y) / len(_Y)
    back = np.outer(delta, params["w1"]) * (1 - hidden**2)
    return loss, {"w0": _X.T @ back, "b0": back.sum(0), "w1": hidden.T @ delta, "b1": delta.sum(keepdims=True)}


def _init_xor(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "w0": rng.standard_normal((2, 2)),
        "b0": rng.standard_normal(2),
        "w1": rng.standard_normal(2),
        "b1": np.zeros(1),
    }


def solves_xor(treatment: Treatment, seed: int, radius: float | None = None) -> tuple[bool, bool]:
    """Return whether XOR is solved after 3000 steps, and after 3000 more if it is treated where it is not."""
    params = _init_xor(np.random.default_rng(seed))
    opt = ac.AdamW(params, lr=LR, weight_decay=0.0)
    stuck = Stuck(opt, _xor, None, _init_xor, seed)

    def train(steps: int) -> bool:
        for _ in range(steps):
            opt.step(_xor(params, None)[1])
        return _xor(params, None)[0] < 0.1

    if train(_STEPS_BEFORE):
        return True, True
    if radius is None:
        treatment(stuck)
    else:
        ac.escape.perturb(opt, seed=seed, radius=radius)
    return False, train(_STEPS_AFTER)
