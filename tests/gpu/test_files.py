"""Checkpoints of arrays on a device: the same files as those of the CPU, which either loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, Library, Twins, assert_same, everything
from helpers import make
from pairs import products
from reference import CASES, Case
from storage import BF16, F16, F32, Storage, combinations

SHAPES = [(1037,), (1,), (0,), (), (33, 5), (2, 3, 4)]


def draw(rng: np.random.Generator, dtype: Any) -> list[np.ndarray]:
    return [np.array(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


@products(case=CASES, storage=combinations())
def test_files_are_those_of_the_cpu(case: Case, storage: Storage, tmp_path: Path, rng: np.random.Generator) -> None:
    def made(p: list[Any]) -> ac.Optimizer:
        return make(case, p, precision=storage.precision, lr=ac.schedules.Constant(0.01), clip_norm=ac.SpikeGuard())

    twins = Twins(CUPY, made, draw(rng, storage.param))
    for optimizer in (twins.cpu, twins.gpu):
        ac.EMA(optimizer, 0.9)
    for _ in range(2):
        twins.step(draw(rng, storage.grad))
    leaf = draw(rng, storage.grad)
    twins.cpu.accumulate(leaf)
    twins.gpu.accumulate([CUPY.put(g) for g in leaf])
    twins.cpu.save(tmp_path / "cpu")
    for background in (False, True):
        handle = ac.save(tmp_path / "gpu", twins.gpu, background=background)
        if handle is not None:
            handle.wait()
        assert (tmp_path / "cpu").read_bytes() == (tmp_path / "gpu").read_bytes()
    twins.step(draw(rng, storage.grad))
    twins.cpu.load(tmp_path / "gpu")
    twins.gpu.load(tmp_path / "cpu")
    twins.check()
    twins.cpu.save(tmp_path / "cpu")
    twins.gpu.save(tmp_path / "gpu")
    assert (tmp_path / "cpu").read_bytes() == (tmp_path / "gpu").read_bytes()
    twins.check(twins.step(draw(rng, storage.grad)))


@pytest.mark.parametrize("dtype", [F32, BF16])
def test_views_with_gaps(library: Library, dtype: Any, tmp_path: Path, rng: np.random.Generator) -> None:
    """Parameters in each other's gaps, and what belongs to none of them, which stays as it is."""

    def views(base: Any) -> list[Any]:
        return [base[::2, ::3], base[1, 1:5], base[::2, 1::3], base[3:, 2]]

    start = rng.standard_normal((7, 12)).astype(dtype)
    base, mine = library.put(start), start.copy()
    optimizer, cpu = ac.SGD(views(base)), ac.SGD(views(mine))
    optimizer.save(tmp_path / "gpu")
    cpu.save(tmp_path / "cpu")
    assert (tmp_path / "cpu").read_bytes() == (tmp_path / "gpu").read_bytes()
    other = rng.standard_normal((7, 12)).astype(dtype)
    library.write(base, other)
    mine[...] = other
    optimizer.load(tmp_path / "cpu")
    cpu.load(tmp_path / "gpu")
    assert library.get(base).tobytes() == mine.tobytes()
    assert mine.tobytes() not in (start.tobytes(), other.tobytes())


def test_work_that_is_queued(library: Library, tmp_path: Path, rng: np.random.Generator) -> None:
    """A save sees the steps before it, and steps after a load see what was loaded."""
    start = [rng.standard_normal(5000).astype(F32)]
    twins = Twins(library, lambda p: ac.AdamW(p, lr=0.1), start)
    for _ in range(3):
        grads = [rng.standard_normal(5000).astype(F32)]
        twins.step(grads)
        twins.gpu.save(tmp_path / "gpu")
        twins.cpu.save(tmp_path / "cpu")
        assert (tmp_path / "cpu").read_bytes() == (tmp_path / "gpu").read_bytes()
        twins.step(grads)
        twins.gpu.load(tmp_path / "gpu")
        twins.cpu.load(tmp_path / "cpu")
        twins.check(twins.step(grads))


def test_arrays_in_parts(tmp_path: Path, rng: np.random.Generator) -> None:
    w = CUPY.put(rng.standard_normal(9).astype(F32))
    optimizer = ac.Adam({"w": w})
    arrays = {str(kind): CUPY.put(rng.standard_normal((3, 4)).astype(kind)) for kind in (F32, F16, BF16, np.float64)}
    scaler = ac.LossScaler(64.0)
    optimizer.step({"w": CUPY.put(np.ones(9, F32))}, loss_scale=scaler)
    ac.save(tmp_path / "run", optimizer, arrays=arrays, scaler=scaler, extra=arrays)
    before = {name: CUPY.get(a) for name, a in arrays.items()}
    for a in arrays.values():
        CUPY.write(a, np.zeros(a.shape, a.dtype))
    scaler.scale = 2.0
    extra = ac.load(tmp_path / "run", optimizer, arrays=arrays, scaler=scaler)
    assert scaler.scale == 64.0
    for name, a in arrays.items():
        assert CUPY.get(a).tobytes() == CUPY.get(extra[name]).tobytes() == before[name].tobytes()


def test_what_does_not_fit_changes_nothing(library: Library, tmp_path: Path, rng: np.random.Generator) -> None:
    w = library.put(rng.standard_normal(9).astype(F32))
    optimizer, scaler = ac.Adam({"w": w}), ac.LossScaler(64.0)
    ac.save(tmp_path / "run", optimizer, scaler=scaler)
    optimizer.step({"w": library.put(np.ones(9, F32))})
    scaler.scale = 2.0
    before = everything(optimizer, library.get)
    data = bytearray((tmp_path / "run").read_bytes())
    data[-1] ^= 1
    (tmp_path / "run").write_bytes(data)
    with pytest.raises(ac.CheckpointError, match="damaged"):
        ac.load(tmp_path / "run", optimizer, scaler=scaler)
    assert scaler.scale == 2.0
    assert_same(everything(optimizer, library.get), before)
