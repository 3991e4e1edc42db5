"""Records in files that are whole at any moment, whichever process is killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def update(path: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Let `change` work on what a JSON file holds, and put the result in its place; several processes may do so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        record = read(path)
        change(record)
        # One name, not a random one: of whoever is killed here no more than one file is left.
        beside = path.with_name(path.name + ".part")
        beside.write_text(json.dumps(record, indent=1) + "\n")
        beside.replace(path)
    return record


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder itself, which needs no file; it goes with the process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # where a file system has no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
