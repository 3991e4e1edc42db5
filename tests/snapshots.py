"""All that an optimizer's steps change, in values that can be compared."""

from __future__ import annotations

from typing import Any

import adamcore as ac
from helpers import everything


def all_of(opt: ac.Optimizer) -> dict[str, Any]:
    """All that steps change."""
    window = opt.state_dict()["window"]
    if window is not None:
        window = {**window, "sums": {name: array.tobytes() for name, array in window["sums"].items()}}
    guard = opt.options["clip_norm"]
    return {
        **everything(opt),
        "steps": dict(opt.steps),
        "completed": opt.completed,
        "window": window,
        "averages": opt._native.averages,
        "guard": guard.to_dict() if isinstance(guard, ac.SpikeGuard) else None,
        "groups": [{key: id(value) for key, value in group.items()} for group in opt.param_groups],
    }
