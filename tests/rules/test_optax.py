"""Trajectories against optax in float64, where optax is installed (the `bench` extra), by equal conventions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from reference import magnitudes

jax = pytest.importorskip("jax", reason="JAX comes with the bench extra", exc_type=ImportError)
optax = pytest.importorskip("optax", reason="optax comes with the bench extra", exc_type=ImportError)

SHAPES = {"w": (7, 5), "b": (33,), "scale": ()}
STEPS = 60


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def l2(decay: float, rule: Any) -> Any:
    """Weight decay as a term of the gradient, which optax chains."""
    return optax.chain(optax.add_decayed_weights(decay), rule)


# Beside each of ours its twin. RMSprop's eps stands outside the root, and optax's default is inside. optax has no
# dampening, and its AMSGrad takes the maximum after the bias correction, as Adagrad's rate has no decay: these are not
# here, and tests/reference has them.
PAIRS: list[tuple[str, dict[str, Any], Callable[[], Any]]] = [
    ("Adam", dict(lr=1e-3), lambda: optax.adam(1e-3)),
    (
        "Adam",
        dict(lr=3e-3, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
        lambda: l2(0.1, optax.adam(3e-3, b1=0.8, b2=0.99, eps=1e-6)),
    ),
    ("AdamW", dict(lr=1e-2, weight_decay=0.05), lambda: optax.adamw(1e-2, weight_decay=0.05)),
    ("AdamW", dict(lr=1e-2, maximize=True), lambda: optax.chain(optax.scale(-1), optax.adamw(1e-2, weight_decay=1e-2))),
    ("AdamW", dict(lr=lambda t: 0.1 / (1 + t)), lambda: optax.adamw(lambda t: 0.1 / (1 + t), weight_decay=1e-2)),
    (
        "AdamW",
        dict(lr=1e-2, clip_value=0.5),
        lambda: optax.chain(optax.clip(0.5), optax.adamw(1e-2, weight_decay=1e-2)),
    ),
    ("SGD", dict(lr=0.1, weight_decay=0.01), lambda: l2(0.01, optax.sgd(0.1))),
    ("SGD", dict(lr=0.1, momentum=0.9), lambda: optax.sgd(0.1, momentum=0.9)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True), lambda: optax.sgd(0.1, momentum=0.9, nesterov=True)),
    ("RMSprop", dict(lr=1e-2), lambda: optax.rmsprop(1e-2, decay=0.99, eps=1e-8, eps_in_sqrt=False)),
    (
        "RMSprop",
        dict(lr=1e-2, centered=True, eps=1e-3),
        lambda: optax.rmsprop(1e-2, decay=0.99, eps=1e-3, eps_in_sqrt=False, centered=True),
    ),
    (
        "RMSprop",
        dict(lr=1e-2, momentum=0.9),
        lambda: optax.chain(
            optax.scale_by_rms(decay=0.99, eps=1e-8, eps_in_sqrt=False), optax.trace(0.9), optax.scale(-1e-2)
        ),
    ),
    (
        "Adagrad",
        dict(lr=0.1, initial_accumulator_value=0.5, eps=1e-10),
        lambda: optax.chain(scale_by_sum_of_squares(0.5, 1e-10), optax.scale(-0.1)),
    ),
]


def scale_by_sum_of_squares(start: float, eps: float) -> Any:
    """optax's scale_by_rss, which has eps inside the root, with eps outside it."""
    inner = optax.scale_by_rss(initial_accumulator_value=start, eps=0.0)

    def update(g: Any, state: Any, params: Any = None) -> Any:
        _, state = inner.update(g, state, params)
        sums = state.sum_of_squares
        return jax.tree_util.tree_map(lambda x, s: x / (jax.numpy.sqrt(s) + eps), g, sums), state

    return optax.GradientTransformation(inner.init, update)


@pytest.mark.parametrize(("name", "options", "twin"), PAIRS, ids=lambda x: x if isinstance(x, str) else "")
def test_trajectory(name: str, options: dict[str, Any], twin: Callable[[], Any], rng: np.random.Generator) -> None:
    ours = {key: np.array(magnitudes(rng, shape)) for key, shape in SHAPES.items()}
    theirs = {key: jax.numpy.asarray(p.copy()) for key, p in ours.items()}
    optimizer, other = getattr(ac, name)(ours, **options), twin()
    state = other.init(theirs)
    update = jax.jit(other.update)
    for _ in range(STEPS):
        grads = {key: np.array(magnitudes(rng, shape) + 0.1) for key, shape in SHAPES.items()}
        optimizer.step(grads)
        changes, state = update(grads, state, theirs)
        theirs = optax.apply_updates(theirs, changes)
    for key, p in ours.items():
        assert theirs[key].dtype == np.float64
        np.testing.assert_allclose(p, np.asarray(theirs[key]), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("max_norm", [0.1, 3.0, 1e6])
def test_clipping(max_norm: float, rng: np.random.Generator) -> None:
    """optax divides by the norm, we by the norm + 1e-6, as PyTorch does: the limit is set so that both are the same."""
    ours = {key: np.array(magnitudes(rng, shape)) for key, shape in SHAPES.items()}
    theirs = {key: jax.numpy.asarray(p.copy()) for key, p in ours.items()}
    optimizer = ac.SGD(ours, lr=0.1, clip_norm=max_norm)
    for _ in range(20):
        grads = {key: np.array(magnitudes(rng, shape) + 0.1) for key, shape in SHAPES.items()}
        norm = float(np.sqrt(sum((g**2).sum() for g in grads.values())))
        assert optimizer.step(grads).grad_norm == pytest.approx(norm, rel=1e-13)
        clip = optax.clip_by_global_norm(max_norm * norm / (norm + 1e-6))
        clipped, _ = clip.update(grads, clip.init(theirs))
        if norm * max_norm / (norm + 1e-6) > norm:
            clipped = grads
        theirs = optax.apply_updates(theirs, jax.tree_util.tree_map(lambda g: -0.1 * g, clipped))
    for key, p in ours.items():
        np.testing.assert_allclose(p, np.asarray(theirs[key]), rtol=1e-11, atol=1e-12)
