"""Packages that are installed with an extra, and imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any


def import_extra(module: str, what: str, extra: str) -> Any:
    """Return a module, or raise a ModuleNotFoundError that says what needs it and which extra installs it."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        message = f'{what} needs {package}: pip install "adamcore[{extra}]"'
        raise ModuleNotFoundError(message, name=package) from None
