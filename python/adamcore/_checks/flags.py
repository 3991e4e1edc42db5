"""Hyper-parameters that are True or False."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adamcore._core import short_repr

FLAGS = ("amsgrad", "nesterov", "centered", "maximize")
"""The names of these hyper-parameters. 1 and 0 are accepted as True and False."""


def require_flags(owner: str, hyper: Mapping[str, Any]) -> None:
    """Raise TypeError unless all flags in `hyper` are True or False. Otherwise "no" would count as True."""
    for key in FLAGS:
        value = hyper.get(key, False)
        is_number = isinstance(value, (int, np.integer)) and value in (0, 1)
        if not is_number and not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{owner}: {key} must be True or False, got {short_repr(value)}")
