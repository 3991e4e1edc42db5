"""What all acts have in common: whose they are, when they may be, and where they are written down."""

from __future__ import annotations

from typing import Any

from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore.monitor.act import Act
from adamcore.monitor.acts import monitors_of
from adamcore.monitor.finding import plain
from adamcore.optimizer import Optimizer


def require_between_steps(opt: Any, owner: str) -> None:
    """Raise an error unless weights can be changed now."""
    require_optimizer(opt, owner)
    if opt.accumulated:
        raise ValueError(f"{owner}: gradients of the present weights have been accumulated; call opt.step() first")
    opt._native.require_idle()


def require_optimizer(opt: Any, owner: str) -> None:
    """Raise TypeError for what is no optimizer."""
    if not isinstance(opt, Optimizer):
        raise TypeError(f"{owner}: opt must be an optimizer, got {short_repr(opt)}")


def seed_of(seed: Any, owner: str) -> int:
    """Return the seed as an int >= 0."""
    return as_int(seed, f"{owner}: seed", "an int >= 0", 0)


def step_of(opt: Optimizer) -> int:
    """Return the number of steps that the optimizer's monitor has seen, or else that were completed."""
    return max((monitor._seen for monitor in monitors_of(opt)), default=opt.completed)


def noted(opt: Optimizer, kind: str, text: str, numbers: dict[str, Any], **more: Any) -> Act:
    """Make an act, write it down in the monitors of the optimizer, and return it."""
    values = {name: plain(value) for name, value in numbers.items()}
    act = Act(kind, step_of(opt), text=text, numbers=values, **more)
    for monitor in monitors_of(opt):
        monitor.note(act)
    return act
