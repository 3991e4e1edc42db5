"""Ctrl-C in a loop: it ends between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupts:
    """A block in which the first Ctrl-C only sets `came`, so that the loop can end between steps; the next one raises.

    Where a program has a handler of its own for this signal, or the block is not in the main thread, nothing changes. A
    handler that the program sets within the block stays.
    """

    def __init__(self) -> None:
        self.came = False
        self._is_ours = False

    def __enter__(self) -> Interrupts:  # noqa: PYI034
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._is_ours = True
            signal.signal(signal.SIGINT, self._see)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours and signal.getsignal(signal.SIGINT) == self._see:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _see(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            signal.default_int_handler(number, frame)
        self.came = True
