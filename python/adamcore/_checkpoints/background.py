"""Writing a file while the program goes on."""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class BackgroundSave:
    """A file that is being written in a thread, as `save` returns it with ``background=True``.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    done : bool
        Whether it has been written, or has failed.
    succeeded : bool
        Whether it has been written.
    """

    def __init__(self, path: Path, write: Callable[[], None]) -> None:
        self.path = path
        self._write: Callable[[], None] | None = write
        self._error: BaseException | None = None
        self._is_reported = False
        self._process = os.getpid()
        self._ended = threading.Event()  # Thread.join() may take a thread for dead after an interrupt (Python 3.11)
        self._claim = threading.Lock()  # held by who decides whether the file is written
        try:
            _begun.append(self)
            threading.Thread(target=self._run, name="adamcore-save").start()
        except BaseException:
            if self._claim.acquire(blocking=False):  # else the thread has begun, before an interrupt came
                self._ended.set()
                with suppress(ValueError):
                    _begun.remove(self)
            raise

    def _run(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        write, self._write = self._write, None
        try:
            assert write is not None
            write()
        except BaseException as error:  # noqa: BLE001  (wait() raises it)
            self._error = error
        finally:
            del write  # with the copies of arrays
            self._ended.set()

    @property
    def done(self) -> bool:
        """Whether the file has been written, or has failed."""
        return self._ended.is_set()

    @property
    def succeeded(self) -> bool:
        """Whether the file has been written."""
        return self.done and self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the file has been written.

        Parameters
        ----------
        timeout : float or None
            The longest time to wait in seconds.

        Raises
        ------
        TimeoutError
            If the file is not written by then. Writing goes on.
        OSError, MemoryError
            If the file could not be written. The old file is as it was.
        RuntimeError
            In another process than the one that writes the file.
        """
        if os.getpid() != self._process:
            raise RuntimeError(f"{self.path}: another process writes this file, from which this one was forked")
        if not self._ended.wait(timeout):
            raise TimeoutError(f"{self.path}: the file has not been written after {timeout} s")
        self._is_reported = True
        if self._error is not None:
            raise self._error

    def __repr__(self) -> str:
        state = "failed" if self._error is not None else "done" if self.done else "writing"
        return f"BackgroundSave({str(self.path)!r}, {state})"


_begun: list[BackgroundSave] = []
"""The files that are being written, and those that have failed while nobody knows."""


def finish() -> None:
    """Wait for files that are being written, and raise an error that has not been raised before."""
    for each in _begun.copy():
        each._ended.wait()
        if not each._is_reported:
            each.wait()
        with suppress(ValueError):  # another thread was faster
            _begun.remove(each)


def settle() -> None:
    """Wait for files that are being written. Errors will be raised by the next save."""
    for each in _begun.copy():
        each._ended.wait()


def _report() -> None:
    for each in _begun.copy():
        if each._error is not None and not each._is_reported:
            warnings.warn(f"{each.path}: the file was not written: {each._error}", RuntimeWarning, stacklevel=1)


os.register_at_fork(after_in_child=_begun.clear)
atexit.register(_report)
