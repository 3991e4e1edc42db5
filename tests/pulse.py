"""A line whenever pytest has been silent for a while, with what it is at: a plugin that conftest.py registers."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

SECONDS = 6.0
WIDTH = 118


class Pulse:
    """Writes past pytest's capture, from a thread of its own."""

    def __init__(self, config: pytest.Config) -> None:
        capture = config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            self._terminal = os.dup(1)
        self._heard = time.monotonic()
        self._began = self._heard
        self._test = ""
        self._waiting: Callable[[], str] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def waiting(self, what: Callable[[], str]) -> Iterator[None]:
        """For a while the lines are what `what` returns."""
        self._waiting = what
        try:
            yield
        finally:
            self._waiting = None

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            if time.monotonic() - self._heard >= SECONDS:
                waiting = self._waiting
                line = waiting() if waiting else f"{self._test}: for {time.monotonic() - self._began:.0f} s"
                os.write(self._terminal, f"\n  {line[:WIDTH]} ".encode())
                self._heard = time.monotonic()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._test, self._began = nodeid, time.monotonic()

    def pytest_runtest_logreport(self) -> None:
        self._heard = time.monotonic()

    def pytest_unconfigure(self) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._terminal)


PULSE = pytest.StashKey[Pulse]()


def register(config: pytest.Config) -> None:
    """Begin; pytest-xdist's processes have no terminal of their own."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[PULSE] = Pulse(config)
        config.pluginmanager.register(config.stash[PULSE])


def waiting(config: pytest.Config, what: Callable[[], str]) -> contextlib.AbstractContextManager[None]:
    pulse = config.stash.get(PULSE, None)
    return pulse.waiting(what) if pulse else contextlib.nullcontext()
