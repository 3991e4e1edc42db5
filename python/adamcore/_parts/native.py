"""The choice between the native optimizers of the CPU and of CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore import _core
from adamcore._arrays.memory import HOST, Memory, device_memory_for
from adamcore._arrays.modules import cuda_module, is_on_device
from adamcore._parts.options import native_options


def make_native(owner: str, options: Mapping[str, Any], array: Any, label: str) -> tuple[Memory, Any]:
    """Return the kind of memory that `array`, the first parameter, is in, and an empty native optimizer for it."""
    given = native_options(options)
    if not is_on_device(array):
        return HOST, _core.Optimizer(owner, given)
    module = cuda_module(label)
    return device_memory_for(array), module.Optimizer(owner, given)
