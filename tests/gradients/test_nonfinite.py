"""Loss scaling, and gradients that are not finite: a step is done completely or not at all."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, DTYPES, F16, Storage, combinations

INF, NAN = math.inf, math.nan


def snapshot(optimizer: ac.Optimizer) -> tuple:
    return everything(optimizer), dict(optimizer.steps), optimizer.state_dict()["completed"]


@products(storage=combinations(), bad=[INF, -INF, NAN])
def test_nothing_changes_by_a_bit(storage: Storage, bad: float, rng: np.random.Generator) -> None:
    """One bad value anywhere in the first, a middle or the last tensor, at its ends, in its middle, in a remainder."""
    sizes = [300, 1, 5000, 0, 70]
    for case in (CASES[4], CASES[7]):
        params = [magnitudes(rng, (n,)).astype(storage.param) for n in sizes]
        optimizer = make(case, params, precision=storage.precision, nonfinite="skip")
        good = [magnitudes(rng, (n,)).astype(storage.grad) for n in sizes]
        assert optimizer.step(good).skipped is False
        before = snapshot(optimizer)
        for tensor, place in [(0, 0), (0, 299), (1, 0), (2, 2500), (2, 4095), (2, 4096), (2, 4999), (4, 69)]:
            grads = [g.copy() for g in good]
            grads[tensor][place] = bad
            info = optimizer.step(grads)
            assert info.skipped is True
            assert not math.isfinite(info.grad_norm)
            assert optimizer.step(grads, loss_scale=256.0).skipped is True
            assert snapshot(optimizer) == before
        several = [g.copy() for g in good]
        several[0][3], several[2][17], several[4][0] = INF, -INF, NAN
        assert optimizer.step(several).skipped
        assert snapshot(optimizer) == before
        assert optimizer.step(good).skipped is False
        assert snapshot(optimizer) != before


def test_every_position(rng: np.random.Generator) -> None:
    for grad, n in itertools.product(DTYPES, (1, 67, 300)):
        p = np.ones(n, np.float32)
        optimizer = ac.AdamW(p, nonfinite="skip")
        for place in range(n):
            g = rng.standard_normal(n).astype(grad)
            g[place] = (INF, -INF, NAN)[place % 3]
            assert optimizer.step(g).skipped
    assert np.all(p == 1)


def test_raise_names_the_array() -> None:
    p = {"a": np.ones(5), "b": np.ones(5000, np.float16)}
    optimizer = ac.AdamW(p, nonfinite="raise")
    g = {"a": np.ones(5), "b": np.ones(5000, np.float32)}
    g["b"][4999] = NAN
    before = snapshot(optimizer)
    with pytest.raises(ac.NonFiniteError, match=r"^grads\['b'\]: there are values that are not finite"):
        optimizer.step(g)
    assert snapshot(optimizer) == before
    assert optimizer.step({**g, "b": None}).grad_norm == pytest.approx(math.sqrt(5))


def test_by_default_they_propagate() -> None:
    p = np.zeros(4)
    optimizer = ac.SGD(p, lr=1.0)
    assert optimizer.step(np.array([1.0, INF, NAN, -INF])) == ac.StepInfo(skipped=False, grad_norm=None)
    assert np.array_equal(p, [-1, -INF, NAN, INF], equal_nan=True)
    with pytest.raises(ValueError, match="nonfinite must be 'propagate', 'skip' or 'raise', got 'ignore'"):
        ac.SGD(p, nonfinite="ignore")


def test_the_scaler_backs_off_and_grows() -> None:
    p = np.zeros(3, np.float16)
    optimizer, scaler = ac.AdamW(p), ac.LossScaler(growth_interval=3)
    assert scaler.scale == scaler.get_scale() == float(scaler) == 65536.0
    good, bad = np.ones(3, np.float16), np.array([1, INF, 0], np.float16)
    scales = []
    for g in (bad, good, good, bad, good, good, good, good):
        info = optimizer.step(g, loss_scale=scaler)
        assert info.skipped == (g is bad)
        scales.append(scaler.scale)
    assert scales == [32768, 32768, 32768, 16384, 16384, 16384, 32768, 32768]
    assert optimizer.steps["0"] == 6


def test_gradients_are_divided_by_the_scale(case: Case, rng: np.random.Generator) -> None:
    """By a power of two, so that nothing is rounded: the same bits as without; the norm is the unscaled one."""
    p, q = np.ones(500, np.float32), np.ones(500, np.float32)
    a, b = make(case, p), make(case, q)
    scaler = ac.LossScaler(1024.0)
    for _ in range(3):
        g = magnitudes(rng, p.shape).astype(np.float32)
        a.step(g)
        info = b.step(g * np.float32(1024), loss_scale=scaler)
        assert info.grad_norm == pytest.approx(np.linalg.norm(g.astype(np.float64)), rel=1e-12)
    assert everything(a) == everything(b)


def test_gradients_that_underflow_without_it() -> None:
    """1e-9 is zero in float16, and is not when it has been scaled."""
    p, q = np.zeros(10, np.float32), np.zeros(10, np.float32)
    ac.SGD(p, lr=1.0).step(np.full(10, 1e-9).astype(np.float16))
    scaler = ac.LossScaler()
    ac.SGD(q, lr=1.0).step(np.full(10, 1e-9 * scaler.scale).astype(np.float16), loss_scale=scaler)
    assert np.all(p == 0)
    assert np.allclose(q, -1e-9, rtol=1e-3)


def test_an_overflow_at_the_floor_says_what_to_look_at() -> None:
    p = np.zeros(3, BF16)
    optimizer, scaler = ac.AdamW(p), ac.LossScaler(4.0, min_scale=2.0)
    bad = np.array([1, NAN, 0], np.float32)
    assert optimizer.step(bad, loss_scale=scaler).skipped
    before = snapshot(optimizer)
    with pytest.raises(
        ac.NonFiniteError, match=r"min_scale=2.0. .* look at the loss and at the inputs .* learning rate"
    ):
        optimizer.step(bad, loss_scale=scaler)
    assert scaler.scale == 2.0
    assert snapshot(optimizer) == before


def test_a_schedule_does_not_advance_when_a_step_is_skipped() -> None:
    asked = []
    optimizer = ac.SGD(np.zeros(2), lr=lambda t: asked.append(t) or 0.1)
    bad = np.array([INF, 0])
    for g in (np.ones(2), bad, bad, np.ones(2)):
        optimizer.step(g, loss_scale=2.0)
    assert asked[1:] == [0, 1, 1, 1]


def test_the_scale_does_not_grow_to_infinity() -> None:
    scaler = ac.LossScaler(2.0**125, growth_interval=1)
    for _ in range(5):
        scaler.update(overflow=False)
    assert scaler.scale == 2.0**126


def test_scaler_state() -> None:
    old = ac.LossScaler(512.0, 4.0, 0.25, 7, min_scale=2.0)
    for _ in range(5):
        old.update(overflow=False)
    new = ac.LossScaler()
    new.load_state_dict(old.state_dict())
    assert new.state_dict() == old.state_dict()
    for scaler in (old, new):
        scaler.update(overflow=False)
        assert scaler.scale == 512.0
        scaler.update(overflow=False)
        assert scaler.scale == 2048.0
    with pytest.raises(ValueError, match="'min_scale' is missing"):
        new.load_state_dict({k: v for k, v in old.state_dict().items() if k != "min_scale"})
    with pytest.raises(ValueError, match="clean_steps must be at least 0, an int, got -1"):
        new.load_state_dict({**old.state_dict(), "clean_steps": -1})
    assert new.state_dict() == old.state_dict()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"init_scale": 0.0}, "init_scale must be a finite number > 0"),
        ({"init_scale": NAN}, "init_scale must be a finite number > 0"),
        ({"init_scale": 0.5}, "init_scale must be at least min_scale=1.0"),
        ({"min_scale": 1e-39}, "min_scale must be at least"),
        ({"init_scale": 1e39}, "init_scale must be at most"),
        ({"growth_factor": 1.0}, "growth_factor must be > 1"),
        ({"backoff_factor": 1.0}, "backoff_factor must be < 1"),
        ({"backoff_factor": 0.0}, "backoff_factor must be a finite number > 0"),
        ({"growth_interval": 0}, "growth_interval must be at least 1"),
        ({"min_scale": -1.0}, "min_scale must be a finite number > 0"),
    ],
)
def test_bad_scalers(arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ac.LossScaler(**arguments)


def test_bad_types_of_scalers() -> None:
    with pytest.raises(TypeError, match="init_scale must be a number"):
        ac.LossScaler("big")
    with pytest.raises(TypeError):
        ac.LossScaler(growth_interval=1.5)


def test_bad_gradients_do_not_touch_the_scaler() -> None:
    optimizer, scaler = ac.SGD(np.zeros(3)), ac.LossScaler(growth_interval=1)
    with pytest.raises(ValueError, match="shape"):
        optimizer.step(np.zeros(4), loss_scale=scaler)
    assert scaler.scale == 65536.0


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1.0}, {"clip_adaptive": 0.1}], ids=str)
def test_float64_gradients_that_float32_does_not_hold(options: dict) -> None:
    """The update is computed in float32, in which they are infinite."""
    p = [np.ones(3, np.float32), np.ones((2, 2), np.float32)]
    optimizer = ac.AdamW(p, nonfinite="skip", **options)
    before = snapshot(optimizer)
    info = optimizer.step([np.ones(3), np.array([[1.0, 1e39], [0, 0]])])
    assert info.skipped
    assert info.grad_norm == pytest.approx(1e39)
    assert snapshot(optimizer) == before
    assert not optimizer.step([np.ones(3), np.full((2, 2), 1e38)]).skipped


LARGEST = np.nextafter(2.0**128 - 2.0**103, 0)  # that float32 rounds to a finite number


@pytest.mark.parametrize("dtype", [np.float32, np.float16, BF16], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"clip_norm": 1.0}, {"clip_norm_per_tensor": 1.0}, {"clip_adaptive": 0.1}], ids=str
)
def test_elements_decide_and_not_their_norm(options: dict, dtype: type) -> None:
    """Float64 gradients are finite if float32 can represent their elements, whatever their norm is."""
    rng = np.random.default_rng(7)
    sizes = [1, 70, 5000, 30_000]
    for kind in ("raise", "skip"):
        p = [np.zeros((n // 10, 10) if n % 10 == 0 else n, dtype) for n in sizes]
        optimizer = ac.SGD(p, lr=1e-38, nonfinite=kind, **options)  # type: ignore[arg-type]
        grads = [np.full(a.shape, LARGEST) * rng.choice([-1, 1], a.shape) for a in p]
        for made in (grads, [np.asfortranarray(g) for g in grads], [np.repeat(g, 2, axis=0)[::2] for g in grads]):
            info = optimizer.step(made)
            assert not info.skipped
            assert info.grad_norm == pytest.approx(2.0**128 * math.sqrt(sum(sizes)))
        assert not optimizer.step(grads, loss_scale=2.0**-3).skipped
        before = snapshot(optimizer)
        for tensor, n in enumerate(sizes):
            for place in {0, n // 3, min(n - 1, 4095), min(n - 1, 4096), n - 1}:
                grads[tensor].ravel()[place] = -(2.0**128 - 2.0**103)
                if kind == "raise":
                    with pytest.raises(ac.NonFiniteError, match=rf"grads\[{tensor}\]"):
                        optimizer.step(grads)
                else:
                    assert optimizer.step(grads).skipped
                assert optimizer.step(grads, loss_scale=2.0**100).skipped if kind == "skip" else True
                grads[tensor].ravel()[place] = LARGEST
        assert snapshot(optimizer) == before


def test_elements_decide_beside_others_far_beyond() -> None:
    """Squares that are summed twice, because doubles cannot represent them, and sums with different powers."""
    for first, second in itertools.product([1e-200, 1.0, 1e37, LARGEST, 3.5e38, 1e200, 1.7e308], repeat=2):
        p = [np.zeros(5000, np.float32), np.zeros(3, np.float64)]
        g = [np.full(5000, first), np.full(3, second)]
        info = ac.SGD(p, lr=0.0, nonfinite="skip").step(g)
        assert info.skipped == (first > LARGEST)
        g[0][1:] = 1e-300
        assert ac.SGD(p, lr=0.0, nonfinite="skip").step(g).skipped == (first > LARGEST)


def test_no_gradient_is_finite() -> None:
    optimizer = ac.SGD([np.zeros(3), np.zeros(0)], nonfinite="raise")
    assert optimizer.step([None, np.zeros(0)]) == ac.StepInfo(skipped=False, grad_norm=0.0)


def test_float16_with_and_without_a_scaler() -> None:
    """The smallest training loop: all gradients of the parameter are below float16's smallest number."""
    scaled, unscaled = np.ones(1, F16), np.ones(1, F16)
    with_scaler, without = ac.SGD(scaled, lr=1e5), ac.SGD(unscaled, lr=1e5)
    scaler = ac.LossScaler()
    for _ in range(20):
        with_scaler.step((2e-9 * scaled.astype(np.float32) * scaler.scale).astype(F16), loss_scale=scaler)
        without.step((2e-9 * unscaled.astype(np.float32)).astype(F16))
    assert float(unscaled[0]) == 1.0
    assert float(scaled[0]) == pytest.approx((1 - 2e-4) ** 20, rel=1e-3)
