"""Work is queued on the current stream of the arrays' library, in order with all other uses of the arrays."""

from __future__ import annotations

import threading
from typing import Any

import cupy
import numpy as np
import pytest
import torch

import adamcore as ac
from gpu.device import CUPY, TORCH, bits_of, spin
from storage import F32

SIZE = 300_007
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clip_norm": {"clip_norm": 0.5},
    "clip_adaptive": {"clip_adaptive": 0.01},
    "skip": {"nonfinite": "skip"},
}


def expected(grads: list[np.ndarray], **options: Any) -> bytes:
    p = np.ones(SIZE, F32)
    optimizer = ac.AdamW(p, **options)
    for g in grads:
        optimizer.step(g)
    return bits_of(p)


@pytest.fixture
def numbers(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal(SIZE).astype(F32) for _ in range(3)]


def cupy_streams() -> list[Any]:
    return [cupy.cuda.Stream.null, cupy.cuda.Stream.ptds, cupy.cuda.Stream(), cupy.cuda.Stream(non_blocking=True)]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", range(4), ids=["null", "per thread", "blocking", "non-blocking"])
def test_a_slow_producer_and_a_consumer_right_after(kind: int, options: str, numbers: list[np.ndarray]) -> None:
    """The gradient is ready only after 20 ms. What is read after the step, without waiting, is its result."""
    sources = [CUPY.put(g) for g in numbers]
    p, g = CUPY.put(np.ones(SIZE, F32)), CUPY.put(np.full(SIZE, np.nan, F32))
    cupy.cuda.Device().synchronize()
    with cupy_streams()[kind]:
        optimizer = ac.AdamW(p, **OPTIONS[options])
        seen = []
        for source in sources:
            spin(20)
            g[...] = source
            optimizer.step(g)
            g[...] = np.float32(np.nan)
            seen.append(p.copy())
    for k, copy in enumerate(seen, start=1):
        assert bits_of(CUPY.get(copy)) == expected(numbers[:k], **OPTIONS[options])


@pytest.mark.parametrize("options", OPTIONS)
def test_from_one_stream_to_another(options: str, numbers: list[np.ndarray]) -> None:
    """Each step on a different stream, ordered only by the user's events."""
    first, second = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
    p = CUPY.put(np.ones(SIZE, F32))
    sources = [CUPY.put(g) for g in numbers]
    optimizer = ac.AdamW(p, **OPTIONS[options])
    cupy.cuda.Device().synchronize()
    for k, source in enumerate(sources):
        here, there = (first, second) if k % 2 == 0 else (second, first)
        with here:
            spin(20)
            optimizer.step(source)
        there.wait_event(here.record())
    assert bits_of(CUPY.get(p)) == expected(numbers, **OPTIONS[options])


class OnStream:
    """An array that another library made on a stream of its own, as the CUDA array interface tells of it."""

    def __init__(self, array: Any, stream: Any) -> None:
        self.array = array  # keeps its memory
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "version": 3, "stream": stream.ptr}


@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_of_another_stream(options: str, numbers: list[np.ndarray]) -> None:
    """The step waits for the stream that an array names, and that stream for the step."""
    producer = cupy.cuda.Stream(non_blocking=True)
    p, g = CUPY.put(np.ones(SIZE, F32)), CUPY.put(np.full(SIZE, np.nan, F32))
    sources = [CUPY.put(source) for source in numbers]
    optimizer = ac.AdamW(p, **OPTIONS[options])
    cupy.cuda.Device().synchronize()
    consumer = cupy.cuda.Stream(non_blocking=True)
    for source in sources:
        with producer:
            spin(20)
            g[...] = source
        with consumer:
            spin(30)
            optimizer.step(OnStream(g, producer))
        with producer:
            g.fill(np.nan)  # must not overtake the step, which waits behind 30 ms of other work
    assert bits_of(CUPY.get(p)) == expected(numbers, **OPTIONS[options])


def test_per_thread_default_streams(numbers: list[np.ndarray]) -> None:
    """Two threads, each with an optimizer and a stream of its own, at the same time."""
    found: dict[int, bytes] = {}

    def train(k: int) -> None:
        with cupy.cuda.Stream.ptds:
            p = CUPY.put(np.ones(SIZE, F32))
            optimizer = ac.AdamW(p, clip_norm=0.5)
            for g in numbers:
                spin(5)
                optimizer.step(CUPY.put(g))
            found[k] = bits_of(CUPY.get(p))

    threads = [threading.Thread(target=train, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(2), expected(numbers, clip_norm=0.5))


@pytest.mark.parametrize("options", OPTIONS)
def test_side_streams_of_torch(options: str, numbers: list[np.ndarray]) -> None:
    sources = [TORCH.put(g) for g in numbers]
    p, g = TORCH.put(np.ones(SIZE, F32)), TORCH.put(np.full(SIZE, np.nan, F32))
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        optimizer = ac.AdamW(p, **OPTIONS[options])
        seen = []
        for source in sources:
            torch.cuda._sleep(30_000_000)  # cycles: some 15 ms
            g.copy_(source)
            optimizer.step(g)
            g.fill_(torch.nan)
            seen.append(p.clone())
    for k, copy in enumerate(seen, start=1):
        assert bits_of(TORCH.get(copy)) == expected(numbers[:k], **OPTIONS[options])


def test_norms_by_themselves_wait_for_the_stream(numbers: list[np.ndarray]) -> None:
    source, g = CUPY.put(numbers[0]), CUPY.put(np.full(SIZE, np.nan, F32))
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True):
        spin(20)
        g[...] = source
        assert ac.global_norm(g) == ac.global_norm(numbers[0])
        spin(20)
        g[...] = source
        ac.clip_grad_norm_(g, 0.5)
        copy = g.copy()
    here = numbers[0].copy()
    ac.clip_grad_norm_(here, 0.5)
    assert bits_of(CUPY.get(copy)) == bits_of(here)


def test_reading_back_waits(numbers: list[np.ndarray]) -> None:
    """`state_dict`, `steps` and infos on a stream see the steps before them on that stream."""
    p, g = CUPY.put(np.ones(SIZE, F32)), CUPY.put(numbers[0])
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True):
        optimizer = ac.AdamW(p, nonfinite="skip")
        spin(20)
        info = optimizer.step(g)
        saved = optimizer.state_dict()
        assert optimizer.steps["0"] == 1
        assert info.skipped is False
    twin = ac.AdamW(np.ones(SIZE, F32), nonfinite="skip")
    assert info.grad_norm == twin.step(numbers[0]).grad_norm
    assert bits_of(saved["state"]["0"]["exp_avg"]) == bits_of(twin.state["0"]["exp_avg"])
