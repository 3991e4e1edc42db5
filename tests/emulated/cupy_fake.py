"""A module that replaces CuPy."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from . import streams
from .core import EMULATED, queue
from .cupy_array import POOL, NdArray, Pointer, alloc, asarray, computed, raw_of
from .streams import current_stream

TYPES = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 inf nan"


class RawKernel:
    """The kernels of the tests and benchmarks, by name. They are defined here, not read from CUDA code."""

    def __init__(self, code: str, name: str) -> None:  # noqa: ARG002
        self.work = {"spin": _wait, "delay": _wait, "stream": _stream}[name]

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None:  # noqa: ARG002
        self.work(*args)


def _wait(nanoseconds: Any) -> None:
    EMULATED.queue_delay(current_stream().ptr, float(nanoseconds) * 1e-6)


def _stream(p: NdArray, g: NdArray, m: NdArray, v: NdArray, size: Any, scale: Any) -> None:
    raws = [a.raw.view(np.float32) for a in (p, m, v)]
    source = g.raw.view(np.float32)

    def move() -> None:
        for raw in raws:
            raw[: 4 * int(size)] += scale * source[: 4 * int(size)]

    queue(current_stream().ptr, "array streamed", move)


class ElementwiseKernel:
    """Its C code is read as Python, which is valid for plain formulas."""

    def __init__(self, in_params: str, out_params: str, operation: str, name: str) -> None:
        self.inputs = [each.split()[1] for each in in_params.split(",")]
        self.outputs = [each.split()[1] for each in out_params.split(",")]
        self.code = compile(operation, name, "exec")

    def __call__(self, *arguments: Any) -> None:
        values = [raw_of(a) if isinstance(a, NdArray) else np.float32(a) for a in arguments]
        names = dict(zip([*self.inputs, *self.outputs], values, strict=True))

        def run() -> None:
            found: dict[str, Any] = {"sqrt": np.sqrt, **names}
            exec(self.code, found)  # noqa: S102
            for name in self.outputs:
                names[name][...] = found[name]

        queue(current_stream().ptr, "array updated", run)


def multiply(a: Any, b: Any, out: NdArray) -> NdArray:
    queue(current_stream().ptr, "array multiplied", lambda: np.multiply(raw_of(a), raw_of(b), out=out.raw))
    return out


def from_dlpack(array: Any) -> NdArray:
    """Take what PyTorch lends, and make the current stream wait for PyTorch's."""
    array.__dlpack__(stream=current_stream().ptr or 1)
    keeper = array.kept()
    return NdArray.over(keeper, Pointer(keeper, keeper.ctypes.data, array.__dlpack_device__()[1]))


def broadcast_to(array: NdArray, shape: tuple[int, ...]) -> NdArray:
    found = np.lib.stride_tricks.as_strided(array.raw, shape, np.broadcast_to(array.raw, shape).strides)
    return NdArray.over(found, array.data)


def empty(shape: Any, dtype: Any = float) -> NdArray:
    return NdArray(shape, dtype)


def _filled(value: Any) -> Callable[..., NdArray]:
    def make(shape: Any, dtype: Any = float) -> NdArray:
        return full(shape, value, dtype)

    return make


def full(shape: Any, value: Any, dtype: Any = None) -> NdArray:
    made = NdArray(shape, np.asarray(value).dtype if dtype is None else dtype)
    made.fill(value)
    return made


def arange(*arguments: Any, dtype: Any = None) -> NdArray:
    return computed(lambda: np.arange(*arguments, dtype=dtype))


def full_like(array: NdArray, value: Any) -> NdArray:
    return full(array.shape, value, array.dtype)


def _of_arrays(function: Any) -> Callable[[Any], NdArray]:
    """Return what computes an array, or a number in one, of an array."""
    return lambda array: computed(lambda a: np.asarray(function(a)), array)


def concatenate(arrays: list[NdArray]) -> NdArray:
    return computed(lambda *raws: np.concatenate(raws), *arrays)


def fake_cupy() -> ModuleType:
    cupy = ModuleType("cupy")
    cupy.__version__ = "0 (emulated)"
    cupy.ndarray, cupy.asarray, cupy.array = NdArray, asarray, asarray
    cupy.asnumpy = lambda a: a.get()
    for function in (multiply, from_dlpack, broadcast_to, empty, full, arange, full_like, concatenate):
        setattr(cupy, function.__name__, function)
    cupy.zeros, cupy.ones = _filled(0), _filled(1)
    cupy.zeros_like, cupy.ones_like = (lambda a, value=value: full_like(a, value) for value in (0, 1))
    cupy.empty_like = lambda a: empty(a.shape, a.dtype)
    for name in ("count_nonzero", "all", "any", "sum", "isfinite", "isnan", "sqrt"):
        setattr(cupy, name, _of_arrays(getattr(np, name)))
    for name in TYPES.split():
        setattr(cupy, name, getattr(np, name))
    cupy.RawKernel, cupy.ElementwiseKernel = RawKernel, ElementwiseKernel
    cupy.get_default_memory_pool = lambda: SimpleNamespace(
        used_bytes=lambda: POOL.used, total_bytes=lambda: POOL.most, free_all_blocks=lambda: None
    )
    cupy.cuda = SimpleNamespace(
        alloc=alloc,
        Device=streams.Device,
        Stream=streams.Stream,
        ExternalStream=streams.ExternalStream,
        Event=streams.Event,
        get_current_stream=current_stream,
        get_elapsed_time=streams.elapsed_time,
        runtime=streams.runtime(POOL.free_bytes),
    )
    return cupy
