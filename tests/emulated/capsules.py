"""DLPack of the emulated devices: capsules that a library of the CPU's makes, with the device put in."""

from __future__ import annotations

import ctypes as c
from typing import Any

from lenders import CUDA, Managed, Versioned

_pointer = c.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = c.c_void_p, (c.py_object, c.c_char_p)
_is_valid = c.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = c.c_int, (c.py_object, c.c_char_p)


def on_device(capsule: Any, device: int) -> Any:
    """Say that what a capsule lends is a CUDA device's."""
    for name, kind in ((b"dltensor", Managed), (b"dltensor_versioned", Versioned)):
        if _is_valid(capsule, name):
            tensor = kind.from_address(_pointer(capsule, name)).tensor
            tensor.device_type, tensor.device_id = CUDA, device
            return capsule
    raise AssertionError("no capsule that has not been used")
