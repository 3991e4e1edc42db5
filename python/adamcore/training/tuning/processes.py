"""Processes that share a study: which of them are alive, and a lock that the dead do not keep."""

from __future__ import annotations

import os
import platform
import time
import uuid
from pathlib import Path
from typing import Any

from adamcore.training.tuning.sampling import optuna

_Lock: Any = optuna.storages.journal.JournalFileOpenLock

_SHORT, _LONG = 0.001, 0.1
"""Seconds between two looks at a lock."""
_GRACE = 30.0
"""A lock that has not changed for so many seconds is taken for one of a process that is dead: Optuna's number."""


def this_process() -> list[Any]:
    """Return what tells this process apart from others, also from later ones that get the same number."""
    return [_machine(), os.getpid(), _started(os.getpid())]


def is_known_dead(process: list[Any]) -> bool | None:
    """Whether a process is dead; None if it is one of another machine, of which that cannot be seen."""
    machine, number, started = process
    return _started(number) != started if machine == _machine() else None


def _machine() -> str:
    """Return what tells apart places whose processes have numbers of their own: machines and containers."""
    try:
        return f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def _started(process: int) -> str | None:
    """Return when a process of this machine was started, as text; None if it is dead."""
    try:
        # After the name, which may have brackets, are the state and 18 other numbers.
        state, *numbers = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return "" if not Path("/proc/self/stat").exists() and _is_alive(process) else None
    return None if state in "ZX" else numbers[18]


def _is_alive(process: int) -> bool:
    """Whether there is such a process, where there is no /proc."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Lock(_Lock):
    """A file that is there while a process writes, as `JournalFileOpenLock` has it, which works over NFS version 3.

    It names its process, so that one that was killed as it wrote does not keep the others of its machine waiting.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")

    def acquire(self) -> bool:
        """Wait until no other process has the lock, and take it."""
        pause, known, since = _SHORT, None, time.monotonic()
        own = " ".join(map(str, this_process()[1:])) + "\n" + _machine()
        while True:
            try:
                file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                found = self._content()
                if found != known:
                    known, since, pause = found, time.monotonic(), _SHORT
                elif found is not None and (_names_dead(found[0]) or time.monotonic() - since > _GRACE):
                    self._break(found)
                time.sleep(pause)
                pause = min(2 * pause, _LONG)
                continue
            os.write(file, own.encode())
            os.close(file)
            return True

    def release(self) -> None:
        """Give the lock back."""
        self._path.unlink(missing_ok=True)

    def _content(self) -> tuple[str, float] | None:
        """Return what the lock says and when it was made; None if it is there no more."""
        try:
            return self._path.read_text(encoding="utf-8"), self._path.stat().st_mtime
        except OSError:
            return None

    def _break(self, found: tuple[str, float]) -> None:
        """Take the lock away from a process that is dead, but not from another one that has just taken it."""
        aside = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        try:
            self._path.rename(aside)
        except OSError:  # others were faster
            return
        if (aside.read_text(encoding="utf-8"), aside.stat().st_mtime) != found:
            aside.rename(self._path)
            return
        aside.unlink()


def _names_dead(content: str) -> bool:
    first, _, machine = content.partition("\n")
    number, _, started = first.partition(" ")
    return bool(number.isdigit() and is_known_dead([machine, int(number), started]))
