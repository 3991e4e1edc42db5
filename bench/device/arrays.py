"""The numbers of a case on the device, and arrays of both libraries over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy
import ml_dtypes
import numpy as np
import torch

from shapes import Shape

BF16 = np.dtype(ml_dtypes.bfloat16)
F32 = np.dtype(np.float32)
_TORCH = {F32: torch.float32, BF16: torch.bfloat16}
_BITS = {4: torch.int32, 2: torch.int16}


class DeviceProblem:
    """Random parameters, made anew from one seed for each peer, and gradients that all peers share."""

    def __init__(self, shapes: list[Shape], seed: int = 0) -> None:
        self.shapes = shapes
        self._seed = seed
        self.grads = list(self._draw(seed + 1))

    def params(self) -> Iterator[torch.Tensor]:
        return self._draw(self._seed)

    def _draw(self, seed: int) -> Iterator[torch.Tensor]:
        generator = torch.Generator("cuda").manual_seed(seed)
        for shape in self.shapes:
            yield torch.randn(shape, generator=generator, device="cuda")


def as_torch(array: Any, dtype: Any = F32) -> torch.Tensor:
    """Return a tensor on the device: the array itself, where it is one."""
    dtype = np.dtype(dtype)
    if isinstance(array, np.ndarray):
        bits = np.array(array.astype(dtype), order="C").view(f"i{dtype.itemsize}")
        return torch.from_numpy(bits).cuda().view(_TORCH[dtype])
    return array.to(_TORCH[dtype])


def as_cupy(array: Any, dtype: Any = F32) -> Any:
    """Return an array of CuPy's over the memory of `as_torch`'s."""
    dtype = np.dtype(dtype)
    return cupy.from_dlpack(as_torch(array, dtype).view(_BITS[dtype.itemsize])).view(dtype)


def as_numpy(array: Any) -> np.ndarray:
    """Copy an array of CuPy's from the device."""
    return cupy.asnumpy(array.view(f"u{array.dtype.itemsize}")).view(array.dtype)


def release() -> None:
    """Give back what both libraries keep of freed memory."""
    cupy.get_default_memory_pool().free_all_blocks()
    torch.cuda.empty_cache()
