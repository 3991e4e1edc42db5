"""Schedules against optax' in float64, where optax is installed (the `bench` extra)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adamcore.schedules import (
    Constant,
    Cosine,
    Exponential,
    Interpolate,
    Join,
    Linear,
    Piecewise,
    Polynomial,
    Schedule,
    Warmup,
)

jax = pytest.importorskip("jax", reason="JAX comes with the bench extra", exc_type=ImportError)
optax = pytest.importorskip("optax", reason="optax comes with the bench extra", exc_type=ImportError)

Pairs = Iterator[tuple[Schedule, Callable[[Any], Any]]]
TIMES = np.arange(130)
TOLERANCE = 1e-15
"""Of the peak."""


def product(**axes: Any) -> Iterator[Any]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def constant() -> Pairs:
    yield Constant(0.1), optax.constant_schedule(0.1)


def linear() -> Pairs:
    for a in product(start=(0.1, 0.0), end=(0.0, 0.3), steps=(1, 7, 100), begin=(0, 5)):
        schedule = Linear(a["start"], a["end"], steps=a["steps"], begin=a["begin"])
        yield schedule, optax.linear_schedule(a["start"], a["end"], a["steps"], a["begin"])


def polynomial() -> Pairs:
    for a in product(start=(0.1, 0.0), end=(0.0, 0.3), power=(0.5, 1, 2, 3.3), steps=(1, 7, 100), begin=(0, 5)):
        schedule = Polynomial(a["start"], a["end"], steps=a["steps"], power=a["power"], begin=a["begin"])
        yield schedule, optax.polynomial_schedule(a["start"], a["end"], a["power"], a["steps"], a["begin"])


def cosine() -> Pairs:
    for a in product(start=(0.1, 1.0), alpha=(0.0, 0.1), steps=(1, 7, 100), exponent=(1.0, 2.0, 1.5)):
        schedule = Cosine(a["start"], a["start"] * a["alpha"], steps=a["steps"], power=a["exponent"])
        yield schedule, optax.cosine_decay_schedule(a["start"], a["steps"], a["alpha"], a["exponent"])


def exponential() -> Pairs:
    for a in product(
        every=(1, 7, 100), gamma=(0.5, 0.99, 1.01), begin=(0, 5), staircase=(False, True), end=(None, 0.05, 0.11)
    ):
        if a["gamma"] < 1 and a["end"] == 0.11:
            continue  # optax bounds even what comes before the decay
        schedule = Exponential(0.1, **a)
        yield (
            schedule,
            optax.exponential_decay(0.1, a["every"], a["gamma"], a["begin"], a["staircase"], a["end"]),
        )


def piecewise() -> Pairs:
    yield Piecewise([0.1, 0.05, 0.1], [20, 70]), optax.piecewise_constant_schedule(0.1, {20: 0.5, 70: 2.0})
    for shape in ("linear", "cosine"):
        theirs = optax.piecewise_interpolate_schedule(shape, 0.1, {20: 3.0, 70: 0.5, 100: 0.0})
        yield Interpolate([(0, 0.1), (20, 0.1 * 3), (70, 0.1 * 3 * 0.5), (100, 0)], shape), theirs


def warm() -> Pairs:
    for a in product(init=(0.0, 0.01), warm=(1, 20, 50), steps=(60, 100), end=(0.0, 0.01), exponent=(1.0, 2.0)):
        cosine = Cosine(0.1, a["end"], steps=a["steps"] - a["warm"], power=a["exponent"])
        yield (
            Warmup(cosine, steps=a["warm"], start=a["init"]),
            optax.warmup_cosine_decay_schedule(a["init"], 0.1, a["warm"], a["steps"], a["end"], a["exponent"]),
        )
    for a in product(init=(0.0, 0.01), warm=(1, 20), gamma=(0.5, 0.95), staircase=(False, True), end=(None, 0.04)):
        decay = Exponential(0.1, a["gamma"], every=9, staircase=a["staircase"], end=a["end"])
        yield (
            Warmup(decay, steps=a["warm"], start=a["init"]),
            optax.warmup_exponential_decay_schedule(
                a["init"], 0.1, a["warm"], 9, a["gamma"], staircase=a["staircase"], end_value=a["end"]
            ),
        )
    for warm in (1, 20, 50):
        yield (
            Warmup(0.1, steps=warm, start=0.02),
            optax.schedules.warmup_constant_schedule(0.02, 0.1, warm),
        )


def one_cycle() -> Pairs:
    for steps, share in itertools.product((80, 100), (0.25, 0.3)):
        top = int(share * steps)
        yield (
            Interpolate([(0, 0.1 / 25), (top, 0.1), (steps, 0.1 / 25 / 1e4)], "cosine"),
            optax.cosine_onecycle_schedule(steps, 0.1, share),
        )
        second = int(0.85 * steps)
        yield (
            Interpolate([(0, 0.1 / 25), (top, 0.1), (second, 0.1 / 25), (steps, 0.1 / 25 / 1e4)]),
            optax.linear_onecycle_schedule(steps, 0.1, share, 0.85),
        )


def joined() -> Pairs:
    parts = [Linear(0.0, 0.1, steps=10), Cosine(0.1, steps=50), Constant(0.01)]
    theirs = [optax.linear_schedule(0.0, 0.1, 10), optax.cosine_decay_schedule(0.1, 50), optax.constant_schedule(0.01)]
    yield Join(parts, [10, 60]), optax.join_schedules(theirs, [10, 60])
    periods = [(5, 20), (10, 40), (10, 80)]
    warm = [Warmup(Cosine(0.1, 0.001, steps=decay - up), steps=up, start=0.001) for up, decay in periods]
    kwargs = [
        {"init_value": 0.001, "peak_value": 0.1, "warmup_steps": up, "decay_steps": decay, "end_value": 0.001}
        for up, decay in periods
    ]
    yield Join(warm, [20, 60]), optax.sgdr_schedule(kwargs)


FAMILIES = [constant, linear, polynomial, cosine, exponential, piecewise, warm, one_cycle, joined]


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_values(family: Callable[[], Pairs]) -> None:
    for schedule, other in family():
        theirs = np.asarray(jax.vmap(lambda t, other=other: jax.numpy.asarray(other(t)))(TIMES))
        assert theirs.dtype == np.float64
        worst = np.abs(schedule(TIMES) - theirs).max()
        assert worst <= TOLERANCE * theirs.max(), (schedule, worst / theirs.max())
