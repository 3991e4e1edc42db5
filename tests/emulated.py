"""A pytest plugin that puts a CUDA of host memory, and a CuPy over it, in place of the real ones.

``pytest -p emulated tests/gpu/test_parity.py`` then runs what those tests ask of CuPy's arrays on the CPU, with the
kernels' own code. ADAMCORE_EMULATION names the folder of the built module.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lenders import CUDA, Lender

# Of PyTorch's tensors, which there are none of here.
OTHERS = ("torch", "test_bfloat16_through_dlpack", "test_arrays_over_host_memory")


def load() -> ModuleType:
    (path,) = Path(os.environ["ADAMCORE_EMULATION"]).glob("_emulated*.so")
    spec = importlib.util.spec_from_file_location("_emulated", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Pointer:
    """CuPy's MemoryPointer; the memory goes when the last of them does."""

    def __init__(self, memory: Any, ptr: int, device_id: int) -> None:
        self.memory, self.ptr, self.device_id = memory, ptr, device_id

    def __add__(self, offset: int) -> Pointer:
        return Pointer(self.memory, self.ptr + offset, self.device_id)


class Memory:
    used = 0

    def __init__(self, size: int, device: int) -> None:
        self.size, self.device = size, device
        self.ptr = EMULATED.allocate(max(size, 1), device)
        Memory.used += size

    def __del__(self) -> None:
        EMULATED.free(self.ptr)
        Memory.used -= self.size


class NdArray:
    """cupy.ndarray, as far as adamcore and its tests use it."""

    def __init__(self, shape: Any, dtype: Any, memptr: Pointer, strides: Any = None) -> None:
        self.data = memptr
        interface = SimpleNamespace(
            __array_interface__={
                "shape": tuple(shape),
                "typestr": f"|V{np.dtype(dtype).itemsize}",
                "data": (memptr.ptr, False),
                "strides": None if strides is None else tuple(strides),
                "version": 3,
            }
        )
        self.host = np.asarray(interface).view(dtype) if 0 not in tuple(shape) else np.empty(shape, dtype)

    @classmethod
    def over(cls, host: np.ndarray, data: Pointer) -> NdArray:
        array = cls.__new__(cls)
        array.host = host
        array.data = data + (host.ctypes.data - data.ptr if host.size else 0)
        return array

    dtype = property(lambda self: self.host.dtype)
    shape = property(lambda self: self.host.shape)
    strides = property(lambda self: self.host.strides)
    size = property(lambda self: self.host.size)
    ndim = property(lambda self: self.host.ndim)
    nbytes = property(lambda self: self.host.nbytes)
    device = property(lambda self: SimpleNamespace(id=self.data.device_id))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.host.__array_interface__, "stream": 1}

    def __getitem__(self, key: Any) -> NdArray:
        found = self.host[key]
        return NdArray.over(
            found if isinstance(found, np.ndarray) else self.host[(*np.atleast_1d(key), None)][0], self.data
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        self.host[key] = value.host if isinstance(value, NdArray) else value

    def view(self, dtype: Any) -> NdArray:
        return NdArray.over(self.host.view(dtype), self.data)

    def reshape(self, *shape: Any) -> NdArray:
        return NdArray.over(self.host.reshape(*shape), self.data)

    def transpose(self, *axes: Any) -> NdArray:
        return NdArray.over(self.host.transpose(*axes), self.data)

    def ravel(self) -> NdArray:
        return NdArray.over(self.host.ravel(), self.data)

    def get(self) -> np.ndarray:
        return self.host.copy(order="K")

    def copy(self) -> NdArray:
        return asarray(self.host)

    def __mul__(self, other: Any) -> NdArray:
        return asarray(self.host * _host(other))

    def __add__(self, other: Any) -> NdArray:
        return asarray(self.host + _host(other))

    __rmul__, __radd__ = __mul__, __add__
    T = property(lambda self: self.transpose())

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self.data.device_id

    def __dlpack__(self, **arguments: Any) -> Any:
        # All of them: what has been lent is given back through its lender.
        self._lenders = [*getattr(self, "_lenders", ()), Lender(self.host, device=self.__dlpack_device__())]
        return self._lenders[-1].__dlpack__(**arguments)


NdArray.__module__ = "cupy"
NdArray.__name__ = NdArray.__qualname__ = "ndarray"

EMULATED: Any = None
_device = threading.local()


def current_device() -> int:
    return getattr(_device, "id", 0)


def asarray(array: Any) -> NdArray:
    if isinstance(array, NdArray):
        return array
    array = np.array(array, order="C")
    made = NdArray(array.shape, array.dtype, alloc(array.nbytes))
    made.host[...] = array
    return made


def alloc(size: int) -> Pointer:
    memory = Memory(size, current_device())
    return Pointer(memory, memory.ptr, memory.device)


class Stream:
    """Numbered from 1000; the null stream is 0."""

    _next = 1000
    _current = threading.local()

    def __init__(self, *, null: bool = False, non_blocking: bool = False) -> None:  # noqa: ARG002
        Stream._next += 1
        self.ptr = 0 if null else Stream._next

    def __enter__(self) -> Stream:  # noqa: PYI034
        self._outer = current_stream()
        Stream._current.stream = self
        return self

    def __exit__(self, *_: object) -> None:
        Stream._current.stream = self._outer

    def begin_capture(self) -> None:
        EMULATED.begin_capture(self.ptr)

    def end_capture(self) -> Any:
        return SimpleNamespace(launch=EMULATED.end_capture(self.ptr))

    def synchronize(self) -> None:
        pass


NULL = Stream(null=True)


def current_stream(device_id: int = -1) -> Stream:  # noqa: ARG001
    return getattr(Stream._current, "stream", NULL)


class Device:
    def __init__(self, device: int | None = None) -> None:
        self.id = current_device() if device is None else device

    def __enter__(self) -> None:
        self._outer, _device.id = current_device(), self.id

    def __exit__(self, *_: object) -> None:
        _device.id = self._outer

    def synchronize(self) -> None:
        pass


def fake_cupy() -> ModuleType:
    cupy = ModuleType("cupy")
    cupy.ndarray, cupy.asarray = NdArray, asarray
    cupy.asnumpy = lambda a: a.get()
    for make in (np.ones, np.zeros, np.full, np.arange):
        setattr(cupy, make.__name__, lambda *args, _make=make, **options: asarray(_make(*args, **options)))
    cupy.float32, cupy.float64 = np.float32, np.float64
    cupy.RawKernel = lambda *_: lambda *_: None
    cupy.broadcast_to = lambda a, shape: NdArray.over(np.broadcast_to(a.host, shape), a.data)
    cupy.multiply = lambda a, b, out: EMULATED.queue(
        current_stream().ptr or 1, "multiply", lambda: np.multiply(a.host, _host(b), out=out.host)
    )
    cupy.get_default_memory_pool = lambda: SimpleNamespace(used_bytes=lambda: Memory.used)
    cupy.cuda = SimpleNamespace(
        alloc=alloc,
        Device=Device,
        Stream=Stream,
        get_current_stream=current_stream,
        runtime=SimpleNamespace(getDeviceCount=lambda: 2, CUDARuntimeError=RuntimeError),
    )
    return cupy


def _host(array: Any) -> Any:
    return array.host if isinstance(array, NdArray) else array


def fake_torch() -> ModuleType:
    torch = ModuleType("torch")
    for name in ("uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"):
        setattr(torch, name, name)
    torch.cuda = SimpleNamespace(is_available=lambda: True)
    torch.Tensor = type("Tensor", (), {})
    return torch


def pytest_configure() -> None:
    global EMULATED  # noqa: PLW0603
    EMULATED = load()
    sys.modules["cupy"], sys.modules["torch"] = fake_cupy(), fake_torch()
    import adamcore

    EMULATED.architectures = "emulated"
    sys.modules["adamcore._cuda"] = adamcore._cuda = EMULATED
    EMULATED.run_backwards(os.environ.get("ADAMCORE_EMULATION_BACKWARDS") == "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if any(name in item.name for name in OTHERS)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
