"""Accumulation on a device: the CPU's bits, for every type, layout and way of clipping."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, TORCH, Library, Twins, assert_same, everything
from helpers import make
from pairs import products
from reference import CASES, Case
from storage import DTYPES, F16, F32, F64, Storage, combinations

SHAPES = [(1037,), (1,), (0,), (), (33, 5), (2, 3, 4), (4097,)]
SOME = [CASES[3], CASES[7], CASES[12]]
Grads = list[np.ndarray | None]


def leaf_of(rng: np.random.Generator, dtype: Any, shapes: list[tuple[int, ...]] = SHAPES) -> Grads:
    return [np.array(rng.normal(size=shape)).astype(dtype) for shape in shapes]


def window(
    twins: Twins, leaves: list[tuple[Grads, float]], *, last_by_step: bool, scales: tuple[Any, Any] | None = None
) -> tuple[Any, Any]:
    """One step of both with all leaves."""
    infos = []
    for opt, place, scale in zip((twins.cpu, twins.gpu), (np.asarray, twins.place), scales or (1.0, 1.0), strict=True):
        *first, (last, weight) = [([None if g is None else place(g) for g in grads], w) for grads, w in leaves]
        for grads, each in first:
            opt.accumulate(grads, weight=each)
        assert opt.accumulated == len(first)
        if last_by_step:
            infos.append(opt.step(last, weight=weight, loss_scale=scale))
        else:
            opt.accumulate(last, weight=weight)
            infos.append(opt.step(loss_scale=scale))
        assert opt.accumulated == 0
    return infos[0], infos[1]


@products(case=SOME, storage=combinations(), last_by_step=[False, True])
def test_every_storage(case: Case, storage: Storage, rng: np.random.Generator, *, last_by_step: bool) -> None:
    twins = Twins(CUPY, lambda p: make(case, p, precision=storage.precision), leaf_of(rng, storage.param))
    for weights in ([0.3, 7, 1], [2, 5], [0.3]):
        leaves = [(leaf_of(rng, storage.grad), weight) for weight in weights]
        leaves[-1][0][0] = leaves[0][0][3] = None
        twins.check(window(twins, leaves, last_by_step=last_by_step))


@products(
    options=[{}, {"clip_norm": 1.0}, {"clip_adaptive": 0.1}, {"clip_norm_per_tensor": 0.5}, {"clip_value": 0.1}],
    grad=DTYPES,
    count=[1, 3],
)
def test_every_way_of_clipping(options: dict[str, Any], grad: Any, count: int, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: ac.AdamW(p, **options), leaf_of(rng, F32))
    for scales in (None, (64.0, 64.0), (ac.LossScaler(8.0), ac.LossScaler(8.0))):
        leaves = [(leaf_of(rng, grad), 0.7 + k) for k in range(count)]
        twins.check(window(twins, leaves, last_by_step=bool(count % 2), scales=scales))


def test_layouts_and_mixed_types(rng: np.random.Generator) -> None:
    shapes = [(33, 5), (7, 9, 4)]
    twins = Twins(CUPY, ac.Adam, leaf_of(rng, F32, shapes))
    for opt, put in ((twins.cpu, np.asarray), (twins.gpu, CUPY.put)):
        values = np.random.default_rng(2)
        for dtype, order in ((F32, None), (F16, (1, 0)), (F64, (1, 0)), (F32, None)):
            grads = []
            for shape in shapes:
                turned = tuple(reversed(shape)) if order else shape
                array = put(values.normal(size=turned).astype(dtype))
                grads.append(array.transpose() if order else array)
            opt.accumulate(grads, weight=3)
        opt.step()
        opt.step(grads)
    twins.check()


def test_tensors_of_torch_may_be_overwritten(rng: np.random.Generator) -> None:
    shapes = [(257,), (5, 3)]
    twins = Twins(TORCH, lambda p: ac.SGD(p, lr=0.1, momentum=0.9), leaf_of(rng, F32, shapes))
    arrays = [TORCH.put(g) for g in leaf_of(rng, F32, shapes)]
    for _ in range(2):
        for weight in (2, 3, 4):
            leaf = leaf_of(rng, F32, shapes)
            for array, values in zip(arrays, leaf, strict=True):
                TORCH.write(array, values)
            twins.gpu.accumulate(arrays, weight=weight)
            twins.cpu.accumulate(leaf, weight=weight)
        twins.check((twins.cpu.step(), twins.gpu.step()))


def test_on_other_streams(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, leaf_of(rng, F32))
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(3)]
    for k in range(6):
        leaf = leaf_of(rng, F32)
        with streams[k % 3]:
            twins.gpu.accumulate([CUPY.put(g) for g in leaf], weight=k + 1)
            twins.cpu.accumulate(leaf, weight=k + 1)
        if k % 3 == 1:
            with streams[(k + 1) % 3]:
                infos = twins.cpu.step(), twins.gpu.step()
    twins.check(infos)


def bad_window(twins: Twins, *, last_by_step: bool, scales: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    leaves = [(leaf_of(np.random.default_rng(k), F32), k + 0.5) for k in range(3)]
    leaves[2][0][0][5] = np.nan
    return window(twins, leaves, last_by_step=last_by_step, scales=scales)


@pytest.mark.parametrize("last_by_step", [False, True])
def test_a_skipped_step_empties_the_window(rng: np.random.Generator, *, last_by_step: bool) -> None:
    twins = Twins(CUPY, lambda p: ac.AdamW(p, nonfinite="skip"), leaf_of(rng, F32))
    infos = bad_window(twins, last_by_step=last_by_step)
    assert infos[1].skipped
    twins.check(infos)
    scalers = ac.LossScaler(8.0), ac.LossScaler(8.0)
    twins.check(bad_window(twins, last_by_step=last_by_step, scales=scalers))
    assert scalers[1].scale == 4.0
    twins.check(window(twins, [(leaf_of(rng, F32), 2), (leaf_of(rng, F32), 3)], last_by_step=last_by_step))


@pytest.mark.parametrize("last_by_step", [False, True])
def test_a_step_that_raises_leaves_the_window_as_it_was(rng: np.random.Generator, *, last_by_step: bool) -> None:
    twins = Twins(CUPY, lambda p: ac.AdamW(p, nonfinite="raise"), leaf_of(rng, F32))
    good, bad = [leaf_of(rng, F32) for _ in range(2)], leaf_of(rng, F32)
    bad[0][5] = np.nan
    for opt, put in ((twins.cpu, np.asarray), (twins.gpu, CUPY.put)):
        for grads in good:
            opt.accumulate([put(g) for g in grads], weight=0.3)
        if last_by_step:
            before = opt.state_dict()["window"]
            with pytest.raises(ac.NonFiniteError, match=r"^accumulated grads\['0'\]: there are values"):
                opt.step([put(g) for g in bad], weight=3)
            assert pickle.dumps(opt.state_dict()["window"]) == pickle.dumps(before)
            opt.step([put(g) for g in good[0]], weight=3)
        else:
            opt.accumulate([put(g) for g in bad])
            with pytest.raises(ac.NonFiniteError, match=r"^accumulated grads\['0'\]"):
                opt.step()
            assert opt.accumulated == 3
    twins.check()


@pytest.mark.parametrize("count", [1, 2])
def test_an_open_window_is_saved(rng: np.random.Generator, count: int) -> None:
    twins = Twins(CUPY, lambda p: ac.Adam(p, clip_norm=0.1), leaf_of(rng, F32))
    for _ in range(count):
        leaf = leaf_of(rng, F64)
        for opt, put in ((twins.cpu, np.asarray), (twins.gpu, CUPY.put)):
            opt.accumulate([put(g) for g in leaf], weight=0.3)
    saved = twins.gpu.state_dict()
    assert pickle.dumps(saved["window"]) == pickle.dumps(twins.cpu.state_dict()["window"])
    twins.check((twins.cpu.step(), twins.gpu.step()))
    for opt in (twins.cpu, twins.gpu):  # which goes on from the former state, with the parameters of now
        opt.load_state_dict(copy.deepcopy(saved))
        assert opt.accumulated == count
    twins.check((twins.cpu.step(), twins.gpu.step()))


def test_errors_change_nothing(library: Library) -> None:
    opt = ac.SGD([library.put(np.ones(3, F32)), library.put(np.ones(3, F32))], lr=1.0)
    leaf = [library.put(np.ones(3, F32)), None]
    opt.accumulate(leaf)
    with pytest.raises(ValueError, match=r"grads\[1\]"):
        opt.accumulate([leaf[0], library.put(np.ones(4, F32))])
    with pytest.raises(ValueError, match=r"grads\[1\]"):
        opt.step([leaf[0], library.put(np.ones(4, F32))])
    with pytest.raises(ValueError, match="weight must be a finite number > 0"):
        opt.step(leaf, weight=0)
    with pytest.raises(RuntimeError, match="add_param_group: the window"):
        opt.add_param_group({"params": [library.put(np.ones(3, F32))]})
    with pytest.raises(RuntimeError, match="rebind: the window"):
        opt.rebind([library.put(np.ones(3, F32)) for _ in range(2)])
    assert opt.accumulated == 1
    opt.step(leaf)
    with pytest.raises(ValueError, match="there are no gradients"):
        opt.step()
    assert_same(everything(opt, library.get), everything(_expected()))


def _expected() -> ac.Optimizer:
    opt = ac.SGD([np.ones(3, F32), np.ones(3, F32)], lr=1.0)
    opt.step([np.ones(3, F32), None])
    return opt


def test_a_capture_is_refused() -> None:
    p, g = CUPY.put(np.ones(3, F32)), CUPY.put(np.ones(3, F32))
    opt = ac.SGD([p], lr=1.0)
    opt.step([g])
    with pytest.raises(RuntimeError, match="gradients cannot be accumulated while a step is captured"):
        CUPY.capture(lambda: opt.accumulate([g]))
    opt.accumulate([g])
    for call in (opt.step, lambda: opt.step([g])):
        with pytest.raises(RuntimeError, match="gradients cannot be accumulated while a step is captured"):
            CUPY.capture(call)
    assert opt.accumulated == 1
    opt.step()
    assert CUPY.get(p)[0] == -1
