"""The emulation's log of what was queued, and what tests read from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from adamcore import _cuda

N = 5000


def arrays(count: int = 3) -> list[Any]:
    return [cupy.asarray(np.full(N, 1.0 + i, np.float32)) for i in range(count)]


def log_of(call: Callable[[], Any]) -> list[str]:
    _cuda.take_log()
    call()
    return _cuda.take_log()


def kernels(log: list[str]) -> int:
    return sum(entry.startswith("kernel") for entry in log)


def copies(log: list[str]) -> list[str]:
    return [entry for entry in log if "cop" in entry]


def reads(log: list[str]) -> bool:
    """Whether the host waits for something, or copies numbers from the device."""
    return any(entry.startswith(("wait", "copy to the host")) for entry in log)


def overtakes(call: Callable[[], Any]) -> bool:
    """Whether a call returns before what is on the stream has been done: nothing is, before somebody waits for it."""
    done: list[bool] = []
    _cuda.synchronize()
    _cuda.set_schedule("lazy")
    _cuda.queue(1, "mark", lambda: done.append(True))
    call()
    return not done
