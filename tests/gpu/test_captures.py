"""What CUDA allows while a stream is captured: on the captured stream, on others, and in other threads."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cupy
import numpy as np
import pytest
import torch

import adamcore as ac
from gpu.device import CUPY, TORCH, Library, bits_of
from reference import magnitudes
from storage import F32

RELAXED = cupy.cuda.runtime.streamCaptureModeRelaxed
MODES = [cupy.cuda.runtime.streamCaptureModeGlobal, cupy.cuda.runtime.streamCaptureModeThreadLocal, RELAXED]


class Pair:
    """An optimizer on the CPU and one on the device, which have made one step."""

    def __init__(self, rng: np.random.Generator, library: Library = CUPY, **options: Any) -> None:
        p, self.g = (magnitudes(rng, (5000,)).astype(F32) for _ in range(2))
        self.library, self.p, self.there = library, p.copy(), library.put(p)
        self.cpu, self.gpu = ac.AdamW(self.p, **options), ac.AdamW(self.there, **options)
        self.grads = [library.put(self.g) for _ in range(4)]
        self.count = 0
        self.step()
        self.wait()

    def step(self) -> Any:
        """One step there, with the arrays of an earlier step in turn."""
        self.count += 1
        return self.gpu.step(self.grads[self.count % 4])

    def wait(self) -> None:
        cupy.cuda.Device().synchronize()

    def follow(self, steps: int) -> Any:
        """Let the CPU make so many steps in all, and return what it said of the last."""
        while self.cpu.steps["0"] < steps:
            info = self.cpu.step(self.g)
        return info

    def set_rate(self, lr: float) -> None:
        for optimizer in (self.cpu, self.gpu):
            optimizer.param_groups[0]["lr"] = lr

    def check(self, steps: int) -> None:
        self.wait()
        assert self.gpu.steps["0"] == steps
        self.follow(steps)
        assert bits_of(self.library.get(self.there)) == bits_of(self.p)


class Elsewhere:
    """A capture that another thread has begun, of a stream that has nothing to do with adamcore's."""

    def __init__(self, mode: int, *, non_blocking: bool = True) -> None:
        self.stream = cupy.cuda.Stream(non_blocking=non_blocking)
        self.memory, self.mode = cupy.ones(100, F32), mode
        self.memory.fill(2)  # compiles what is captured
        cupy.cuda.Device().synchronize()

    def __enter__(self) -> None:
        self.thread = ThreadPoolExecutor(1)
        self.thread.submit(self.begin).result()

    def begin(self) -> None:
        with self.stream:
            self.stream.begin_capture(self.mode)
            self.memory.fill(1)

    def __exit__(self, *_: object) -> None:
        graph = self.thread.submit(self.stream.end_capture).result()
        self.thread.shutdown()
        graph.launch(self.stream)
        self.stream.synchronize()
        assert float(self.memory[0]) == 1, "the capture is what it was"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5}, {"nonfinite": "skip"}], ids=str)
def test_another_thread_captures(
    mode: int, options: dict[str, Any], library: Library, rng: np.random.Generator
) -> None:
    """Steps, uploads and everything that is read go on, and do not harm the capture."""
    pair, old = Pair(rng, library, **options), Pair(rng, library, clip_norm=1.0)
    norm = pair.follow(4).grad_norm
    with Elsewhere(mode):
        infos = [pair.step() for _ in range(3)]
        assert [(info.skipped, info.grad_norm) for info in infos] == [(False, norm)] * 3
        assert pair.gpu.steps["0"] == 4
        pair.set_rate(0.5)
        pair.gpu.upload()
        gone = weakref.ref(old.gpu)
        del old, infos
        assert gone() is None
    pair.step()
    pair.check(5)


@pytest.mark.parametrize("stream", ["another", "null", "blocking"])
def test_steps_on_streams_beside_a_captured_one(stream: str, rng: np.random.Generator) -> None:
    pair = Pair(rng)
    streams = {
        "another": cupy.cuda.Stream(non_blocking=True),
        "null": cupy.cuda.Stream.null,
        "blocking": cupy.cuda.Stream(),
    }
    captured = cupy.cuda.Stream(non_blocking=True)
    captured.begin_capture()
    with streams[stream]:
        for _ in range(2):
            pair.step()
    captured.end_capture()
    pair.check(3)


def test_the_default_stream_beside_a_blocking_one_that_is_captured(rng: np.random.Generator) -> None:
    """CUDA forbids its use. The error says so before anything has changed, and the capture goes on."""
    pair = Pair(rng)
    captured = cupy.cuda.Stream()
    with captured:
        captured.begin_capture()
        pair.step()
        with cupy.cuda.Stream.null, pytest.raises(RuntimeError, match="capture on a non-blocking stream"):
            pair.step()
        graph = captured.end_capture()
        graph.launch()
    pair.check(2)


@pytest.mark.torch
def test_gradients_of_a_library_whose_stream_is_the_default_one(rng: np.random.Generator) -> None:
    """It is not asked for anything while a blocking stream is captured."""
    pair = Pair(rng)
    pair.grads = [TORCH.put(pair.g)] * 4
    torch.cuda.synchronize()
    captured = cupy.cuda.Stream()
    with captured:
        pair.step()
        captured.begin_capture()
        pair.step()
        graph = captured.end_capture()
        for _ in range(2):
            graph.launch()
    pair.check(4)


def test_steps_on_streams_that_a_capture_forks_to(rng: np.random.Generator) -> None:
    pair = Pair(rng, clip_norm=0.5)
    first, second = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
    first.begin_capture()
    with first:
        pair.step()
    second.wait_event(first.record())
    with second:
        pair.step()
    with first:
        pair.step()
    first.wait_event(second.record())
    graph = first.end_capture()
    for stream in (first, second, first):
        graph.launch(stream)
    pair.check(10)


def test_a_capture_that_waits_for_uploads(rng: np.random.Generator) -> None:
    """New rates are copied within the capture, on a stream of adamcore's own."""
    pair = Pair(rng)
    pair.follow(1)
    for k in range(3):
        pair.set_rate(0.1 * (k + 1))
        replay = CUPY.capture(pair.step)
        replay()
        pair.check(2 + k)


def refused(call: Callable[[], Any], match: str) -> None:
    """A captured call raises an error, after which the capture ends as if it had not been made."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(RuntimeError, match=match):
            call()
        stream.end_capture()


def test_what_cannot_be_captured(rng: np.random.Generator) -> None:
    p, g = (CUPY.put(magnitudes(rng, (500,)).astype(F32)) for _ in range(2))
    optimizer, scaler = ac.AdamW(p, nonfinite="skip"), ac.LossScaler(1024.0)
    refused(lambda: optimizer.step(g), "run a step with gradients of these")
    optimizer.step(g)
    refused(lambda: optimizer.step(g, loss_scale=scaler), "captured")
    assert scaler.scale == 1024.0
    optimizer.step(g, loss_scale=scaler)
    assert optimizer.steps["0"] == 2
