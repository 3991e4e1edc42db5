"""Calls in another thread, which are made all the same where threads cannot be begun."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Result = TypeVar("Result")


class _Once(Generic[Result]):
    """A call that is made once, by whoever comes first."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._results: list[Result] = []
        self._errors: list[BaseException] = []

    def __call__(self) -> Result:
        with self._lock:
            if not self._results and not self._errors:
                try:
                    self._results.append(self._call())
                except BaseException as error:
                    self._errors.append(error)
                    raise
        if self._errors:
            raise self._errors[0]
        return self._results[0]


def begin(pool: ThreadPoolExecutor, call: Callable[[], Result]) -> Callable[[], Result]:
    """Let a pool begin a call, and return a function that waits for its result.

    If no thread can be begun, as when the interpreter is about to end, the function makes the call itself. The pool may
    have noted the call all the same, and let another thread make it.
    """
    once = _Once(call)
    try:
        return pool.submit(once).result
    except RuntimeError:
        return once
