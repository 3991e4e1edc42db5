"""What no step can be faster than: a copy on the device, and a stream with AdamW's traffic."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, ClassVar

import cupy
import numpy as np

from peers.base import Peer
from problem import Array, Arrays

BLOCK = 256
BLOCKS_ON_A_MULTIPROCESSOR = 8

# The factor is 0, which the compiler does not know: the gradient is read, and the numbers stay what they are.
_SOURCE = r"""
__device__ float4 moved(float4 a, float4 g, float s) {
  return make_float4(a.x + s * g.x, a.y + s * g.y, a.z + s * g.z, a.w + s * g.w);
}
extern "C" __global__ __launch_bounds__(256) void stream(float4* p, const float4* g, float4* m, float4* v,
                                                         long long size, float s) {
  const long long stride = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += stride) {
    const float4 a = p[i], b = g[i], c = m[i], d = v[i];
    p[i] = moved(a, b, s);
    m[i] = moved(c, b, s);
    v[i] = moved(d, b, s);
  }
}
"""


class _Limit(Peer):
    packages = ("cupy-cuda13x",)
    is_yardstick = True

    @classmethod
    def prepare(cls, threads: int) -> None:
        """Do nothing."""

    def result(self) -> Arrays:
        return []


class Copy(_Limit):
    """A copy that reads and writes as many bytes as a float32 step: 14 each for each element."""

    key = "copy"
    label = "copy on the device"
    bytes_per_element = 28

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        self.size = 14 * sum(prod(p.shape) for p in params)
        self.source, self.target = _noise(self.size), _noise(self.size)

    def use(self, grads: Arrays) -> None:
        pass

    def step(self) -> None:
        self.target.data.copy_from_device_async(self.source.data, self.size)


class Stream(_Limit):
    """Four arrays read and three written, 16 bytes by each thread at a time, in a loop over the grid."""

    key = "stream"
    label = "stream, 4 read and 3 written"
    bytes_per_element = 16
    loops: ClassVar[bool] = True

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        elements = sum(prod(p.shape) for p in params)
        self.vectors = max(1, -(-elements // 4))
        self.arrays = [_noise(16 * self.vectors) for _ in range(4)]
        self.kernel = cupy.RawKernel(_SOURCE, "stream")
        blocks = -(-self.vectors // BLOCK)
        if self.loops:
            blocks = min(blocks, cupy.cuda.Device().attributes["MultiProcessorCount"] * BLOCKS_ON_A_MULTIPROCESSOR)
        self.grid = (blocks,)

    def use(self, grads: Arrays) -> None:
        pass

    def step(self) -> None:
        self.kernel(self.grid, (BLOCK,), (*self.arrays, np.int64(self.vectors), np.float32(0)))


class StreamOnce(Stream):
    """The same with as many threads as there are vectors."""

    key = "stream-once"
    label = "stream, a thread for each 16 bytes"
    loops = False


def _noise(size: int) -> Any:
    """Return bytes that are finite as float32 numbers: a device moves zeros faster than data."""
    words = cupy.arange(-(-size // 4), dtype=cupy.uint32)
    words *= np.uint32(2654435761)
    words &= np.uint32(0xBFFFFFFF)  # without the exponent's highest bit
    return words.view(cupy.uint8)
