"""The parameters of an optimizer in the structure in which the user passed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def params_of(opt: Any) -> Any:
    """Return the parameters of an optimizer in the structure in which the user passed them.

    Pairs of name and array are a dict. Parameters of several groups are a dict by name if the user passed mappings or
    pairs, and otherwise a list.
    """
    parts = [_of_group(form, group) for form, group in zip(opt._native.forms(), opt.param_groups, strict=True)]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, Mapping) for part in parts):
        return {name: array for part in parts for name, array in part.items()}
    return [array for group in opt.param_groups for array in group["params"]]


def _of_group(form: Any, group: Mapping[str, Any]) -> Any:
    _, _, tree, source = form
    if isinstance(tree, int):
        return group["params"][0]
    if isinstance(tree, tuple) or source is None:
        return dict(zip(group["param_names"], group["params"], strict=True))
    return source
