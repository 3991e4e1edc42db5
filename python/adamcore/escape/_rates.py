"""Other rates: `jolt`, and what a `Policy` does to them."""

from __future__ import annotations

from functools import partial
from typing import Any

from adamcore._checks.numbers import as_int, as_positive
from adamcore._core import call_all
from adamcore.escape._acting import noted, require_optimizer
from adamcore.monitor.act import Act
from adamcore.optimizer import Optimizer
from adamcore.schedules import Piecewise, Schedule


def jolt(opt: Optimizer, *, factor: float = 10.0, steps: int = 20) -> Act:
    """Multiply the rate of each group by a factor for some steps.

    This is the weakest way out: it helped in none of the situations that were measured (docs/stuck.md). It is here
    because it is what everybody tries first.

    Parameters
    ----------
    opt : Optimizer
    factor : float
        What the rates are multiplied by, a finite number > 0.
    steps : int
        For how many steps, >= 1.

    Returns
    -------
    Act

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or a rate is a function that is no `Schedule`. Nothing has changed then.

    Notes
    -----
    Each ``lr`` becomes a product with a `schedules.Piecewise`, which state dicts have as they have other schedules.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> opt = ac.SGD(np.ones(3), lr=0.1)
    >>> act = ac.escape.jolt(opt, factor=5.0, steps=10)
    >>> opt.param_groups[0]["lr"](0), opt.param_groups[0]["lr"](10)
    (0.5, 0.1)
    """
    owner = "jolt"
    require_optimizer(opt, owner)
    times = as_positive(factor, f"{owner}: factor")
    count = as_int(steps, f"{owner}: steps", "an int >= 1", 1)
    now = opt.completed
    write_rates(opt, multiplied(opt, Piecewise([1.0, times, 1.0], [now, now + count]), owner))
    text = f"the rate is {times:g} times as large for {count} step{'' if count == 1 else 's'}."
    return noted(opt, owner, text, {"factor": times, "steps": count})


def multiplied(opt: Optimizer, factor: float | Schedule, owner: str) -> list[Any]:
    """Return the rates of all groups, multiplied. Raises TypeError for a rate that is a function."""
    rates = []
    for place, group in enumerate(opt.param_groups):
        rate = group["lr"]
        if callable(rate) and not isinstance(rate, Schedule):
            raise TypeError(
                f"{owner}: lr of group {place} is a function, which cannot be multiplied; make it one of "
                "adamcore.schedules"
            )
        rates.append(rate * factor if isinstance(rate, Schedule) else float(rate) * factor)
    return rates


def write_rates(opt: Optimizer, rates: list[Any]) -> None:
    """Write the rates of all groups; in between, Python handles no signal."""
    call_all(
        [partial(dict.__setitem__, group, "lr", rate) for group, rate in zip(opt.param_groups, rates, strict=True)]
    )
