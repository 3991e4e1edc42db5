"""Where commands save their pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FORMATS = (".png", ".svg", ".pdf")


class OutputError(Exception):
    """The picture cannot be saved. The message says why."""


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
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
