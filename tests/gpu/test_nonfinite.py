"""Skipped steps and loss scaling, decided on the device: the CPU's bits, scales and counts."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, SLOW, Library, Twins, assert_same, bits_of, everything
from helpers import make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, DTYPES, F16, F32, Storage, combinations

INF, NAN = math.inf, math.nan
SIZES = [300, 1, 5000, 0, 70]


def snapshot(optimizer: ac.Optimizer, library: Library) -> tuple[dict[str, bytes], int]:
    return everything(optimizer, library.get), optimizer.state_dict()["completed"]


@products(storage=combinations(), bad=[INF, -INF, NAN])
def test_nothing_changes_by_a_bit(storage: Storage, bad: float, rng: np.random.Generator) -> None:
    for case in (CASES[4], CASES[7]):
        params = [CUPY.put(magnitudes(rng, (n,)).astype(storage.param)) for n in SIZES]
        optimizer = make(case, params, precision=storage.precision, nonfinite="skip")
        good = [magnitudes(rng, (n,)).astype(storage.grad) for n in SIZES]
        assert optimizer.step([CUPY.put(g) for g in good]).skipped is False
        before = snapshot(optimizer, CUPY)
        for tensor, place in [(0, 0), (1, 0), (2, 4095), (2, 4096), (2, 4999), (4, 69)]:
            grads = [g.copy() for g in good]
            grads[tensor][place] = bad
            info = optimizer.step([CUPY.put(g) for g in grads])
            assert info.skipped is True
            assert not math.isfinite(info.grad_norm)
        assert optimizer.step([CUPY.put(g) for g in grads], loss_scale=256.0).skipped is True
        assert snapshot(optimizer, CUPY) == before
        assert optimizer.step([CUPY.put(g) for g in good]).skipped is False
        assert snapshot(optimizer, CUPY) != before


def test_every_position(rng: np.random.Generator) -> None:
    for grad, n in itertools.product(DTYPES, (1, 67, 300)):
        p = CUPY.put(np.ones(n, np.float32))
        optimizer = ac.AdamW(p, nonfinite="skip")
        infos = []
        for place in range(n):
            g = rng.standard_normal(n).astype(grad)
            g[place] = (INF, -INF, NAN)[place % 3]
            infos.append(optimizer.step(CUPY.put(g)))
        assert all(info.skipped for info in infos)
        assert np.all(CUPY.get(p) == 1)


def test_what_infos_say_later(library: Library) -> None:
    """Each info belongs to its own step, even if it is read after many others."""
    p = library.put(np.zeros(3, F32))
    optimizer = ac.SGD(p, lr=1.0, nonfinite="skip")
    infos = [optimizer.step(library.put(np.array([k, 0, INF if k % 3 == 2 else 0], F32))) for k in range(200)]
    assert [info.skipped for info in infos] == [k % 3 == 2 for k in range(200)]
    assert [info.grad_norm for info in infos] == [INF if k % 3 == 2 else k for k in range(200)]
    skipped, norm = infos[4]
    assert (skipped, norm) == (False, 4.0)


def test_by_default_they_propagate(library: Library) -> None:
    p = library.put(np.zeros(4))
    info = ac.SGD(p, lr=1.0).step(library.put(np.array([1.0, INF, NAN, -INF])))
    assert (info.skipped, info.grad_norm) == (False, None)
    assert np.array_equal(library.get(p), [-1, -INF, NAN, INF], equal_nan=True)


def test_raise_names_the_array(library: Library) -> None:
    p = {"a": library.put(np.ones(5)), "b": library.put(np.ones(5000, np.float16))}
    optimizer = ac.AdamW(p, nonfinite="raise")
    g = {"a": np.ones(5), "b": np.ones(5000, np.float32)}
    g["b"][4999] = NAN
    there = {name: library.put(a) for name, a in g.items()}
    before = snapshot(optimizer, library)
    with pytest.raises(ac.NonFiniteError, match=r"^grads\['b'\]: there are values that are not finite"):
        optimizer.step(there)
    assert snapshot(optimizer, library) == before
    assert (
        optimizer.step({**there, "b": None}).grad_norm
        == ac.AdamW(np.ones(5), nonfinite="raise").step(np.ones(5)).grad_norm
    )


@products(
    dtype=[F32, F16, BF16],
    options=[{}, {"clip_norm": 1.0}, {"clip_adaptive": 0.1}, {"clip_value": 0.5}],
    look=["each step", "at the end"],
)
def test_trajectories_of_scalers(
    dtype: Any, options: dict[str, Any], look: str, library: Library, rng: np.random.Generator
) -> None:
    """Many steps with occasional overflows: scales, counts, parameters and state, without reading them in between."""
    params = [magnitudes(rng, (n,)).astype(dtype) for n in SIZES]
    twins = Twins(library, lambda p: ac.AdamW(p, **options), params)
    scalers = [ac.LossScaler(1024.0, 2.0, 0.25, 5, min_scale=2.0**-60) for _ in range(2)]
    infos = []
    for _ in range(80 if SLOW else 200):
        grads = [(magnitudes(rng, (n,)) * 0.1).astype(dtype) for n in SIZES]
        if rng.random() < 0.15:
            grads[2][rng.integers(5000)] = (INF, -INF, NAN)[rng.integers(3)]
        infos.append(twins.step(grads, scales=(scalers[0], scalers[1])))
        if look == "each step":
            assert scalers[1].scale == scalers[0].scale
            assert infos[-1][1].skipped == infos[-1][0].skipped
    assert [repr(gpu.grad_norm) for _, gpu in infos] == [repr(cpu.grad_norm) for cpu, _ in infos]
    assert [gpu.skipped for _, gpu in infos] == [cpu.skipped for cpu, _ in infos]
    assert scalers[1].state_dict() == scalers[0].state_dict()
    twins.check()


def test_the_scale_on_the_device(library: Library, rng: np.random.Generator) -> None:
    """Losses multiplied by `device_scale` follow it, and the host never reads its value."""
    p, q = np.ones(500, F32), library.put(np.ones(500, F32))
    cpu, gpu = ac.AdamW(p), ac.AdamW(q)
    ours, theirs = (ac.LossScaler(2.0**100, growth_interval=4) for _ in range(2))
    for _ in range(100):
        g = (magnitudes(rng, (500,)) * 1e9).astype(F32)
        with np.errstate(over="ignore"):
            cpu.step(g * np.float32(ours.scale), loss_scale=ours)
        scale = theirs.device_scale(gpu)
        assert tuple(scale.shape) == ()
        gpu.step(library.put(g) * scale, loss_scale=theirs)
    assert float(theirs) == float(ours) != 2.0**100
    assert theirs.state_dict() == ours.state_dict()
    assert_same(everything(gpu, library.get), everything(cpu))


def test_an_overflow_at_the_floor(library: Library) -> None:
    p = library.put(np.zeros(3, BF16))
    for looks_at_scale in (False, True):
        optimizer, scaler = ac.AdamW(p), ac.LossScaler(4.0, min_scale=2.0)
        bad = library.put(np.array([1, NAN, 0], F32))
        assert optimizer.step(bad, loss_scale=scaler).skipped
        before = snapshot(optimizer, library)
        info = optimizer.step(bad, loss_scale=scaler)
        with pytest.raises(ac.NonFiniteError, match=r"min_scale=2.0. .* look at the loss"):
            _ = scaler.scale if looks_at_scale else info.skipped
        assert snapshot(optimizer, library) == before


def test_scalers_move_between_engines() -> None:
    """A scaler's state goes with its checkpoint from the device to the CPU and back."""
    there = ac.LossScaler(512.0, growth_interval=7)
    optimizer = ac.AdamW(CUPY.put(np.ones(3, F32)))
    for _ in range(5):
        optimizer.step(CUPY.put(np.ones(3, F32)), loss_scale=there)
    here = ac.LossScaler()
    here.load_state_dict(there.state_dict())
    on_cpu = ac.AdamW(np.ones(3, F32))
    for _ in range(2):
        optimizer.step(CUPY.put(np.ones(3, F32)), loss_scale=there)
        on_cpu.step(np.ones(3, F32), loss_scale=here)
    assert here.state_dict() == there.state_dict()
    assert here.scale == 1024.0
    there.load_state_dict(ac.LossScaler(8.0).state_dict())
    assert there.scale == 8.0
    assert float(CUPY.get(there.device_scale(optimizer))) == 8.0


def test_an_interval_below_the_steps_that_were_counted_grows_at_the_next() -> None:
    optimizer, scaler = ac.SGD(CUPY.put(np.zeros(3, F32))), ac.LossScaler(4.0, growth_interval=100)
    for _ in range(20):
        optimizer.step(CUPY.put(np.ones(3, F32)), loss_scale=scaler)
    scaler.growth_interval = 10
    scales = []
    for _ in range(12):
        optimizer.step(CUPY.put(np.ones(3, F32)), loss_scale=scaler)
        scales.append(scaler.scale)
    assert scales == [8.0] * 10 + [16.0, 16.0]


def test_what_is_written_to_a_scaler_comes_to_the_device() -> None:
    w = CUPY.put(np.zeros(3, F32))
    optimizer, scaler = ac.SGD(w, lr=1.0), ac.LossScaler(4.0)
    optimizer.step(CUPY.put(np.full(3, 4.0, F32)), loss_scale=scaler)
    scaler.scale = 8.0
    with pytest.raises(ValueError, match="scale must be at least"):
        scaler.scale = 0.5
    optimizer.step(CUPY.put(np.full(3, 8.0, F32)), loss_scale=scaler)
    scaler.backoff_factor = 0.25
    assert optimizer.step(CUPY.put(np.full(3, NAN, F32)), loss_scale=scaler).skipped
    assert scaler.scale == 2.0
    assert bits_of(CUPY.get(w)) == bits_of(np.full(3, -2.0, F32))


def test_a_second_optimizer_is_refused_a_scaler() -> None:
    optimizers = [ac.SGD(CUPY.put(np.zeros(3, F32))), ac.SGD(CUPY.put(np.zeros(3, F32))), ac.SGD(np.zeros(3, F32))]
    scaler = ac.LossScaler(4.0)
    optimizers[0].step(CUPY.put(np.ones(3, F32)), loss_scale=scaler)
    for other, g in ((optimizers[1], CUPY.put(np.ones(3, F32))), (optimizers[2], np.ones(3, F32))):
        with pytest.raises(ValueError, match="another SGD has been stepped with this LossScaler"):
            other.step(g, loss_scale=scaler)
        assert other.steps["0"] == 0
    optimizers[0].step(CUPY.put(np.ones(3, F32)), loss_scale=scaler)


def test_gradients_are_divided_by_the_scale(case: Case, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: make(case, p), [np.ones(500, F32)])
    scalers = ac.LossScaler(1000.0), ac.LossScaler(1000.0)
    for _ in range(3):
        twins.check(twins.step([magnitudes(rng, (500,)).astype(F32)], scales=scalers))


def test_a_schedule_stands_still_when_a_step_is_skipped(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: ac.SGD(p, lr=lambda t: 0.1 / (1 + t)), [np.ones(50)])
    for k in range(8):
        g = rng.standard_normal(50)
        if k % 3 == 1:
            g[7] = INF
        infos = twins.step([g], loss_scale=2.0)
        twins.check(infos)
    assert twins.gpu.state_dict()["completed"] == twins.cpu.state_dict()["completed"] == 5


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1.0}, {"clip_adaptive": 0.1}], ids=str)
def test_float64_gradients_that_float32_does_not_hold(options: dict[str, Any]) -> None:
    params = [np.ones(3, F32), np.ones((2, 2), F32)]
    twins = Twins(CUPY, lambda p: ac.AdamW(p, nonfinite="skip", **options), params)
    for big in (1e39, 1e38):
        infos = twins.step([np.ones(3), np.array([[1.0, big], [0, 0]])])
        twins.check(infos)
        assert infos[1].skipped == (big > 3.5e38)


@pytest.mark.parametrize(
    "options", [{}, {"clip_norm": 1.0}, {"clip_norm_per_tensor": 1.0}, {"clip_adaptive": 0.1}], ids=str
)
@pytest.mark.parametrize("dtype", [F32, F16, BF16], ids=str)
def test_elements_decide_and_not_their_norm(dtype: Any, options: dict[str, Any]) -> None:
    shapes = [(1,), (7, 10), (500, 10), (40_000,)]
    largest = np.nextafter(2.0**128 - 2.0**103, 0)
    twins = Twins(
        CUPY, lambda p: ac.SGD(p, lr=1e-38, nonfinite="skip", **options), [np.zeros(s, dtype) for s in shapes]
    )
    grads = [np.full(s, largest) for s in shapes]
    infos = twins.step(grads)
    twins.check(infos)
    assert not infos[1].skipped
    for tensor, g in enumerate(grads):
        for place in {0, g.size // 3, min(g.size - 1, 4095), min(g.size - 1, 32_768), g.size - 1}:
            for value, finite in ((-(2.0**128 - 2.0**103), False), (1e200, False), (1e-200, True)):
                g.ravel()[place] = value
                infos = twins.step(grads)
                twins.check(infos)
                assert infos[1].skipped != finite
                if not finite:
                    optimizer = ac.SGD([CUPY.put(np.zeros(s, dtype)) for s in shapes], nonfinite="raise", **options)
                    with pytest.raises(ac.NonFiniteError, match=rf"grads\[{tensor}\]"):
                        optimizer.step([CUPY.put(x) for x in grads])
                g.ravel()[place] = largest


def test_no_gradient_is_finite() -> None:
    p = [CUPY.put(np.zeros(3)), CUPY.put(np.zeros(0))]
    info = ac.SGD(p, nonfinite="raise").step([None, CUPY.put(np.zeros(0))])
    assert (info.skipped, info.grad_norm) == (False, 0.0)
    assert bits_of(CUPY.get(p[0])) == bits_of(np.zeros(3))
