"""Arrays of NumPy, PyTorch and CuPy as NumPy arrays of the same bits, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.memory import CupyMemory, TorchMemory, dtype_name, numpy_dtype


def library_of(value: object) -> str | None:
    """Return "numpy", "torch" or "cupy", or None for what is no array of these libraries."""
    if isinstance(value, np.ndarray):
        return "numpy"
    for cls in type(value).__mro__:
        package = cls.__module__.partition(".")[0]
        if (package, cls.__name__) in (("torch", "Tensor"), ("cupy", "ndarray")):
            return package
    return None


def as_numpy(array: Any, label: str) -> NDArray[Any]:
    """Return a NumPy array with the bits of an array, in native byte order: a view, if it is in the CPU's memory.

    Raises TypeError, which starts with `label`, for masked arrays.
    """
    library = library_of(array)
    if library == "torch":
        return _torch_as_numpy(array)
    if library == "cupy":
        return CupyMemory().to_host(array)
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{label}: masked arrays cannot be saved")
    found: NDArray[Any] = np.asarray(array)
    return found if found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))


def _torch_as_numpy(tensor: Any) -> NDArray[Any]:
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain.device.type == "cpu" and dtype_name(plain) in ("bool", "uint8", "int8", "int16", "int32", "int64"):
        found: NDArray[Any] = plain.numpy()
        return found
    return TorchMemory().to_host(plain)


def from_numpy(array: NDArray[Any], library: str) -> Any:
    """Return an array of a library with the bits of a NumPy array. If it is not installed, that is the NumPy array."""
    if library == "numpy":
        return array
    try:
        module: Any = __import__(library)
    except ImportError:
        return array
    if library == "cupy":
        return module.asarray(array)
    if not array.dtype.name.startswith(("bfloat", "float8")):
        return module.from_numpy(array)
    bits = array.view({1: np.uint8, 2: np.int16}[array.dtype.itemsize])
    return module.from_numpy(bits).view(getattr(module, array.dtype.name))


def has_shared_elements(array: Any) -> bool:
    """Whether several elements are in the same memory along an axis, as after ``expand``."""
    strides = array.stride() if library_of(array) == "torch" else array.strides
    return any(length > 1 and stride == 0 for length, stride in zip(array.shape, strides, strict=True))


def assign(array: Any, values: NDArray[Any]) -> None:
    """Write values of the same dtype and shape into an array."""
    library = library_of(array)
    if library == "numpy":
        np.copyto(array, values)
    elif library == "cupy":
        array[...] = from_numpy(values, "cupy")
    else:
        array.detach().copy_(from_numpy(values, "torch"))


def numpy_dtype_of(array: Any) -> np.dtype[Any]:
    """Return NumPy's name of an array's dtype."""
    return numpy_dtype(dtype_name(array))
