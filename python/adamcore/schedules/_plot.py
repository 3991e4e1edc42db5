"""`Schedule.plot`."""

from __future__ import annotations

from typing import Any

import numpy as np

from adamcore._checks.extras import import_extra
from adamcore._checks.numbers import as_float, as_int
from adamcore._core import short_repr
from adamcore.schedules._breakpoints import breakpoints

_DENSE = 10_000
"""Up to so many steps each one is drawn, and beyond as many times with all breakpoints."""
_COLOR = "#0072B2"


def plot(schedule: Any, steps: Any, ax: Any = None) -> Any:
    """Draw the values of the first `steps` steps, and return the axes."""
    last = as_int(steps, "plot: steps", "an int >= 1", 1)
    if ax is None:
        ax = _new_axes()
    elif not hasattr(ax, "set_xlabel"):
        raise TypeError(f"plot: ax must be axes of Matplotlib or None, got {short_repr(ax)}")
    times = _times(schedule, last)
    ax.plot(times, _values(schedule, times), color=_COLOR, linewidth=1.8)
    ax.set_xlabel("completed steps")
    ax.set_ylabel("value")
    ax.set_title(_shorten(repr(schedule)), loc="left", fontsize=10)
    ax.set_xlim(0, last)
    ax.grid(color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _new_axes() -> Any:
    return import_extra("matplotlib.pyplot", "plot", "plot").subplots(layout="constrained")[1]


def _times(schedule: Any, last: int) -> Any:
    steps = np.floor(np.linspace(0, last, min(last, _DENSE) + 1))
    edges = np.array(breakpoints(schedule, last))
    return np.unique(np.concatenate([steps, edges, np.maximum(np.ceil(edges) - 1, 0)]))


def _values(schedule: Any, times: Any) -> Any:
    if schedule._evaluator is not None:
        return schedule(times)
    # A user's class takes a number, and an int where it is whole, as in a step.
    label = f"{type(schedule).__name__}: its value"
    return [as_float(schedule(int(t) if t.is_integer() else t), label, "a number") for t in times.tolist()]


def _shorten(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
