"""CuPy's arrays: operations are queued on the current stream, and reading their numbers waits for that stream."""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from lenders import CUDA

from .capsules import on_device
from .core import EMULATED, Memory, Pool, queue, view_of
from .streams import current_stream

POOL = Pool()


class Pointer:
    """CuPy's MemoryPointer. The memory is released when the last of them is destroyed."""

    def __init__(self, memory: Any, ptr: int, device_id: int) -> None:
        self.memory, self.ptr, self.device_id = memory, ptr, device_id

    device = property(lambda self: SimpleNamespace(id=self.device_id))

    def __add__(self, offset: int) -> Pointer:
        return Pointer(self.memory, self.ptr + offset, self.device_id)

    def copy_from_device_async(self, source: Pointer, size: int, stream: Any = None) -> None:
        to, this = view_of(self.ptr, (size,), np.uint8), view_of(source.ptr, (size,), np.uint8)
        queue((stream or current_stream()).ptr, "array moved", lambda: np.copyto(to, this))


def alloc(size: int) -> Pointer:
    memory = Memory(POOL, size, current_stream().ptr)
    return Pointer(memory, memory.ptr, memory.device)


class NdArray:
    """The part of cupy.ndarray that adamcore, its tests and its benchmarks use."""

    __array_ufunc__ = None  # NumPy's scalars leave arithmetic to it

    def __init__(self, shape: Any, dtype: Any = float, memptr: Pointer | None = None, strides: Any = None) -> None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if memptr is None:
            memptr = alloc(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        self.base: NdArray | None = None
        self.data, self.raw = memptr, view_of(memptr.ptr, shape, dtype, strides)

    @classmethod
    def over(cls, raw: np.ndarray, data: Pointer, of: NdArray | None = None) -> NdArray:
        array = cls.__new__(cls)
        array.base = of if of is None or of.base is None else of.base
        array.raw = raw
        array.data = data + (raw.ctypes.data - data.ptr if raw.size else 0)
        return array

    dtype = property(lambda self: self.raw.dtype)
    shape = property(lambda self: self.raw.shape)
    strides = property(lambda self: self.raw.strides)
    size = property(lambda self: self.raw.size)
    ndim = property(lambda self: self.raw.ndim)
    nbytes = property(lambda self: self.raw.nbytes)
    itemsize = property(lambda self: self.raw.itemsize)
    flags = property(lambda self: self.raw.flags)
    device = property(lambda self: self.data.device)
    T = property(lambda self: self.transpose())

    @property
    def host(self) -> np.ndarray:
        """The numbers after all queued work has been done. (This is not in CuPy; only the emulation's tests use it.)"""
        EMULATED.synchronize()
        return self.raw

    def get(self) -> np.ndarray:
        """As in CuPy: a copy on the current stream, for which it waits."""
        found, stream = np.empty(self.shape, self.dtype), current_stream()
        queue(stream.ptr, "array to the host", lambda raw=self.raw: np.copyto(found, raw))
        stream.synchronize()
        return found

    def item(self) -> Any:
        return self.get().item()

    __float__ = __int__ = __bool__ = __index__ = None

    def set(self, values: np.ndarray, stream: Any = None) -> None:
        """As in CuPy: the current contents of the host array are written when the stream reaches the copy."""
        assert values.dtype == self.dtype
        assert values.shape == self.shape
        copied = values.copy()
        queue((stream or current_stream()).ptr, "array from the host", lambda raw=self.raw: np.copyto(raw, copied))

    def fill(self, value: Any) -> None:
        queue(current_stream().ptr, "array filled", lambda raw=self.raw: raw.fill(value))

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, key: Any) -> NdArray:
        found = self.raw[key]
        if not isinstance(found, np.ndarray):
            found = self.raw[(*np.atleast_1d(key), None)].reshape(())  # memory, which a number is not
        return NdArray.over(found, self.data, self)

    def __reduce__(self) -> tuple[Any, ...]:
        return asarray, (self.get(),)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("CuPy takes no array of NumPy's there")
        to, values = self[key].raw, raw_of(value)
        queue(current_stream().ptr, "array set", lambda: np.copyto(to, values, casting="unsafe"))

    def view(self, dtype: Any = None) -> NdArray:
        return NdArray.over(self.raw.view(self.dtype if dtype is None else dtype), self.data, self)

    def reshape(self, *shape: Any) -> NdArray:
        found = self.raw.reshape(*shape)
        shared = np.shares_memory(found, self.raw) or not self.size
        return NdArray.over(found, self.data, self) if shared else self.copy()

    def transpose(self, *axes: Any) -> NdArray:
        return NdArray.over(self.raw.transpose(*axes), self.data, self)

    def ravel(self) -> NdArray:
        return self.reshape(-1)

    def astype(self, dtype: Any) -> NdArray:
        return computed(lambda a: a.astype(dtype), self)

    def copy(self) -> NdArray:
        return computed(np.array, self)

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, self.data.device_id

    def __dlpack__(self, *, stream: int | None = None, **arguments: Any) -> Any:
        told = 1 if stream is None else stream
        here = current_stream()
        if told not in (-1, here.ptr or 1):
            event = EMULATED.Event()
            event.record(here.ptr)
            event.hold(told)
        return on_device(self.kept().__dlpack__(**arguments), self.data.device_id)

    def kept(self) -> np.ndarray:
        """Return NumPy's array over the memory, which it keeps."""
        return np.asarray(_Keeper(self)).view(self.dtype) if self.size else np.empty(self.shape, self.dtype)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.raw.__array_interface__, "stream": current_stream().ptr or 1}


NdArray.__module__ = "cupy"
NdArray.__name__ = NdArray.__qualname__ = "ndarray"


class _Keeper:
    def __init__(self, array: NdArray) -> None:
        self.array = array
        self.__array_interface__ = {**array.raw.__array_interface__, "typestr": f"|V{array.itemsize}"}


def raw_of(array: Any) -> Any:
    return array.raw if isinstance(array, NdArray) else array


def computed(function: Callable[..., Any], *arguments: Any) -> NdArray:
    """Queue an operation that creates an array from others. Its shape and type are computed with empty arrays."""
    raws = [raw_of(a) for a in arguments]
    with np.errstate(all="ignore"):
        like = function(*(_nothing_like(a) for a in raws))
    made = NdArray(np.shape(like), like.dtype)
    queue(current_stream().ptr, "array computed", lambda to=made.raw: np.copyto(to, function(*raws)))
    return made


def _nothing_like(array: Any) -> Any:
    """Return an array of this shape with one element, which nobody has to wait for."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape) if isinstance(array, np.ndarray) else array


def asarray(array: Any, dtype: Any = None) -> NdArray:
    if isinstance(array, NdArray):
        return array if dtype in (None, array.dtype) else array.astype(dtype)
    array = np.array(array, dtype, order="C")
    made = NdArray(array.shape, array.dtype)
    made.set(array)
    return made


def _operator(ufunc: Any, reverse: bool) -> Callable[[NdArray, Any], NdArray]:
    if reverse:
        return lambda self, other: computed(lambda a, b: ufunc(b, a), self, other)
    return lambda self, other: computed(ufunc, self, other)


def _in_place(ufunc: Any) -> Callable[[NdArray, Any], NdArray]:
    def apply(self: NdArray, other: Any) -> NdArray:
        to, value = self.raw, raw_of(other)
        queue(current_stream().ptr, "array changed", lambda: ufunc(to, value, out=to))
        return self

    return apply


_COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")
_ARITHMETIC = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor")
for _name in (*_COMPARED, *_ARITHMETIC):
    _function = getattr(operator, f"__{_name}__")
    setattr(NdArray, f"__{_name}__", _operator(_function, reverse=False))
    if _name in _ARITHMETIC:
        setattr(NdArray, f"__r{_name}__", _operator(_function, reverse=True))
for _name, _ufunc in (
    ("add", np.add),
    ("sub", np.subtract),
    ("mul", np.multiply),
    ("truediv", np.divide),
    ("and", np.bitwise_and),
    ("or", np.bitwise_or),
):
    setattr(NdArray, f"__i{_name}__", _in_place(_ufunc))
for _name, _type in (("float", float), ("int", int), ("bool", bool), ("index", operator.index)):
    setattr(NdArray, f"__{_name}__", lambda self, _type=_type: _type(self.get()[()]))
setattr(NdArray, "__neg__", lambda self: computed(np.negative, self))  # noqa: B010
NdArray.__hash__ = object.__hash__
