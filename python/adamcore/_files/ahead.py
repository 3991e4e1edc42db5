"""Calls in other threads, which are made all the same where no thread can be begun."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

Result = TypeVar("Result")


class _Once(Generic[Result]):
    """A call that is made once, by whoever comes first. Others wait for its result."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._results: list[Result] = []
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make the call, unless it has been made."""
        with self._lock:
            if not self.is_over:
                try:
                    self._results.append(self._call())
                except BaseException as error:  # noqa: BLE001  (result() raises it)
                    self._error = error

    def result(self) -> Result:
        """Return the result of the call, or raise its error."""
        self.make()
        if self._error is not None:
            raise self._error
        return self._results[0]

    @property
    def is_over(self) -> bool:
        """Whether the call has been made."""
        return bool(self._results) or self._error is not None

    def end(self) -> None:
        """Wait for the call if it is being made, and let nobody make it later."""
        with self._lock:
            if not self.is_over:
                self._error = RuntimeError("nobody waits for this call")


class Ahead:
    """A block in which calls are made in threads. When it ends, all of them have ended.

    Executors of concurrent.futures cannot be used, nor even imported, when the interpreter is about to end.
    """

    def __init__(self) -> None:
        self._begun: list[_Once[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for once in self._begun:
            once.end()

    def begin(self, call: Callable[[], Result]) -> Callable[[], Result]:
        """Begin a call, and return a function that waits for its result, or makes the call if no thread has."""
        once = _Once(call)
        self._begun = [each for each in self._begun if not each.is_over]
        self._begun.append(once)
        with suppress(RuntimeError):
            threading.Thread(target=once.make, name="adamcore-files").start()
        return once.result
