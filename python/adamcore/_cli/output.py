"""Where commands save their pictures and numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

FORMATS = (".png", ".svg", ".pdf")


class OutputError(Exception):
    """The file cannot be saved. The message says why."""


def check_output(path: Path) -> None:
    """Raise OutputError unless a picture can be saved to `path`. Leaves no file behind."""
    if path.suffix.lower() not in FORMATS:
        raise OutputError(f"cannot write {path}: its name must end in one of {', '.join(FORMATS)}")
    check_writable(path)


def check_writable(path: Path) -> None:
    """Raise OutputError unless `path` can be written. Leaves no file behind, and an existing one as it is."""
    existed = os.path.lexists(path)
    try:
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def save_figure(figure: Any, path: Path) -> None:
    """Save a figure of Matplotlib's, or raise OutputError."""
    write_output(partial(figure.savefig, dpi=150), path)


def write_output(write: Callable[[Path], Any], path: Path) -> None:
    """Call `write` with `path`, or raise OutputError if the file cannot be written."""
    try:
        write(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
