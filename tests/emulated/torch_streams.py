"""PyTorch's streams, events and graphs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from .core import EMULATED, queue

_current = threading.local()
_kept: dict[int, list[Any]] = {}
"""What graphs keep alive while they are being captured, by stream."""


class Stream:
    """torch.cuda.Stream. PyTorch's streams do not wait for the legacy stream."""

    def __init__(self, device: Any = None, priority: int = 0, *, handle: int | None = None) -> None:  # noqa: ARG002
        self.cuda_stream = EMULATED.make_stream(False) if handle is None else handle
        self.device_index = EMULATED.current_device()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def synchronize(self) -> None:
        EMULATED.synchronize(self.cuda_stream)

    def query(self) -> bool:
        return self.record_event().query()

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        self.wait_event(stream.record_event())

    def is_capturing(self) -> bool:
        # Of the legacy stream it cannot be asked while a blocking one is captured.
        return self.cuda_stream > 2 and EMULATED.is_capturing(self.cuda_stream)


class ExternalStream(Stream):
    """torch.cuda.ExternalStream."""

    def __init__(self, stream_ptr: int, device: Any = None) -> None:
        super().__init__(device, handle=stream_ptr)


DEFAULT = Stream(handle=0)


def current_stream(device: Any = None) -> Stream:  # noqa: ARG001
    return getattr(_current, "stream", DEFAULT)


def default_stream(device: Any = None) -> Stream:  # noqa: ARG001
    return DEFAULT


def set_stream(stream: Stream) -> None:
    _current.stream = stream


@contextlib.contextmanager
def use_stream(stream: Stream | None) -> Iterator[None]:
    """torch.cuda.stream."""
    outer = current_stream()
    _current.stream = outer if stream is None else stream
    try:
        yield
    finally:
        _current.stream = outer


class Event:
    """torch.cuda.Event. It reads the clock when the stream reaches it."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:  # noqa: ARG002
        self._event, self._is_timed, self.seconds = EMULATED.Event(), enable_timing, 0.0

    def _look_at_the_clock(self) -> None:
        self.seconds = time.perf_counter()

    def record(self, stream: Stream | None = None) -> None:
        handle = (stream or current_stream()).cuda_stream
        if self._is_timed:
            queue(handle, "clock", self._look_at_the_clock)
        self._event.record(handle)

    def wait(self, stream: Stream | None = None) -> None:
        self._event.hold((stream or current_stream()).cuda_stream)

    def query(self) -> bool:
        return self._event.is_past()

    def synchronize(self) -> None:
        self._event.wait()

    def elapsed_time(self, end: Event) -> float:
        return (end.seconds - self.seconds) * 1e3


def keep_for_capture(stream: Stream, what: Any) -> None:
    """Keep it as long as the graph that the stream is captured into: a graph has memory of its own."""
    _kept.setdefault(stream.cuda_stream, []).append(what)


class CUDAGraph:
    """torch.cuda.CUDAGraph."""

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:  # noqa: ARG002
        self._stream = current_stream()
        EMULATED.begin_capture(self._stream.cuda_stream, capture_error_mode)

    def capture_end(self) -> None:
        self._graph = EMULATED.end_capture(self._stream.cuda_stream)
        self._kept = _kept.pop(self._stream.cuda_stream, [])

    def replay(self) -> None:
        self._graph.launch(current_stream().cuda_stream)

    def reset(self) -> None:
        del self._graph


@contextlib.contextmanager
def capture(
    cuda_graph: CUDAGraph, pool: Any = None, stream: Stream | None = None, capture_error_mode: str = "global"
) -> Iterator[None]:
    """torch.cuda.graph, which captures on a separate stream."""
    EMULATED.synchronize()
    with use_stream(stream or Stream()):
        cuda_graph.capture_begin(pool, capture_error_mode)
        try:
            yield
        finally:
            cuda_graph.capture_end()
