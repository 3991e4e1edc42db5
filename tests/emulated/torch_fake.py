"""Adds the emulated devices to the real PyTorch, built for the CPU."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

from . import torch_streams
from .core import CAPACITY, EMULATED, current
from .streams import DEVICES, Device

FACTORIES = "empty zeros ones full rand randn randint arange linspace tensor as_tensor eye randperm empty_strided"
CYCLES = 2e6
"""Of torch.cuda._sleep in a millisecond."""


def give_devices(torch: ModuleType) -> None:
    """Do so, right after it has been loaded."""
    import sys

    sys.modules["torch"] = torch
    from . import torch_tensor

    for name in FACTORIES.split():
        setattr(torch, name, _factory(torch, getattr(torch, name), torch_tensor.place))
    torch.Generator = _generator(torch)
    torch.Tensor.cuda = _to_device(torch, torch_tensor.place)
    torch.Tensor.to = _to(torch, torch.Tensor.to, torch_tensor.place)
    for name in ("_to_dlpack", "_to_dlpack_versioned"):
        setattr(torch._C, name, torch_tensor.lend(getattr(torch._C, name)))
    # Modules that move get new parameters: the old ones cannot become tensors of another class.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.set_num_threads(1)
    _replace_cuda(torch, torch_tensor.POOL)


def _index(torch: ModuleType, device: Any) -> int | None:
    """Return which device it is, or None for the CPU."""
    if device is None:
        return None
    if isinstance(device, int):
        return device
    device = torch.device(device)
    if device.type != "cuda":
        return None
    return EMULATED.current_device() if device.index is None else device.index


def _placed(place: Callable[..., Any], tensor: Any, index: int) -> Any:
    with current(index):
        return place(tensor.detach())


def _factory(torch: ModuleType, make: Any, place: Any) -> Any:
    @functools.wraps(make)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        index = _index(torch, kwargs.get("device"))
        if index is None:
            return make(*args, **kwargs)
        requires_grad = kwargs.pop("requires_grad", False)
        made = _placed(place, make(*args, **{**kwargs, "device": "cpu"}), index)
        return made.requires_grad_(requires_grad)

    return wrapper


def _to_device(torch: ModuleType, place: Any) -> Any:
    def cuda(self: Any, device: Any = None, non_blocking: bool = False, **_: Any) -> Any:  # noqa: ARG001
        index = _index(torch, "cuda" if device is None else device)
        return _placed(place, self.detach().clone(), index)

    return cuda


def _to(torch: ModuleType, real: Any, place: Any) -> Any:
    @functools.wraps(real)
    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        kept = {name: value for name, value in kwargs.items() if name != "copy"}
        is_like = bool(args) and isinstance(args[0], torch.Tensor)
        device = None if is_like else torch._C._nn._parse_to(*args, **kept)[0]
        if device is None or device.type != "cuda":
            return real(self, *args, **kwargs)
        dtype = torch._C._nn._parse_to(*args, **kept)[1]
        return _placed(
            place, self.detach().clone() if dtype is None else self.detach().to(dtype, copy=True), _index(torch, device)
        )

    return to


def _generator(torch: ModuleType) -> type:
    class Generator(torch.Generator):
        def __new__(cls, device: Any = "cpu") -> Any:  # noqa: ARG004
            return super().__new__(cls, "cpu")

    return Generator


@contextlib.contextmanager
def _device(device: Any) -> Iterator[None]:
    """torch.cuda.device."""
    with current(getattr(device, "index", device)):
        yield


def _properties(device: Any = None) -> SimpleNamespace:
    return SimpleNamespace(
        name=_name(device),
        major=9,
        minor=0,
        total_memory=CAPACITY,
        L2_cache_size=Device.attributes["L2CacheSize"],
        multi_processor_count=Device.attributes["MultiProcessorCount"],
    )


def _name(device: Any = None) -> str:
    index = getattr(device, "index", device)
    return EMULATED.devices()[0][EMULATED.current_device() if index is None else index]


def _sleep(cycles: int) -> None:
    EMULATED.queue_delay(torch_streams.current_stream().cuda_stream, cycles / CYCLES)


def _synchronize(device: Any = None) -> None:
    index = getattr(device, "index", device)
    with current(EMULATED.current_device() if index is None else index):
        EMULATED.synchronize()


def _replace_cuda(torch: ModuleType, pool: Any) -> None:
    replaced = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "init": lambda: None,
        "_lazy_init": lambda: None,
        "_lazy_call": lambda call, **_: None,  # noqa: ARG005
        "device_count": lambda: DEVICES,
        "current_device": EMULATED.current_device,
        "set_device": EMULATED.set_device,
        "device": _device,
        "get_device_name": _name,
        "get_device_properties": _properties,
        "get_device_capability": lambda device=None: (9, 0),  # noqa: ARG005
        "synchronize": _synchronize,
        "Stream": torch_streams.Stream,
        "ExternalStream": torch_streams.ExternalStream,
        "Event": torch_streams.Event,
        "CUDAGraph": torch_streams.CUDAGraph,
        "graph": torch_streams.capture,
        "current_stream": torch_streams.current_stream,
        "default_stream": torch_streams.default_stream,
        "set_stream": torch_streams.set_stream,
        "stream": torch_streams.use_stream,
        "is_current_stream_capturing": lambda: torch_streams.current_stream().is_capturing(),
        "_sleep": _sleep,
        "memory_allocated": lambda device=None: pool.used,  # noqa: ARG005
        "max_memory_allocated": lambda device=None: pool.most,  # noqa: ARG005
        "mem_get_info": lambda device=None: (pool.free_bytes(), CAPACITY),  # noqa: ARG005
        "empty_cache": lambda: None,
        "manual_seed": lambda seed: None,  # noqa: ARG005
        "manual_seed_all": lambda seed: None,  # noqa: ARG005
    }
    for name, value in replaced.items():
        setattr(torch.cuda, name, value)
