"""PyTorch's tensors on the emulated devices: each stands for a tensor of the CPU over a device's memory.

What writes into tensors is queued on the current stream. What makes new ones waits for that stream first, which is an
order that CUDA may have, too; while the stream is captured it is queued.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from . import torch_streams
from .capsules import on_device
from .core import EMULATED, Memory, Pool, current, queue, view_of
from .torch_streams import current_stream

POOL = Pool()
ROUNDED = 512
"""Bytes that PyTorch's allocator rounds up to."""
EXCHANGE = "ADAMCORE_EMULATION_EXCHANGE"
"""0 in the environment: as before PyTorch had DLPack's exchange interface."""


class Block(Memory):
    """Memory, and the whole of it as tensors: `kept` keeps it, `raw` does not."""

    def __init__(self, size: int) -> None:
        super().__init__(POOL, max(1, -(-size // ROUNDED)) * ROUNDED if size else 0, current_stream().cuda_stream)
        self.raw = torch.from_numpy(view_of(self.ptr, (max(self.size, 8),), np.uint8))

    def kept(self) -> torch.Tensor:
        return torch.from_numpy(np.asarray(self))


class DeviceTensor(torch.Tensor):
    """A tensor of a device, for Python; for PyTorch's own code one of the CPU that asks Python what to do."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    inner: torch.Tensor
    block: Block
    device_index: int

    @staticmethod
    def __new__(cls, inner: torch.Tensor, block: Block) -> DeviceTensor:  # noqa: PYI034
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=inner.device,
        )
        made.inner, made.block, made.device_index = inner, block, block.device
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(function, args, kwargs or {})

    is_cuda = property(lambda _: True)
    is_cpu = property(lambda _: False)
    device = property(lambda self: torch.device("cuda", self.block.device))

    def get_device(self) -> int:
        return self.block.device

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def is_neg(self) -> bool:
        return self.inner.is_neg()

    def is_conj(self) -> bool:
        return self.inner.is_conj()

    def cpu(self) -> torch.Tensor:
        current_stream().synchronize()
        return self.inner.detach().clone()

    def cuda(self, *_: Any, **__: Any) -> torch.Tensor:
        return self

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        copies = kwargs.pop("copy", False)
        device, dtype, non_blocking, _ = torch._C._nn._parse_to(*args, **kwargs)
        if device is not None and device.type == "cpu":
            found = self.cpu()
            return found if dtype is None else found.to(dtype)
        if dtype is None or dtype == self.dtype:
            return self.clone() if copies else self
        return super().to(dtype, non_blocking)

    def numpy(self, **_: Any) -> np.ndarray:
        raise TypeError("can't convert a tensor of an emulated device to numpy: use Tensor.cpu() first")

    def __array__(self, *_: Any) -> np.ndarray:
        return self.numpy()

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self) -> str:
        return f"{self.cpu()!r} on {self.device}"

    def __deepcopy__(self, memo: Any) -> torch.Tensor:
        return self.detach().clone().requires_grad_(self.requires_grad)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("tensors of an emulated device cannot be pickled")

    def kept(self) -> np.ndarray:
        """Return NumPy's array over the memory, which it keeps."""
        return self.inner.detach().numpy()


if hasattr(torch.Tensor, "__dlpack_c_exchange_api__") and os.environ.get(EXCHANGE) != "0":
    DeviceTensor.__dlpack_c_exchange_api__ = EMULATED.exchange_of_device_tensors(
        torch.Tensor.__dlpack_c_exchange_api__, lambda device: current_stream(device).cuda_stream
    )


def lend(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of PyTorch's that makes capsules, for devices' tensors too."""

    def make_of_any(tensor: torch.Tensor, **options: Any) -> Any:
        if not isinstance(tensor, DeviceTensor):
            return make(tensor, **options)
        return on_device(make(tensor.inner.detach(), **options), tensor.block.device)

    return make_of_any


def place(values: torch.Tensor) -> DeviceTensor:
    """Copy a tensor of the CPU, which nobody writes to any more, to the current device, on the current stream."""
    made = empty_like(values)
    to = raw_of(made)
    queue_work("tensor from the host", lambda: to.copy_(values))
    return made


def empty_like(values: torch.Tensor) -> DeviceTensor:
    """Return memory for what is like this."""
    dense = values.is_contiguous() or torch._prims_common.is_non_overlapping_and_dense(values)
    strides = values.stride() if dense else torch.empty(values.size(), device="meta").stride()
    block = Block(values.numel() * values.element_size())
    flat = block.kept()[: values.numel() * values.element_size()].view(values.dtype)
    return DeviceTensor(flat.as_strided(values.size(), strides), block)


def raw_of(tensor: Any) -> Any:
    """Return what queued work may have of a tensor: its memory, which is not kept by that, as a device would not."""
    if not isinstance(tensor, DeviceTensor):
        return tensor
    inner = tensor.inner
    if inner.numel() == 0:
        return torch.empty_strided(inner.size(), inner.stride(), dtype=inner.dtype)
    if inner.is_neg() or inner.is_conj():
        return inner
    whole = tensor.block.raw
    flat = whole[: whole.numel() // 16 * 16].view(inner.dtype)
    return flat.as_strided(inner.size(), inner.stride(), inner.storage_offset())


def queue_work(what: str, work: Callable[[], Any]) -> None:
    def run() -> None:
        with torch.no_grad():
            work()

    queue(current_stream().cuda_stream, what, run)


@functools.cache
def _kind_of(function: Any) -> tuple[str, list[tuple[int, str]]]:
    """Return whether an operation writes, sees or computes, and the places and names of what it writes."""
    schema = function._schema
    arguments = [(k, a) for k, a in enumerate(schema.arguments) if a.alias_info is not None and a.alias_info.is_write]
    if arguments:
        return "writes", [(k, argument.name) for k, argument in arguments]
    return "sees" if any(each.alias_info is not None for each in schema.returns) else "computes", []


def dispatch(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do what an operation of ATen is to do, where at least one of the tensors is a device's."""
    if "device" in kwargs:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    kind, places = _kind_of(function)
    if kind == "writes":
        return _write(function, args, kwargs, [args[k] if k < len(args) else kwargs[name] for k, name in places])
    return (_see if kind == "sees" else _compute)(function, args, kwargs)


def mapped(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """Change all tensors among arguments."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)([mapped(change, each) for each in value])
    if isinstance(value, dict):
        return {name: mapped(change, each) for name, each in value.items()}
    return value


def _inner(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.inner if isinstance(tensor, DeviceTensor) else tensor


def _tensors(value: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    mapped(found.append, value)
    return found


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    return function(*mapped(_inner, args), **mapped(_inner, kwargs))


def _write(function: Any, args: Any, kwargs: Any, written: list[Any]) -> Any:
    """Queue it. What of the host's memory it reads, it reads now."""
    if all(isinstance(target, DeviceTensor) for target in _tensors(written)):
        raws = mapped(_for_the_queue, args), mapped(_for_the_queue, kwargs)
        queue_work(f"tensor: {function}", lambda: function(*raws[0], **raws[1]))
    else:
        current_stream().synchronize()
        _run(function, args, kwargs)
    results = len(function._schema.returns)
    return None if results == 0 else written[0] if results == 1 else tuple(written[:results])


def _for_the_queue(tensor: torch.Tensor) -> torch.Tensor:
    return raw_of(tensor) if isinstance(tensor, DeviceTensor) else tensor.detach().clone()


def _see(function: Any, args: Any, kwargs: Any) -> Any:
    """Look at a tensor's memory in another way."""
    block = next(t.block for t in _tensors(args) if isinstance(t, DeviceTensor))
    return mapped(lambda t: DeviceTensor(t, block), _run(function, args, kwargs))


def _compute(function: Any, args: Any, kwargs: Any) -> Any:
    """Make what is new; what turns out to share memory with an argument is none."""
    stream, given = current_stream(), [t for t in _tensors((args, kwargs)) if isinstance(t, DeviceTensor)]
    captured = stream.is_capturing()
    if not captured:
        stream.synchronize()
    found = _run(function, args, kwargs)
    owners = {t.inner.untyped_storage().data_ptr(): t.block for t in given if t.numel()}

    def wrap(result: torch.Tensor) -> DeviceTensor:
        block = owners.get(result.untyped_storage().data_ptr()) if result.numel() else None
        return DeviceTensor(result, block) if block else empty_like(result)

    with current(given[0].block.device):
        made = mapped(wrap, found)
        targets = _tensors(made)
        if captured:
            # What was computed now has the shapes that replays have, and not their numbers.
            _compute_at_each_replay(function, args, kwargs, targets)
        else:
            for target, result in zip(targets, _tensors(found), strict=True):
                target.inner.copy_(result)
    return made


def _compute_at_each_replay(function: Any, args: Any, kwargs: Any, targets: list[Any]) -> None:
    raws = mapped(_for_the_queue, args), mapped(_for_the_queue, kwargs)
    tos = [raw_of(target) for target in targets]
    torch_streams.keep_for_capture(current_stream(), (targets, args, kwargs))

    def again() -> None:
        for to, value in zip(tos, _tensors(function(*raws[0], **raws[1])), strict=True):
            to.copy_(value)

    queue_work(f"tensor: {function}", again)
