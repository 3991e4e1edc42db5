"""Arrays that pretend: producers of DLPack capsules, which lend whatever a test likes and count what is given back, and
such as CuPy's and PyTorch's, over NumPy's memory.
"""

from __future__ import annotations

import ctypes as c
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np

READ_ONLY, COPIED = 1, 2
CPU, CUDA, CUDA_HOST, ROCM, CUDA_MANAGED = 1, 2, 3, 10, 13
ONES = np.ones((4, 3), np.float32)
CODES = {"float16": (2, 16), "float32": (2, 32), "float64": (2, 64), "bfloat16": (4, 16)}


class Tensor(c.Structure):
    _fields_ = (
        ("data", c.c_void_p),
        ("device_type", c.c_int32),
        ("device_id", c.c_int32),
        ("ndim", c.c_int32),
        ("code", c.c_uint8),
        ("bits", c.c_uint8),
        ("lanes", c.c_uint16),
        ("shape", c.POINTER(c.c_int64)),
        ("strides", c.POINTER(c.c_int64)),
        ("byte_offset", c.c_uint64),
    )


class Managed(c.Structure):
    _fields_ = (("tensor", Tensor), ("context", c.c_void_p), ("deleter", c.c_void_p))


class Versioned(c.Structure):
    _fields_ = (
        ("major", c.c_uint32),
        ("minor", c.c_uint32),
        ("context", c.c_void_p),
        ("deleter", c.c_void_p),
        ("flags", c.c_uint64),
        ("tensor", Tensor),
    )


DELETER = c.CFUNCTYPE(None, c.c_void_p)
_new_capsule = c.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = c.py_object, (c.c_void_p, c.c_char_p, c.c_void_p)
_set_name = c.pythonapi.PyCapsule_SetName
_set_name.restype, _set_name.argtypes = c.c_int, (c.py_object, c.c_char_p)
_is_valid = c.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = c.c_int, (c.py_object, c.c_char_p)


def is_used(capsule: object) -> bool:
    return any(_is_valid(capsule, name) for name in (b"used_dltensor", b"used_dltensor_versioned"))


def use_up(capsule: object) -> None:
    """Act as a consumer."""
    _set_name(capsule, b"used_dltensor_versioned")


class Lender:
    """A producer that lends an array's memory, or says so; `changed` overrides what it says of it.

    Capsules have no destructor: what a consumer does not give back is not given back.
    """

    def __init__(
        self,
        array: np.ndarray,
        *,
        version: tuple[int, int] | None = (1, 0),
        flags: int = 0,
        device: tuple[int, int] = (CPU, 0),
        says_strides: bool = True,
        deleter: bool = True,
        takes: tuple[str, ...] = ("stream", "max_version", "copy"),
        **changed: Any,
    ) -> None:
        self.array, self.version, self.flags, self.device = array, version, flags, device
        self.says_strides, self.has_deleter, self.takes, self.changed = says_strides, deleter, takes, changed
        self.calls: list[dict[str, Any]] = []
        self.capsules: list[object] = []
        self.given_back = 0
        self._kept: list[object] = []
        self._deleter = DELETER(self._give_back)

    @property
    def held(self) -> int:
        """The number of capsules that were lent and not returned."""
        return len(self.capsules) - self.given_back

    def _give_back(self, _: int) -> None:
        self.given_back += 1

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **arguments: Any) -> object:
        self.calls.append(arguments)
        if surplus := set(arguments) - set(self.takes):
            raise TypeError(f"__dlpack__() got an unexpected keyword argument {surplus.pop()!r}")
        managed: Any = Managed() if self.version is None else Versioned()
        self._fill(managed.tensor)
        if self.has_deleter:
            managed.deleter = c.cast(self._deleter, c.c_void_p)
        name = b"dltensor"
        if self.version is not None:
            (managed.major, managed.minor), managed.flags = self.version, self.flags
            name = b"dltensor_versioned"
        self._kept.append(managed)
        self.capsules.append(_new_capsule(c.addressof(managed), name, None))
        return self.capsules[-1]

    def _fill(self, tensor: Tensor) -> None:
        array = self.array
        tensor.data = array.ctypes.data or None
        tensor.device_type, tensor.device_id = self.device
        tensor.ndim, tensor.lanes = array.ndim, 1
        tensor.code, tensor.bits = CODES.get(array.dtype.name, (0, 32))
        shape = (c.c_int64 * array.ndim)(*array.shape)
        strides = (c.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
        tensor.shape = c.cast(shape, c.POINTER(c.c_int64))
        if self.says_strides:
            tensor.strides = c.cast(strides, c.POINTER(c.c_int64))
        self._kept += [shape, strides]
        for name, value in self.changed.items():
            if name in ("shape", "strides") and value is not None:
                value = (c.c_int64 * len(value))(*value)  # noqa: PLW2901
                self._kept.append(value)
                value = c.cast(value, c.POINTER(c.c_int64))  # noqa: PLW2901
            setattr(tensor, name, value)


def interface(array: np.ndarray = ONES, **changed: Any) -> Any:
    fields = {
        "shape": array.shape,
        "typestr": array.dtype.str,
        "data": (array.ctypes.data, False),
        "strides": array.strides,
        "version": 3,
        **changed,
    }
    present = {name: value for name, value in fields.items() if value is not ...}
    return SimpleNamespace(__cuda_array_interface__=present, kept=array, dtype=array.dtype)


class CupyArray:
    """The part of CuPy's array that adamcore reads, over NumPy's memory."""

    def __init__(self, array: np.ndarray, device: int = 0) -> None:
        self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype
        self.data = SimpleNamespace(ptr=array.ctypes.data, device_id=device)


CupyArray.__module__ = "cupy"


class TorchTensor(Lender):
    """The part of PyTorch that adamcore uses."""

    requires_grad = False
    negative = False

    def is_neg(self) -> bool:
        return self.negative

    def detach(self) -> Lender:
        return self if not self.requires_grad else TorchTensor(self.array, device=self.device)

    def __dlpack__(self, **arguments: Any) -> object:
        assert not self.requires_grad
        assert sys.modules["torch"].cuda.current_device() == self.device[1]
        return super().__dlpack__(**arguments)


TorchTensor.__module__ = "torch"
