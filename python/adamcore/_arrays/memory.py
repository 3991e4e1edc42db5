"""The memory in which arrays live. The parameters' own library allocates the state and copies it to the host."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Memory(Protocol):
    """An array library's view of one kind of memory."""

    def state(self, core: Any, index: int) -> dict[str, Any]:
        """Return a parameter's state as the library's arrays."""


class HostMemory:
    """The CPU's memory, with NumPy arrays."""

    def state(self, core: Any, index: int) -> dict[str, Any]:
        """Return a parameter's state."""
        state: dict[str, Any] = core.state(index)
        return state


class DeviceMemory(ABC):
    """The memory of a CUDA device; a subclass for each library accesses it."""

    @abstractmethod
    def allocate(self, size: int, device: int) -> tuple[Any, int]:
        """Return an object that owns `size` bytes, and their address."""

    @abstractmethod
    def view(self, owner: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> Any:
        """Return an array that is a view of memory of `owner`; `offset` and `strides` are in bytes."""

    @abstractmethod
    def stream(self, device: int) -> int:
        """Return the library's current stream."""

    @abstractmethod
    def to_host(self, array: Any) -> NDArray[Any]:
        """Return a copy as a NumPy array."""

    def state(self, core: Any, index: int) -> dict[str, Any]:
        """Return a parameter's state as the library's arrays."""
        return {name: self.view(*place) for name, place in core.state(index).items()}


class CupyMemory(DeviceMemory):
    """CuPy's memory pool. Arrays are copied as unsigned integers, which every version of CuPy supports."""

    def __init__(self) -> None:
        self._cupy: Any = sys.modules["cupy"]

    def allocate(self, size: int, device: int) -> tuple[Any, int]:
        """Take memory from the pool."""
        with self._cupy.cuda.Device(device):
            pointer = self._cupy.cuda.alloc(size)
        return pointer, pointer.ptr

    def view(self, owner: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> Any:
        """Return a cupy.ndarray."""
        return self._cupy.ndarray(shape, numpy_dtype(dtype), memptr=owner + offset, strides=strides)

    def stream(self, device: int) -> int:
        """Return the thread's current stream."""
        with self._cupy.cuda.Device(device):
            return int(self._cupy.cuda.get_current_stream().ptr)

    def to_host(self, array: Any) -> NDArray[Any]:
        """Copy."""
        if array.dtype.kind == "c":
            copy: NDArray[Any] = array.get()
            return copy
        bits: NDArray[Any] = array.view(_UNSIGNED[array.dtype.itemsize]).get()
        return bits.view(array.dtype)


class TorchMemory(DeviceMemory):
    """PyTorch's caching allocator."""

    def __init__(self) -> None:
        self._torch: Any = sys.modules["torch"]

    def allocate(self, size: int, device: int) -> tuple[Any, int]:
        """Take memory from the allocator."""
        block = self._torch.empty(size, dtype=self._torch.uint8, device=f"cuda:{device}")
        return block, block.data_ptr()

    def view(self, owner: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> Any:
        """Return a torch.Tensor."""
        kind = getattr(self._torch, dtype)
        item = kind.itemsize
        reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + item if 0 not in shape else 0
        flat = owner[offset : offset + reach].view(kind)
        return flat.as_strided(shape, [stride // item for stride in strides])

    def stream(self, device: int) -> int:
        """Return the thread's current stream."""
        return int(self._torch.cuda.current_stream(device).cuda_stream)

    def to_host(self, array: Any) -> NDArray[Any]:
        """Copy."""
        if array.dtype.is_complex:
            copy: NDArray[Any] = array.detach().cpu().numpy()
            return copy
        bits: NDArray[Any] = array.detach().view(self._integers(array)).cpu().numpy()
        return bits.view(numpy_dtype(dtype_name(array)))

    def _integers(self, array: Any) -> Any:
        names = {1: "uint8", 2: "int16", 4: "int32", 8: "int64"}
        return getattr(self._torch, names[array.dtype.itemsize])


HOST = HostMemory()


def device_memory_for(array: Any) -> DeviceMemory:
    """Return the memory of a CUDA array's library. For other libraries it is that of CuPy or PyTorch, if imported."""
    packages = [cls.__module__.partition(".")[0] for cls in type(array).__mro__]
    for package, memory in (("cupy", CupyMemory), ("torch", TorchMemory)):
        if package in packages:
            return memory()
    for package, memory in (("cupy", CupyMemory), ("torch", TorchMemory)):
        if package in sys.modules:
            return memory()
    raise RuntimeError(
        "an optimizer for CUDA arrays allocates its memory with CuPy or PyTorch, but neither has been imported: "
        "pip install cupy-cuda13x (or cupy-cuda12x), then import cupy"
    )


def on_host(array: Any) -> NDArray[Any]:
    """Return a NumPy array as it is, and a device array as a NumPy copy."""
    return array if isinstance(array, np.ndarray) else device_memory_for(array).to_host(array)


def dtype_name(array: Any) -> str:
    """Return the name of an array's dtype, which NumPy and PyTorch share."""
    return str(array.dtype).removeprefix("torch.")


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Return the dtype of a name that NumPy, PyTorch and CuPy share."""
    if name != "bfloat16" and not name.startswith("float8"):
        return np.dtype(name)
    try:
        import ml_dtypes  # noqa: PLC0415  (needed only for such arrays)
    except ImportError:
        raise ImportError(f"{name} arrays need ml_dtypes: pip install ml_dtypes") from None
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return found
