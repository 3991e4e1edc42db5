"""Several processes that run trials of one study."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from time import monotonic
from types import ModuleType
from typing import Any, NamedTuple

from adamcore._build import set_num_threads
from adamcore._core import short_repr
from adamcore.training.tuning.job import Job
from adamcore.training.tuning.loop import Loop
from adamcore.training.tuning.study import Shared, open_storage

_LOOKS_EVERY = 0.05
"""Seconds after which a worker looks again whether it is to end."""
_PATIENCE = 5.0
"""Seconds that workers have to end before they are made to."""


class _Module(NamedTuple):
    """A module, which is no object that can be sent."""

    name: str
    path: str | None

    def load(self) -> ModuleType:
        """Import it in another process."""
        try:
            return importlib.import_module(self.name)
        except ModuleNotFoundError as error:
            is_missing = error.name is not None and f"{self.name}.".startswith(f"{error.name}.")
            if not is_missing or self.path is None:
                raise
        spec = importlib.util.spec_from_file_location(self.name, self.path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module
        spec.loader.exec_module(module)
        return module


def packed(job: Job, storage: Any) -> bytes:
    """Return what a worker needs, or raise TypeError that says what cannot be sent to one."""
    if isinstance(job.problem, ModuleType):
        path = getattr(job.problem, "__file__", None)
        job = job._replace(problem=_Module(job.problem.__name__, path))
    parts = {"problem": job.problem, "rule": job.rule.make, "space": job.space, "pruner": job.pruner}
    for name, part in {**parts, "storage": storage}.items():
        _require_sendable(name, part)
    return pickle.dumps((job, storage))


def _require_sendable(name: str, part: Any) -> None:
    try:
        pickle.dumps(part)
    except Exception as error:
        raise TypeError(
            f"tune: with workers > 1 other processes get the {name}, and {short_repr(part)} cannot be sent to them "
            f"({error}); use a module, or an object of a class or a function that a module has at its top level"
        ) from error


class Workers:
    """Processes that run trials until there are enough, or until they are told to end."""

    def __init__(self) -> None:
        self._processes: list[Any] = []
        self._connections: list[Connection] = []

    def start(self, count: int, work: bytes) -> None:
        """Start so many processes."""
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        share = max((os.cpu_count() or 1) // count, 1)
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(work, theirs, share), name="adamcore tune")
            process.start()
            self._processes.append(process)
            self._connections.append(ours)
            theirs.close()

    def run_all(self, is_over: Callable[[], bool], on_end: Callable[[], None]) -> None:
        """Wait until all have come to their end; call `on_end` after trials."""
        left = dict(zip(self._connections, self._processes, strict=True))
        is_told, codes = False, []
        while left:
            if is_over() and not is_told:
                self._tell_to_end()
                is_told = True
            for connection in wait(list(left), _LOOKS_EVERY):
                assert isinstance(connection, Connection)
                message = _received(connection)
                if isinstance(message, EOFError):
                    process = left.pop(connection)
                    process.join(_PATIENCE)
                    codes.append(process.exitcode)
                elif isinstance(message, BaseException):
                    raise message
                else:
                    on_end()
        # While one is left, it runs again what others have not ended.
        if all(codes):
            raise RuntimeError(
                f"tune: all workers ended without having said why; their exit codes are {codes}. If it says above that "
                'a process was started too early, put what your script does under: if __name__ == "__main__":'
            )

    def _tell_to_end(self) -> None:
        for connection in self._connections:
            with suppress(OSError):  # it has ended
                connection.send("end")

    def close(self) -> None:
        """End all that still run."""
        self._tell_to_end()
        until = monotonic() + _PATIENCE
        for process in self._processes:
            process.join(max(until - monotonic(), 0.0))
        for process in self._processes:
            if process.is_alive():
                process.kill()
            process.join()
        for connection in self._connections:
            connection.close()


@contextmanager
def working(count: int, work: bytes) -> Iterator[Workers]:
    """Start workers, and leave none behind."""
    workers = Workers()
    try:
        workers.start(count, work)
        yield workers
    finally:
        workers.close()


def _received(connection: Connection) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError):
        return EOFError()


def _work(work: bytes, connection: Connection, threads: int) -> None:
    """Run trials in a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process says what to do
    set_num_threads(threads)
    try:
        job, storage = pickle.loads(work)  # noqa: S301  (it comes from the process that started this one)
        if isinstance(job.problem, _Module):
            job = job._replace(problem=job.problem.load())
        shared = Shared(job, open_storage(storage))
        Loop(job, shared, _Ear(connection), partial(_send, connection, None)).run_all()
    except Exception as error:  # noqa: BLE001  (the first process raises it)
        _send(connection, _sendable(error))
    finally:
        connection.close()


def _send(connection: Connection, message: Any) -> None:
    """Tell the first process, if it is not dead."""
    with suppress(BrokenPipeError):
        connection.send(message)


class _Ear:
    """Whether a worker is to end: because it was told so, or because the first process is dead."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._looked, self._is_over = connection, 0.0, False

    def __call__(self) -> bool:
        now = monotonic()
        if not self._is_over and now - self._looked >= _LOOKS_EVERY:
            self._looked = now
            self._is_over = self._connection.poll()  # a word, or the end of the pipe
        return self._is_over


def _sendable(error: Exception) -> BaseException:
    """Return an error, or one that says the same, if it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:  # noqa: BLE001
        return RuntimeError(f"tune: a worker failed: {type(error).__name__}: {error}")
    return error
