"""CUDA arrays of both libraries for tests: created from NumPy arrays, and copied back bit by bit."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import cupy
import numpy as np
import torch

import adamcore as ac
from storage import BF16, F16, F32, F64

# Whether the device is not a real one, and what is large has to be smaller there.
SLOW = os.environ.get("ADAMCORE_GPU_SLOW") == "1"
UINTS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
TORCH_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
TORCH_DTYPES = {F16: torch.float16, BF16: torch.bfloat16, F32: torch.float32, F64: torch.float64}
TORCH_DTYPES[np.dtype(np.int32)] = torch.int32

# The clock of the whole device, in nanoseconds, so that no clock rate needs to be known.
_spin = cupy.RawKernel(
    r"""
    extern "C" __global__ void spin(unsigned long long nanoseconds) {
      unsigned long long start, now;
      asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
      do {
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
      } while (now - start < nanoseconds);
    }
    """,
    "spin",
)


def spin(milliseconds: float) -> None:
    """Keep CuPy's current stream busy with one thread, so that the rest of the device is free for other streams."""
    _spin((1,), (1,), (np.uint64(milliseconds * 1e6),))


class Library(ABC):
    """The library of parameters and gradients."""

    name: str

    @abstractmethod
    def put(self, array: np.ndarray) -> Any:
        """Copy to the device, contiguous."""

    @abstractmethod
    def get(self, array: Any) -> np.ndarray:
        """Copy from the device after all work there is done."""

    @abstractmethod
    def write(self, array: Any, values: np.ndarray) -> None:
        """Overwrite a device array in place, on the current stream."""

    @abstractmethod
    def capture(self, call: Callable[[], Any]) -> Callable[[], None]:
        """Capture a call into a graph, and return a function that replays it on the current stream."""

    @abstractmethod
    def used_bytes(self) -> int:
        """The memory that the library's allocator has handed out."""

    @abstractmethod
    def broadcast(self, array: Any, shape: tuple[int, ...]) -> Any:
        """Return a view with strides of 0."""

    @abstractmethod
    def transpose(self, array: Any, order: tuple[int, ...]) -> Any:
        """Return a view with its axes in this order."""

    @abstractmethod
    def multiply(self, array: Any, factor: Any, out: Any) -> None:
        """Multiply into existing memory, because memory that a captured graph allocates would not stay its own."""

    def shifted(self, array: np.ndarray, offset: int) -> Any:
        """Copy to the device into a larger array, `offset` elements behind its start."""
        beside = np.full(offset, 7, array.dtype)
        memory = self.put(np.concatenate([beside, array.ravel(), beside]))
        return memory[offset : offset + array.size].reshape(array.shape)

    def __str__(self) -> str:
        return self.name


class CuPy(Library):
    name = "cupy"

    def put(self, array: np.ndarray) -> Any:
        # As unsigned numbers, so that no conversion of CuPy's touches the bits.
        bits = np.array(array, order="C").view(UINTS[array.dtype.itemsize])
        return cupy.asarray(bits).view(array.dtype)

    def get(self, array: Any) -> np.ndarray:
        cupy.cuda.Device().synchronize()
        return cupy.asnumpy(array.view(UINTS[array.dtype.itemsize])).view(array.dtype)

    def write(self, array: Any, values: np.ndarray) -> None:
        array.view(UINTS[values.dtype.itemsize])[...] = self.put(values).view(UINTS[values.dtype.itemsize])

    def capture(self, call: Callable[[], Any]) -> Callable[[], None]:
        cupy.cuda.Device().synchronize()
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            try:
                call()
            finally:
                graph = stream.end_capture()
        return graph.launch

    def used_bytes(self) -> int:
        return cupy.get_default_memory_pool().used_bytes()

    def broadcast(self, array: Any, shape: tuple[int, ...]) -> Any:
        return cupy.broadcast_to(array, shape)

    def transpose(self, array: Any, order: tuple[int, ...]) -> Any:
        return array.transpose(order)

    def multiply(self, array: Any, factor: Any, out: Any) -> None:
        cupy.multiply(array, factor, out=out)


class Torch(Library):
    name = "torch"

    def put(self, array: np.ndarray) -> Any:
        bits = np.array(array, order="C").view(f"i{array.dtype.itemsize}")
        return torch.from_numpy(bits).cuda().view(TORCH_DTYPES[array.dtype])

    def get(self, array: Any) -> np.ndarray:
        torch.cuda.synchronize()
        bits = array.detach().view(TORCH_BITS[array.element_size()]).cpu().numpy()
        dtypes = {tensor: numpy for numpy, tensor in TORCH_DTYPES.items()}
        return bits.view(dtypes.get(array.dtype, UINTS[array.element_size()]))

    def write(self, array: Any, values: np.ndarray) -> None:
        with torch.no_grad():
            array.copy_(self.put(values))

    def capture(self, call: Callable[[], Any]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return graph.replay

    def used_bytes(self) -> int:
        return torch.cuda.memory_allocated()

    def broadcast(self, array: Any, shape: tuple[int, ...]) -> Any:
        return array.expand(shape)

    def transpose(self, array: Any, order: tuple[int, ...]) -> Any:
        return array.permute(order)

    def multiply(self, array: Any, factor: Any, out: Any) -> None:
        torch.mul(array, factor, out=out)


CUPY, TORCH = CuPy(), Torch()


def with_one_nan(array: np.ndarray) -> np.ndarray:
    """Replace all NaN by the usual one, because the processor chooses which NaN an operation returns."""
    return array if array.dtype.kind == "u" else np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array)


def bits_of(array: np.ndarray) -> bytes:
    """All bits except those of NaN."""
    return with_one_nan(array).tobytes("C")


def everything(optimizer: ac.Optimizer, read: Callable[[Any], np.ndarray] = np.asarray) -> dict[str, bytes]:
    """Everything that an optimizer has computed, and its counts and numbers."""
    found: dict[str, bytes] = {}
    for group in optimizer.param_groups:
        for name, param in zip(group["param_names"], group["params"], strict=True):
            found[name] = bits_of(read(param))
            for slot, array in optimizer.state[name].items():
                found[f"{name}.{slot}"] = bits_of(read(array))
    found.update({f"{name}.step": str(step).encode() for name, step in optimizer.steps.items()})
    found.update({f"numbers.{name}": number.hex().encode() for name, number in optimizer.numbers.items()})
    return found


class Twins:
    """An optimizer on the CPU and one on the device, made from the same numbers and fed with the same gradients."""

    def __init__(
        self,
        library: Library,
        build: Callable[[Any], ac.Optimizer],
        params: list[np.ndarray],
        place: Callable[[np.ndarray], Any] | None = None,
    ) -> None:
        self.library = library
        self.place = place or library.put
        self.cpu = build([p.copy() for p in params])
        self.gpu = build([self.place(p) for p in params])

    def step(
        self, grads: list[np.ndarray | None], *, scales: tuple[Any, Any] | None = None, **options: Any
    ) -> tuple[Any, Any]:
        """One step of both. `scales` are loss scales for each."""
        cpu, gpu = ({"loss_scale": scale} for scale in scales) if scales else (options, options)
        there = [None if g is None else self.place(g) for g in grads]
        return self.cpu.step(grads, **cpu), self.gpu.step(there, **gpu)

    def check(self, infos: tuple[Any, Any] | None = None) -> None:
        """Check that both have the same bits, and that both steps report the same."""
        if infos is not None:
            cpu, gpu = infos
            assert gpu.skipped == cpu.skipped
            assert repr(gpu.grad_norm) == repr(cpu.grad_norm)
        assert_same(everything(self.gpu, self.library.get), everything(self.cpu))


def assert_same(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    """Like ``==``, but names what differs instead of printing it."""
    assert list(found) == list(expected)
    assert [name for name in expected if found[name] != expected[name]] == []
