"""The native module for an array: the CPU's or CUDA's. The CUDA module is loaded only when it is needed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from adamcore import _core

_CUDA_KINDS = (2, 13)  # DLPack's kDLCUDA and kDLCUDAManaged


class NativeModule(Protocol):
    """The functions on plain arrays that both native modules have; their stubs have the signatures."""

    @property
    def update(self) -> Callable[..., None]:
        """Do one update."""

    @property
    def global_norm(self) -> Callable[[list[Any], list[str]], float]:
        """Measure."""

    @property
    def clip_norm(self) -> Callable[[list[Any], list[str], float], float]:
        """Measure and scale."""

    @property
    def clip_value(self) -> Callable[[list[Any], list[str], float], None]:
        """Clip."""


def is_on_device(array: Any) -> bool:
    """Whether `array` is in CUDA memory. Loads nothing."""
    if isinstance(array, np.ndarray):
        return False
    try:
        return array.__dlpack_device__()[0] in _CUDA_KINDS
    except Exception:  # noqa: BLE001  (other libraries may raise anything)
        return hasattr(array, "__cuda_array_interface__")


def cuda_module(label: str) -> Any:
    """Return the module for CUDA arrays, or raise a RuntimeError that says what is missing."""
    try:
        from adamcore import _cuda  # noqa: PLC0415  (loaded only for users of CUDA arrays)
    except ImportError as error:
        raise RuntimeError(
            f"{label}: a CUDA array, but this installation of adamcore has no CUDA kernels. Install it again with nvcc "
            "(pip install nvidia-cuda-nvcc nvidia-cuda-cccl provides it) and with ADAMCORE_CUDA=ON in the environment. "
            f"The import failed with: {error}"
        ) from error
    names, reason = _devices(_cuda)
    if not names:
        raise RuntimeError(f"{label}: a CUDA array, but CUDA finds no device: {reason}")
    return _cuda


@functools.cache
def _devices(module: Any) -> tuple[list[str], str]:
    """Return the devices, cached: every function on arrays asks for them, and a driver is slow to describe a device."""
    found: tuple[list[str], str] = module.devices()
    return found


def module_for(arrays: Iterable[Any], label: str) -> NativeModule:
    """Return the native module for these arrays: _core, or the one for CUDA if the first is on a device."""
    first = next((array for array in arrays if array is not None), None)
    module: NativeModule = cuda_module(label) if first is not None and is_on_device(first) else _core
    return module
