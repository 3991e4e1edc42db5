"""Snapshots, sweeps and switches on a device: the CPU's bits, and everything comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore._state_dicts.snapshot import Snapshot
from gpu.device import CUPY, TORCH, Library, Twins, assert_same, everything
from helpers import make
from pairs import products
from reference import CASES, Case
from storage import BF16, F16, F32, F64

SHAPES = [(1037,), (33, 5), (), (0,)]
LIBRARIES = [CUPY, TORCH]
SECONDS = {"SGD": {"momentum": 0.9}, "RMSprop": {}, "Lion": {}, "StableAdamW": {}, "ScheduleFreeAdamW": {}}


def draw(rng: np.random.Generator, dtype: Any) -> list[np.ndarray]:
    return [np.array(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


def whole(opt: ac.Optimizer, library: Library) -> dict[str, Any]:
    guard, window = opt.options["clip_norm"], opt.state_dict()["window"]
    sums = None if window is None else {name: array.tobytes() for name, array in window["sums"].items()}
    return {
        **everything(opt, library.get),
        "completed": opt.completed,
        "guard": guard.to_dict() if isinstance(guard, ac.SpikeGuard) else None,
        "window": None if window is None else {**window, "sums": sums},
        "averages": opt._native.averages,
        "lr": opt.param_groups[0]["lr"],
    }


@products(case=CASES, dtype=[F32, F64, BF16, F16], library=LIBRARIES)
def test_a_snapshot_is_put_back(case: Case, dtype: Any, library: Library, rng: np.random.Generator) -> None:
    twins = Twins(library, lambda p: make(case, p), draw(rng, dtype))
    twins.step(draw(rng, dtype))
    snapshot, before = Snapshot(twins.gpu), whole(twins.gpu, library)
    for _ in range(2):
        twins.gpu.step([library.put(g) for g in draw(rng, dtype)])
        assert whole(twins.gpu, library) != before
        snapshot.put_back()
        assert whole(twins.gpu, library) == before
    for _ in range(2):
        twins.check(twins.step(draw(rng, dtype)))


@pytest.mark.parametrize("library", LIBRARIES, ids=str)
def test_strides_windows_averages_and_guards_are_put_back(library: Library, rng: np.random.Generator) -> None:
    array = library.transpose(library.put(rng.normal(size=(6, 10)).astype(np.float32)), (1, 0))[::2]
    opt = ac.AdamW([array], clip_norm=ac.SpikeGuard(window=4))
    ac.EMA(opt, 0.5)
    for _ in range(5):
        opt.step([library.put(rng.normal(size=(5, 6)).astype(np.float32))])
    opt.accumulate([library.put(rng.normal(size=(5, 6)).astype(np.float32))])
    snapshot, before = Snapshot(opt), whole(opt, library)
    for _ in range(2):
        opt.step([library.put(rng.normal(size=(5, 6)).astype(np.float32))])
        opt.step([library.put(rng.normal(size=(5, 6)).astype(np.float32))])
        snapshot.put_back()
        assert whole(opt, library) == before


@pytest.mark.parametrize("library", LIBRARIES, ids=str)
def test_a_sweep_leaves_no_trace_and_measures_what_the_cpu_does(library: Library, rng: np.random.Generator) -> None:
    twins = Twins(library, lambda p: ac.AdamW(p, lr=0.01), draw(rng, np.float32))
    twins.check(twins.step(draw(rng, np.float32)))
    before, found = whole(twins.gpu, library), []
    for opt, read, put in ((twins.cpu, np.asarray, np.asarray), (twins.gpu, library.get, library.put)):

        def loss_and_grad(params: Any, _: Any, read: Any = read, put: Any = put) -> tuple[float, Any]:
            arrays = [read(p) for p in params]
            return float(sum(np.square(a).sum() for a in arrays)), [put(2 * a) for a in arrays]

        found.append(ac.lr_finder(opt, loss_and_grad, [0] * 40, steps=40, high=0.1))
    assert found[0].losses.tolist() == found[1].losses.tolist()
    assert found[0].losses[-1] < found[0].losses[0]
    assert whole(twins.gpu, library) == before
    twins.check(twins.step(draw(rng, np.float32)))


@products(second=list(SECONDS), dtype=[F32, F64, BF16], library=LIBRARIES)
def test_a_switch_has_the_bits_of_the_cpu(second: str, dtype: Any, library: Library, rng: np.random.Generator) -> None:
    twins = Twins(
        library, lambda p: ac.Adam(p, lr=0.01, betas=(0.9, 0.99), clip_norm=ac.SpikeGuard()), draw(rng, dtype)
    )
    averages = [ac.EMA(opt, 0.5) for opt in (twins.cpu, twins.gpu)]
    for _ in range(3):
        twins.check(twins.step(draw(rng, dtype)))
    old = twins.gpu
    twins.cpu, twins.gpu = (ac.switch(opt, getattr(ac, second), **SECONDS[second]) for opt in (twins.cpu, twins.gpu))
    assert twins.cpu.switched == twins.gpu.switched
    twins.check()
    for _ in range(3):
        twins.check(twins.step(draw(rng, dtype)))
    assert averages[0].count == averages[1].count == 6
    assert_same(everything(twins.gpu, library.get), everything(twins.cpu))
    with pytest.raises(RuntimeError, match="Adam: this optimizer has been switched"):
        old.step([library.put(g) for g in draw(rng, dtype)])


@pytest.mark.parametrize("library", LIBRARIES, ids=str)
def test_a_loss_scaler_on_the_device_goes_on(library: Library) -> None:
    p, scaler = library.put(np.ones(3, np.float16)), ac.LossScaler(8.0, growth_interval=2)
    opt = ac.AdamW([p], lr=0.1)
    grads = [library.put(np.full(3, 8, np.float16))]
    opt.step(grads, loss_scale=scaler)
    new = ac.switch(opt, ac.SGD, momentum=0.9)
    new.step(grads, loss_scale=scaler)
    assert scaler.scale == 16.0
