"""Statistics on a device: the CPU's bits, for every rule, type, layout and way of clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, TORCH, Library, Twins
from helpers import make
from pairs import products
from reference import CASES, Case
from storage import BF16, DTYPES, F16, F32, F64, Storage, combinations
from views import VIEWS

SHAPES = [(1037,), (1,), (0,), (), (33, 5), (2, 3, 4), (4097,), (40000,)]
SOME = [CASES[0], CASES[3], CASES[7], CASES[12]]


def draw(rng: np.random.Generator, dtype: Any, shapes: list[tuple[int, ...]] = SHAPES) -> list[Any]:
    arrays = [np.array(rng.normal(size=shape) * 0.1).astype(dtype) for shape in shapes]
    for array in arrays:
        array[rng.random(array.shape) < 0.2] = 0
    return arrays


def step(twins: Twins, grads: list[Any], stats: Any = True, scales: tuple[Any, Any] = (1.0, 1.0), **more: Any) -> Any:
    """One step of both, whose statistics must be equal. Returns the result of the CPU's."""
    placed = [None if g is None else twins.place(g) for g in grads]
    cpu = twins.cpu.step(grads, stats=stats, loss_scale=scales[0], **more)
    gpu = twins.gpu.step(placed, stats=stats, loss_scale=scales[1], **more)
    assert repr(gpu) == repr(cpu)
    assert (gpu.stats.names, gpu.stats.columns) == (cpu.stats.names, cpu.stats.columns)
    assert gpu.stats.size.tolist() == cpu.stats.size.tolist()
    for column in cpu.stats.columns:
        found, expected = getattr(gpu.stats, column), getattr(cpu.stats, column)
        assert np.array_equal(np.isnan(found), np.isnan(expected)), column
        known = ~np.isnan(expected)
        assert found[known].tobytes() == expected[known].tobytes(), (column, found, expected)
    twins.check()
    return cpu


@products(case=CASES, dtype=[F32, F64, BF16])
def test_every_rule(case: Case, dtype: Any, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: make(case, p), draw(rng, dtype))
    for missing in (None, 4, None):
        grads = draw(rng, dtype)
        if missing:
            grads[missing] = None
        step(twins, grads)


@products(case=SOME, storage=combinations())
def test_every_storage(case: Case, storage: Storage, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: make(case, p, precision=storage.precision), draw(rng, storage.param))
    for _ in range(2):
        step(twins, draw(rng, storage.grad))


@products(
    options=[{}, {"clip_norm": 1.0}, {"clip_adaptive": 0.1}, {"clip_norm_per_tensor": 0.5}, {"clip_value": 0.1}],
    grad=DTYPES,
    scales=[(1.0, 1.0), (64.0, 64.0), None],
)
def test_every_way_of_clipping(options: dict[str, Any], grad: Any, scales: Any, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: ac.AdamW(p, **options), draw(rng, F32))
    for _ in range(3):
        step(twins, draw(rng, grad), scales=scales or (ac.LossScaler(8.0), ac.LossScaler(8.0)))


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_gradients_beyond_what_a_square_can_be(scale: float, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: ac.SGD(p, lr=0.0), draw(rng, F64))
    info = step(twins, [g * scale for g in draw(rng, F64)])
    assert 0 < info.grad_norm < np.inf


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", [F32, F16], ids=str)
def test_views(view: str, dtype: Any, rng: np.random.Generator) -> None:
    select = VIEWS[view]
    whole = draw(rng, dtype, [(90, 130)])[0]
    on_device = CUPY.put(whole)
    cpu, gpu = ac.Adam({"p": select(whole)}), ac.Adam({"p": select(on_device)})
    for _ in range(2):
        grad = draw(rng, dtype, [(90, 130)])[0]
        first = cpu.step({"p": select(grad)}, stats=True).stats
        second = gpu.step({"p": select(CUPY.put(grad))}, stats=True).stats
        assert first is not None
        assert second is not None
        for column in first.columns:
            np.testing.assert_array_equal(getattr(first, column), getattr(second, column), column)


def test_skipped_and_stopped_steps(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: ac.AdamW(p, nonfinite="skip"), draw(rng, F32))
    grads = draw(rng, F32)
    grads[6][4096] = np.nan
    assert step(twins, grads).skipped
    assert not step(twins, draw(rng, F32)).skipped
    stopped = Twins(CUPY, ac.Prodigy, draw(rng, F32))
    for _ in range(2):
        step(stopped, [np.zeros_like(g) for g in draw(rng, F32)])
    step(stopped, draw(rng, F32))


def test_a_scaler_that_changes(rng: np.random.Generator) -> None:
    """The scale by which gradients are divided is that of this step, although the step changes it."""
    scalers = ac.LossScaler(64.0, growth_interval=1), ac.LossScaler(64.0, growth_interval=1)
    twins = Twins(CUPY, ac.AdamW, draw(rng, F16))
    for factor in (1, np.inf, 1, 1):
        with np.errstate(invalid="ignore"):
            grads = [g * np.float16(factor) for g in draw(rng, F16)]
        step(twins, grads, scales=scalers)


def test_some_columns_and_steps_without(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    for columns in ("grad_rms", ["update_rms", "lost"], ["floor"], ["cos", "grad_max"]):
        step(twins, draw(rng, F32), columns)
        grads = draw(rng, F32)
        twins.check((twins.cpu.step(grads), twins.gpu.step([twins.place(g) for g in grads])))


def test_read_late(rng: np.random.Generator) -> None:
    """Later steps, and the end of the optimizer, do not change what a step has found."""
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    found, expected = [], []
    for _ in range(4):
        grads = draw(rng, F32)
        found.append(twins.gpu.step([twins.place(g) for g in grads], stats=True).stats)
        expected.append(twins.cpu.step(grads, stats=True).stats)
    twins.check()
    del twins
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_equal(mine.to_dict(), theirs.to_dict())


@pytest.mark.parametrize("library", [CUPY, TORCH], ids=str)
def test_each_library(library: Library, rng: np.random.Generator) -> None:
    twins = Twins(library, ac.AdamW, draw(rng, F32))
    step(twins, draw(rng, F32))


def test_weights_that_are_not_finite(rng: np.random.Generator) -> None:
    """A weight that stays infinite has lost nothing."""
    for dtype in (F16, F32):
        p = draw(rng, dtype)
        p[4][0, :2] = np.inf, -np.inf
        p[4][1, 0] = np.nan
        twins = Twins(CUPY, lambda p: ac.SGD(p, lr=0.1, precision=ac.Precision(master=None)), p)
        step(twins, draw(rng, dtype))
        stopped = Twins(CUPY, ac.Prodigy, p)
        step(stopped, [np.zeros_like(g) for g in p])


def test_a_step_without_gradients(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.SGD, draw(rng, F32))
    info = step(twins, [None] * len(SHAPES))
    assert info.grad_norm == 0


def test_a_window(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    for weight in (2, 3):
        leaf = draw(rng, F32)
        twins.cpu.accumulate(leaf, weight=weight)
        twins.gpu.accumulate([twins.place(g) for g in leaf], weight=weight)
    step(twins, draw(rng, F32), weight=1.5)


def test_captures_are_refused(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    grads = [twins.place(g) for g in draw(rng, F32)]
    twins.gpu.step(grads)
    steps = dict(twins.gpu.steps)
    with pytest.raises(RuntimeError, match="statistics cannot be part of a step that is captured"):
        CUPY.capture(lambda: twins.gpu.step(grads, stats=True))
    assert dict(twins.gpu.steps) == steps
