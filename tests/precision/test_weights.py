"""Weights kept beside half-precision parameters, or in them: the float32 trajectory, and overwritten parameters."""

from __future__ import annotations

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, make
from reference import Case, magnitudes
from storage import BF16, HALVES, Storage, bits_of, weights_of


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_parameters_are_the_rounded_float32_trajectory(case: Case, dtype: np.dtype, rng: np.random.Generator) -> None:
    """With a float32 master, and with a remainder, bit for bit and at every step."""
    start = magnitudes(rng, (3000,)).astype(dtype)
    ways = ["master", "remainder"] if dtype == BF16 else ["master"]
    exact = start.astype(np.float32)
    reference = make(case, exact)
    params = {way: start.copy() for way in ways}
    optimizers = {
        way: make(case, p, precision=Storage(dtype, dtype, weights=way).precision) for way, p in params.items()
    }
    for _ in range(30):
        g = magnitudes(rng, start.shape).astype(dtype)
        reference.step(g)
        for way, optimizer in optimizers.items():
            optimizer.step(g)
            with np.errstate(over="ignore"):
                assert np.array_equal(bits_of(params[way]), bits_of(exact.astype(dtype)))
            assert np.array_equal(weights_of(optimizer.state["0"], params[way]), exact.astype(np.float64))
            for slot in case.names(start.shape):
                assert optimizer.state["0"][slot].tobytes() == reference.state["0"][slot].tobytes()


def test_remainder_keeps_ties() -> None:
    """Weights halfway between two bfloat16 numbers, of which the even one is above or below."""
    start = (1 + np.arange(128) / 128).astype(BF16)
    exact, p = start.astype(np.float32), start.copy()
    a, b = ac.SGD(exact, lr=1.0), ac.SGD(p, lr=1.0, precision=ac.Precision(master="remainder"))
    ties = 0
    for g in (2.0**-8, 2.0**-8, -(2.0**-8), 2.0**-9, 2.0**-9):
        a.step(np.full(128, g, np.float32))
        b.step(np.full(128, g, np.float32))
        assert np.array_equal(weights_of(b.state["0"], p), exact.astype(np.float64))
        assert np.array_equal(bits_of(p), bits_of(exact.astype(BF16)))
        ties += int(np.any(b.state["0"]["remainder_ties"]))
    assert ties > 0


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_parameter_that_is_overwritten_is_the_weight(dtype: np.dtype) -> None:
    p = np.ones(100, dtype)
    optimizer = ac.SGD(p, lr=2.0**-14)
    optimizer.step(np.ones(100, np.float32))
    p[:50] = 0.25
    optimizer.step(np.ones(100, np.float32))
    master = optimizer.state["0"]["master"]
    assert np.all(master[:50] == 0.25 - 2.0**-14)
    assert np.all(master[50:] == 1 - 2.0**-13)


def test_a_remainder_does_not_outlive_its_parameter(rng: np.random.Generator) -> None:
    """Overwritten weights, zeros and infinities among them, stay within half a unit of what was written."""
    p = magnitudes(rng, (65536,)).astype(BF16)
    optimizer = ac.SGD(p, lr=1.0, precision=ac.Precision(master="remainder"))
    optimizer.step(magnitudes(rng, p.shape))
    optimizer.step(np.where(np.arange(65536) % 3 == 0, 2.0**-9, 0))
    written = np.arange(65536, dtype=np.uint16).view(BF16)
    p[:] = written
    optimizer.step(np.zeros(65536, np.float32))
    is_nan = np.isnan(written.astype(np.float32))
    assert np.array_equal(bits_of(p)[~is_nan], bits_of(written)[~is_nan])
    assert np.all(np.isnan(p[is_nan].astype(np.float32)))


def test_ties_are_resumed_in_another_order_of_memory() -> None:
    start = (1 + np.arange(96) / 128).astype(BF16).reshape(8, 12)
    c, f = np.array(start, order="C"), np.array(start, order="F")
    precision = ac.Precision(master="remainder")
    first, straight = ac.SGD(f, lr=1.0, precision=precision), ac.SGD(c, lr=1.0, precision=precision)
    g = np.where(np.arange(96) % 5 == 0, 2.0**-8, 0).reshape(8, 12)
    first.step(g)
    straight.step(g)
    resumed_in = np.array(f, order="C")
    resumed = ac.SGD(resumed_in, lr=1.0, precision=precision)
    resumed.load_state_dict(first.state_dict())
    for optimizer in (resumed, straight):
        optimizer.step(g)
    assert resumed_in.tobytes() == c.tobytes()
    assert everything(resumed) == everything(straight)
