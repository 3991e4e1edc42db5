"""CuPy's streams, events and devices."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any, ClassVar

from .core import CAPACITY, EMULATED, current, queue

LEGACY, PER_THREAD = 0, 2
MODES = {0: "global", 1: "thread_local", 2: "relaxed"}
RELAXED = 2
DEVICES = 2

_current = threading.local()


class Graph:
    """cupy.cuda.Graph."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def launch(self, stream: Any = None) -> None:
        self._graph.launch((stream or current_stream()).ptr)


class _Stream:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr

    def __enter__(self) -> Any:
        self._outer = [*getattr(self, "_outer", ()), current_stream()]
        _current.stream = self
        return self

    def __exit__(self, *_: object) -> None:
        _current.stream = self._outer.pop()

    def use(self) -> Any:
        _current.stream = self
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Stream) and other.ptr == self.ptr

    def __hash__(self) -> int:
        return hash(self.ptr)

    @property
    def done(self) -> bool:
        event = EMULATED.Event()
        event.record(self.ptr)
        return event.is_past()

    def synchronize(self) -> None:
        EMULATED.synchronize(self.ptr)

    def record(self, event: Event | None = None) -> Event:
        event = event or Event(disable_timing=True)
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        event.hold(self.ptr)

    def launch_host_func(self, callback: Any, arg: Any) -> None:
        EMULATED.queue_callback(self.ptr, lambda: callback(arg))

    def begin_capture(self, mode: int | None = None) -> None:
        EMULATED.begin_capture(self.ptr, MODES[RELAXED if mode is None else mode])

    def end_capture(self) -> Graph:
        return Graph(EMULATED.end_capture(self.ptr))

    def is_capturing(self) -> bool:
        return EMULATED.is_capturing(self.ptr)


class Stream(_Stream):
    """cupy.cuda.Stream."""

    null: ClassVar[Stream]
    ptds: ClassVar[Stream]

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        super().__init__(LEGACY if null else PER_THREAD if ptds else EMULATED.make_stream(not non_blocking))


Stream.null, Stream.ptds = Stream(null=True), Stream(ptds=True)


class ExternalStream(_Stream):
    """cupy.cuda.ExternalStream."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:  # noqa: ARG002
        super().__init__(ptr)


def current_stream(device_id: int = -1) -> Any:  # noqa: ARG001
    return getattr(_current, "stream", Stream.null)


class Event:
    """cupy.cuda.Event. It reads the clock when the stream reaches it."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:  # noqa: ARG002
        self._event, self._is_timed, self.seconds = EMULATED.Event(), not disable_timing, 0.0

    def _look_at_the_clock(self) -> None:
        self.seconds = time.perf_counter()

    def record(self, stream: Any = None) -> None:
        ptr = (stream or current_stream()).ptr
        if self._is_timed:
            queue(ptr, "clock", self._look_at_the_clock)
        self._event.record(ptr)

    def hold(self, ptr: int) -> None:
        self._event.hold(ptr)

    @property
    def done(self) -> bool:
        return self._event.is_past()

    def synchronize(self) -> None:
        self._event.wait()


def elapsed_time(start: Event, end: Event) -> float:
    """Return milliseconds."""
    return (end.seconds - start.seconds) * 1e3


class Device:
    """cupy.cuda.Device."""

    attributes: ClassVar[dict[str, int]] = {"L2CacheSize": 1 << 20, "MultiProcessorCount": 4}

    def __init__(self, device: int | None = None) -> None:
        self.id = EMULATED.current_device() if device is None else device

    def __enter__(self) -> Device:  # noqa: PYI034
        self._outer = [*getattr(self, "_outer", ()), EMULATED.current_device()]
        EMULATED.set_device(self.id)
        return self

    def __exit__(self, *_: object) -> None:
        EMULATED.set_device(self._outer.pop())

    def use(self) -> None:
        EMULATED.set_device(self.id)

    def synchronize(self) -> None:
        with current(self.id):
            EMULATED.synchronize()


class CUDARuntimeError(RuntimeError):
    """The error that CuPy raises if a CUDA call fails."""


def runtime(free_bytes: Any) -> SimpleNamespace:
    return SimpleNamespace(
        getDeviceCount=lambda: DEVICES,
        getDevice=EMULATED.current_device,
        memGetInfo=lambda: (free_bytes(), CAPACITY),
        CUDARuntimeError=CUDARuntimeError,
        streamCaptureModeGlobal=0,
        streamCaptureModeThreadLocal=1,
        streamCaptureModeRelaxed=RELAXED,
    )
