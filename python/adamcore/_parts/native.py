"""The choice of the native optimizer and of its memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adamcore import _core
from adamcore._arrays.flatten import FlatArrays
from adamcore._arrays.memory import HOST, Memory, device_memory_for
from adamcore._arrays.modules import cuda_module, is_on_device
from adamcore._arrays.structures import Group
from adamcore._parts.options import native_options


def make_native(owner: str, options: Mapping[str, Any], array: Any, label: str) -> tuple[Memory, Any]:
    """Return the memory of `array`, an optimizer's first parameter, and an empty native optimizer for this memory."""
    given = native_options(options)
    if not is_on_device(array):
        return HOST, _core.HostOptimizer(owner, given)
    module, memory = cuda_module(label), device_memory_for(array)
    return memory, module.DeviceOptimizer(owner, given, memory)


def bind_group(
    native: Any,
    param_groups: list[Group],
    group: Group,
    flat: FlatArrays,
    source: Any,
    variant_keys: tuple[str, ...],
    rule_for: Callable[[Group], str],
    *,
    checked: bool = True,
) -> None:
    """Add a group to a native optimizer and to `param_groups`. `source` is watched if it is a container.

    Unless `checked`, the group may disagree with others on what they should share.
    """
    watched = source if isinstance(source, (list, tuple, Mapping)) else None
    native.add_group(
        param_groups, group, watched, flat.names, flat.labels, flat.keys, flat.tree, variant_keys, rule_for, checked
    )
