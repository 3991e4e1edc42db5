"""The emulation itself, memory as an array library manages it, and work queued from Python."""

from __future__ import annotations

import contextlib
import os
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from builds import import_from

SCHEDULE, SEED = "ADAMCORE_EMULATION_SCHEDULE", "ADAMCORE_EMULATION_SEED"
CAPACITY = 64 << 30
"""The memory that a device claims to have."""


EMULATED: Any = import_from("_emulated", Path(os.environ["ADAMCORE_EMULATION"]))
EMULATED.architectures = "emulated"
EMULATED.run_backwards(os.environ.get("ADAMCORE_EMULATION_BACKWARDS") == "1")


def start_schedule(name: str = "") -> str:
    """Start the order that the environment names, with the part for `name`. Return how to reproduce it."""
    schedule, seed = os.environ.get(SCHEDULE, "random"), os.environ.get(SEED, "0")
    EMULATED.set_schedule(schedule, zlib.crc32(f"{seed} {name}".encode()))
    return f"{SCHEDULE}={schedule} {SEED}={seed}"


@contextlib.contextmanager
def current(device: int) -> Any:
    """Make a device current in this thread for a while."""
    outer = EMULATED.current_device()
    EMULATED.set_device(device)
    try:
        yield
    finally:
        EMULATED.set_device(outer)


failures: list[BaseException] = []
"""Errors raised by queued work, which nobody catches on a device."""


def queue(stream: int, what: str, work: Callable[[], Any]) -> None:
    """Queue work of an array library. Its name goes to the log."""

    def run() -> None:
        try:
            with np.errstate(all="ignore"):
                work()
        except BaseException as error:  # noqa: BLE001  (must not pass through the queue, which would stay as it is)
            traceback.print_exc()
            failures.append(error)

    EMULATED.queue(stream, what, run)


class Pool:
    """The memory that an array library has allocated on the devices."""

    def __init__(self) -> None:
        self.used = self.most = self.blocks = 0

    def add(self, size: int, blocks: int) -> None:
        self.used += size
        self.blocks += blocks
        self.most = max(self.most, self.used)

    def free_bytes(self) -> int:
        """The free memory of a device, where allocations by others count as 1 MiB each."""
        return CAPACITY - self.most - ((EMULATED.live_allocations() - self.blocks) << 20)


class Memory:
    """A block of the current device's memory. It is released in the order of the stream on which it was allocated."""

    def __init__(self, pool: Pool, size: int, stream: int) -> None:
        self.pool, self.size, self.stream, self.device = pool, size, stream, EMULATED.current_device()
        # Room at the end, so that it can be seen as numbers of 8 bytes.
        self.ptr = EMULATED.allocate((size + 15) // 8 * 8, self.device)
        pool.add(size, 1)

    def __del__(self) -> None:
        if EMULATED is None or not hasattr(self, "ptr"):
            return
        with current(self.device):
            EMULATED.release(self.ptr, self.stream)
        self.pool.add(-self.size, -1)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"shape": ((self.size + 15) // 8 * 8,), "typestr": "|u1", "data": (self.ptr, False), "version": 3}


def view_of(ptr: int, shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None = None) -> np.ndarray:
    """Return an array over memory that it does not keep."""
    dtype = np.dtype(dtype)
    if 0 in shape:
        return np.empty(shape, dtype)
    fields = {
        "shape": tuple(shape),
        "typestr": f"|V{dtype.itemsize}",
        "data": (ptr, False),
        "strides": None if strides is None else tuple(strides),
        "version": 3,
    }
    return np.asarray(SimpleNamespace(__array_interface__=fields)).view(dtype)
