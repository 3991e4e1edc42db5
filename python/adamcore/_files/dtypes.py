"""The types of arrays in files: their names in safetensors and in NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from adamcore._files.errors import CheckpointError

_NUMPY = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_NAMES = {of_numpy: name for name, of_numpy in _NUMPY.items()}

PAIRS = "complex128"
"""The type that safetensors has no name for. Its numbers are pairs of float64, along a last axis of length 2."""


@cache
def is_pairs(dtype: np.dtype[Any]) -> bool:
    """Whether files have the numbers of this type as pairs."""
    return bool(dtype.name == PAIRS)


@cache
def name_of(dtype: np.dtype[Any]) -> str | None:
    """Return the name of a type, or None if files cannot have it."""
    return "F64" if is_pairs(dtype) else _NAMES.get(dtype.name)


def _numpy_name(name: Any, label: str) -> str:
    of_numpy = _NUMPY.get(name) if isinstance(name, str) else None
    if of_numpy is None:
        raise CheckpointError(f"{label}: the dtype {name!r:.40} is unknown")
    return of_numpy


def dtype_of(name: Any, label: str) -> np.dtype[Any]:
    """Return the type of this name. Raises CheckpointError, which starts with `label`, if it is unknown."""
    of_numpy = _numpy_name(name, label)
    if of_numpy not in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        return np.dtype(of_numpy)
    try:
        import ml_dtypes  # noqa: PLC0415  (needed only for such arrays)
    except ImportError:
        raise ImportError(f"{label}: {of_numpy} arrays need ml_dtypes: pip install ml_dtypes") from None
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, of_numpy))
    return found


def item_size_of(name: Any, label: str) -> int:
    """Return the number of bytes of an element, without needing its library."""
    of_numpy = _numpy_name(name, label)
    if of_numpy == "bfloat16":
        return 2
    return 1 if of_numpy.startswith("float8") else np.dtype(of_numpy).itemsize
