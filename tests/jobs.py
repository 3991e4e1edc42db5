"""Processes that run while other tests do, and what they have printed so far."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from pulse import waiting

PROGRESS = " []%0123456789"
"""What stands beside pytest's dots."""


class Job:
    """Commands, one after the other, until one fails. Their output goes to a file."""

    def __init__(
        self, name: str, commands: Sequence[Sequence[object]], after: Job | None, environment: Mapping[str, str]
    ) -> None:
        self.name, self.commands, self.after, self.environment = name, commands, after, environment
        self.process: subprocess.Popen[bytes] | None = None
        self.future: Future[int]
        self.log: Path

    def run(self) -> int:
        if self.after is not None and self.after.future.result() != 0:
            self.log.write_text(f"{self.after.name} failed")
            return 1
        with self.log.open("wb") as log:
            for command in self.commands:
                self.process = subprocess.Popen(
                    [str(word) for word in command],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **self.environment},
                    start_new_session=True,
                )
                if self.process.wait() != 0:
                    return self.process.returncode
        return 0

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        """End the process and its children."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


class Jobs:
    """Runs as many jobs at a time as there are workers."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=workers)
        self._jobs: dict[str, Job] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> Path:
        """A folder that is deleted after the tests."""
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="adamcore-")
        return Path(self._folder.name)

    def begin(
        self,
        name: str,
        commands: Sequence[Sequence[object]],
        after: Job | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Job:
        """Start a job unless it has been started. `after` must succeed first."""
        if name not in self._jobs:
            job = self._jobs[name] = Job(name, commands, after, environment or {})
            job.log = self.folder / f"{len(self._jobs)}.log"
            job.future = self._pool.submit(job.run)
        return self._jobs[name]

    def end(self) -> None:
        """Leave nothing behind, even if the tests are interrupted."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for job in self._jobs.values():
            job.kill()
        self._pool.shutdown()
        if self._folder is not None:
            self._folder.cleanup()


def result_of(job: Job, config: pytest.Config) -> int:
    """Wait; whoever looks on sees what for."""

    def at() -> str:
        running = job.after if job.after is not None and not job.after.future.done() else job
        return f"waiting for {running.name}: {last_line(running.output)}"

    with waiting(config, at):
        return job.future.result()


def last_line(text: str) -> str:
    """Return what a job has printed last; of pytest's dots, how many there are."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return "nothing printed yet"
    return lines[-1] if lines[-1].strip("." + PROGRESS) else f"{text.count('.')} tests done"
