"""Arguments and hyper-parameters that are True or False."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adamcore._core import short_repr

FLAGS: set[str] = set()
"""Those of all optimizers, which add theirs by `add_flags`. 1 and 0 are taken for True and False."""


def add_flags(init: Callable[..., None]) -> None:
    """Add the arguments of an optimizer whose default is True or False."""
    function: Any = init
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    by_place = zip(reversed(names), reversed(function.__defaults__ or ()), strict=False)
    presets = {**dict(by_place), **(function.__kwdefaults__ or {})}
    FLAGS.update(name for name, preset in presets.items() if isinstance(preset, bool))


def as_flag(value: Any, label: str) -> bool:
    """Return True or False as a bool, also NumPy's, or raise TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{label} must be True or False, got {short_repr(value)}")
    return bool(value)


def require_flags(owner: str, hyper: Mapping[str, Any]) -> None:
    """Raise TypeError unless those that are True or False are: "no" would be taken for True."""
    for key, value in hyper.items():
        if key not in FLAGS:
            continue
        is_number = isinstance(value, (int, np.integer)) and value in (0, 1)
        if not is_number and not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{owner}: {key} must be True or False, got {short_repr(value)}")
