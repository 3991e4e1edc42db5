"""Numbers that users pass."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from adamcore._core import is_less, short_repr

LARGEST_INT = 2**63 - 1


def as_float(value: Any, label: str, wanted: str) -> float:
    """Return `value` as a float, or raise a TypeError or ValueError that says what `label` must be."""
    shape: Any = getattr(value, "shape", None)
    if isinstance(value, (str, bytes, bytearray, bool, np.bool_)) or shape or _is_complex(value):
        raise TypeError(_message(value, label, wanted))
    try:
        return float(value)
    except OverflowError:
        raise ValueError(_message(value, label, wanted)) from None
    except (TypeError, ValueError):
        raise TypeError(_message(value, label, wanted)) from None


def _message(value: Any, label: str, wanted: str) -> str:
    return f"{label} must be {wanted}, got {short_repr(value)}"


def _is_complex(value: Any) -> bool:
    """Whether float() would drop the imaginary part, as it does for scalars of NumPy and PyTorch."""
    dtype: Any = getattr(value, "dtype", None)
    return getattr(dtype, "kind", None) == "c" or getattr(dtype, "is_complex", False) is True


def as_positive(value: Any, label: str) -> float:
    """Return `value` as a finite float > 0, or raise a TypeError or ValueError."""
    wanted = "a finite number > 0"
    number = as_float(value, label, wanted)
    if not (is_less(0.0, number) and math.isfinite(number)):
        raise ValueError(f"{label} must be {wanted}, got {short_repr(value)}")
    return number


def as_int(value: Any, label: str, wanted: str, least: int, most: int = LARGEST_INT) -> int:
    """Return `value` as an int from `least` to `most`, or raise a TypeError or ValueError."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(_message(value, label, wanted))
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(_message(value, label, wanted)) from None
    if not least <= number <= most:
        raise ValueError(_message(value, label, wanted))
    return number
