"""Memory that is released while work that uses it is still queued."""

from __future__ import annotations

import gc
from typing import Any

import cupy
import numpy as np
import pytest
import torch

import adamcore as ac
from gpu.device import CUPY, SLOW, TORCH, Library, bits_of, everything, spin
from storage import F32

SIZE = 1 << 18 if SLOW else 1 << 20
OPTIONS: list[dict[str, Any]] = [{}, {"clip_norm": 0.5}, {"clip_adaptive": 0.01}, {"nonfinite": "skip"}]


def delay(library: Library) -> None:
    """Keep the library's current stream busy for some milliseconds."""
    if library is CUPY:
        spin(5)
    else:
        torch.cuda._sleep(10_000_000)


def poison(library: Library, like: int) -> list[Any]:
    """Allocate blocks of the sizes that were freed, and fill them on the current stream."""
    if library is CUPY:
        return [cupy.full(like, np.nan, F32) for _ in range(4)]
    return [torch.full((like,), torch.nan, device="cuda") for _ in range(4)]


@pytest.fixture
def numbers(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal(SIZE).astype(F32) for _ in range(6)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_dropped_right_after_the_step(
    library: Library, options: dict[str, Any], numbers: list[np.ndarray]
) -> None:
    """Their memory is reused and overwritten on the same stream, after the step that reads it."""
    p, q = np.ones(SIZE, F32), library.put(np.ones(SIZE, F32))
    cpu, gpu = ac.AdamW(p, **options), ac.AdamW(q, **options)
    for g in numbers:
        there = library.put(g)
        delay(library)
        gpu.step(there)
        del there
        poison(library, SIZE)
        cpu.step(g)
    assert everything(gpu, library.get) == everything(cpu)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_optimizer_is_dropped_in_flight(
    library: Library, options: dict[str, Any], numbers: list[np.ndarray]
) -> None:
    p, q = np.ones(SIZE, F32), library.put(np.ones(SIZE, F32))
    cpu, gpu = ac.AdamW(p, **options), ac.AdamW(q, **options)
    grads = [library.put(g) for g in numbers]
    delay(library)
    for g in grads:
        gpu.step(g)
    del gpu, g, grads
    gc.collect()
    poison(library, SIZE)
    for g in numbers:
        cpu.step(g)
    assert bits_of(library.get(q)) == bits_of(p)


def test_infos_outlive_their_optimizer(library: Library) -> None:
    optimizer = ac.AdamW(library.put(np.ones(3, F32)), nonfinite="skip")
    delay(library)
    infos = [optimizer.step(library.put(np.array([k, 0, np.inf if k == 2 else 0], F32))) for k in range(4)]
    del optimizer
    gc.collect()
    assert [info.skipped for info in infos] == [False, False, True, False]
    assert infos[3].grad_norm == 3


def test_state_outlives_its_optimizer(library: Library, numbers: list[np.ndarray]) -> None:
    cpu, gpu = ac.AdamW(np.ones(SIZE, F32)), ac.AdamW(library.put(np.ones(SIZE, F32)))
    cpu.step(numbers[0])
    gpu.step(library.put(numbers[0]))
    kept = gpu.state["0"]
    del gpu
    gc.collect()
    kept_alive = poison(library, SIZE) + poison(library, 2 * SIZE)
    for slot, array in cpu.state["0"].items():
        assert bits_of(library.get(kept[slot])) == bits_of(array)
    del kept_alive


def test_scales_outlive_their_optimizer(library: Library) -> None:
    optimizer, scaler = ac.AdamW(library.put(np.ones(3, F32))), ac.LossScaler(512.0)
    scale = scaler.device_scale(optimizer)
    optimizer.step(library.put(np.array([1, np.nan, 0], F32)), loss_scale=scaler)
    del optimizer
    gc.collect()
    poison(library, 128)
    assert scaler.scale == 256.0
    assert float(library.get(scale)) == 256.0


def test_all_memory_comes_back(library: Library, numbers: list[np.ndarray]) -> None:
    """Optimizers return what they take from the library's pool, and steps take nothing."""

    def train() -> None:
        p, grads = library.put(np.ones(SIZE, F32)), [library.put(g) for g in numbers[:2]]
        optimizer = ac.AdamW(p, clip_norm=1.0)
        scaler = ac.LossScaler()
        optimizer.step(grads[0], loss_scale=scaler)
        optimizer.step(grads[1], loss_scale=scaler)
        held = library.used_bytes()
        for k in range(50):
            optimizer.step(grads[k % 2], loss_scale=scaler)
        assert library.used_bytes() == held

    train()
    gc.collect()
    before = library.used_bytes()
    for _ in range(3):
        train()
    gc.collect()
    assert library.used_bytes() == before


@pytest.mark.parametrize("size", [SIZE, 3 * SIZE + 1])
def test_state_is_taken_from_the_librarys_pool(library: Library, size: int) -> None:
    p = library.put(np.ones(size, F32))
    before = library.used_bytes()
    optimizer = ac.AdamW(p)
    optimizer.step(p * 0)
    grown = library.used_bytes() - before
    assert 8 * size <= grown < 8 * size + (3 << 20)  # allocators round up
    kinds = {CUPY: cupy.ndarray, TORCH: torch.Tensor}
    assert all(isinstance(a, kinds[library]) for a in optimizer.state["0"].values())
    assert all(tuple(a.shape) == tuple(p.shape) for a in optimizer.state["0"].values())


def test_state_can_be_written(library: Library) -> None:
    p, q = np.ones(300, F32), library.put(np.ones(300, F32))
    cpu, gpu = ac.AdamW(p), ac.AdamW(q)
    for k in (1, 2):
        cpu.step(np.full(300, k, F32))
        gpu.step(library.put(np.full(300, k, F32)))
        cpu.state["0"]["exp_avg"][7:] = 3.0
        gpu.state["0"]["exp_avg"][7:] = 3.0
    assert everything(gpu, library.get) == everything(cpu)
