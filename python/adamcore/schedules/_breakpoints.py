"""Where schedules change their course, and how long they are: what plots of them need to know."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count, islice, takewhile
from types import SimpleNamespace
from typing import Any

_MOST = 1000
_PERIODS = 4
"""How many periods or stairs are all that a schedule does."""
_REST = 0.25
"""The share of the time before it that is shown of a last piece that does not end."""


def breakpoints(schedule: Any, last: float) -> list[float]:
    """Return the times from 0 to `last` at which another formula or piece of `schedule` begins, in order.

    There are at most 1000. A schedule of a user's class has none of its own.
    """
    found: set[float] = set()
    find = _POINTS.get(_kind(schedule), _no_points)
    for t in islice(takewhile(lambda t: t <= last, find(_arguments(schedule), last)), _MOST):
        if t >= 0:
            found.add(t)
    return sorted(found)


def natural_length(schedule: Any) -> float | None:
    """Return the time by which `schedule` has shown all it does, or None if nothing says so."""
    measure = _LENGTHS.get(_kind(schedule))
    return measure(_arguments(schedule)) if measure else None


def _kind(schedule: Any) -> str:
    """Return the name of a family, or "": a user's class may have the same name."""
    kind: str = type(schedule).__dict__.get("_kind", "")
    return kind


def _arguments(schedule: Any) -> SimpleNamespace:
    # A number can stand for a schedule.
    given = schedule._arguments() if hasattr(schedule, "_arguments") else {}
    return SimpleNamespace(kind=_kind(schedule), ledger=getattr(schedule, "ledger", ()), **given)


_Points = Callable[[Any, float], Iterable[float]]
_Length = Callable[[Any], "float | None"]


def _no_points(_schedule: Any, _last: float) -> Iterable[float]:
    return ()


def _multiples(length: float, begin: float = 0.0) -> Iterator[float]:
    return (begin + i * length for i in count(1))


def _ramp(schedule: Any, _last: float) -> Iterable[float]:
    return schedule.begin, schedule.begin + schedule.steps


def _staircase(schedule: Any, _last: float) -> Iterable[float]:
    begin = getattr(schedule, "begin", 0)
    return chain([begin], _multiples(schedule.every, begin)) if schedule.staircase else [begin]


def _cosine(schedule: Any, _last: float) -> Iterable[float]:
    return _multiples(schedule.steps) if schedule.after == "mirror" else [schedule.steps]


def _restarts(schedule: Any, _last: float) -> Iterator[float]:
    end, length = 0.0, schedule.period
    while True:
        end += length
        length *= schedule.mult
        yield end


def _cyclic(schedule: Any, _last: float) -> Iterator[float]:
    down = schedule.up if schedule.down is None else schedule.down
    for cycle in count():
        begin = cycle * (schedule.up + down)
        yield begin + schedule.up
        yield begin + schedule.up + down


def _one_cycle(schedule: Any, _last: float) -> Iterable[float]:
    peak = schedule.pct_start * schedule.steps - 1
    return [peak, *([2 * peak] if schedule.three_phase else []), schedule.steps - 1]


def _warmup(schedule: Any, last: float) -> Iterable[float]:
    top = schedule.steps - 1 if schedule.start is None else schedule.steps
    return [top, schedule.steps, *_later(schedule.schedule, last, schedule.steps)]


def _cooldown(schedule: Any, last: float) -> Iterable[float]:
    before = breakpoints(schedule.schedule, min(last, schedule.at))
    return [*before, schedule.at, schedule.at + schedule.steps]


def _join(schedule: Any, last: float) -> Iterator[float]:
    edges = [0, *schedule.boundaries, math.inf]
    for i, nested in enumerate(schedule.schedules):
        if edges[i] > last:
            return
        yield edges[i]
        yield from _later(nested, min(last, edges[i + 1]), edges[i])


def _later(schedule: Any, last: float, by: float) -> list[float]:
    return [t + by for t in breakpoints(schedule, last - by)]


def _shift(schedule: Any, last: float) -> list[float]:
    return [schedule.n, *_later(schedule.schedule, last, schedule.n)]


def _stretch(schedule: Any, last: float) -> list[float]:
    return [t * schedule.k for t in breakpoints(schedule.schedule, last / schedule.k)]


def _both(schedule: Any, last: float) -> list[float]:
    return sorted({*breakpoints(schedule.a, last), *breakpoints(schedule.b, last)})


def _plateau(schedule: Any, last: float) -> list[float]:
    lowered = [step for step, _ in schedule.ledger if step <= last]
    return sorted({*lowered, *breakpoints(schedule.schedule_or_value, last)})


_POINTS: dict[str, _Points] = {
    "StepDecay": lambda s, _: _multiples(s.every),
    "MultiStep": lambda s, _: s.milestones,
    "Exponential": _staircase,
    "InverseTime": _staircase,
    "Linear": _ramp,
    "Polynomial": _ramp,
    "Cosine": _cosine,
    "CosineRestarts": _restarts,
    "Cyclic": _cyclic,
    "OneCycle": _one_cycle,
    "Piecewise": lambda s, _: s.boundaries,
    "Interpolate": lambda s, _: [t for t, _ in s.points],
    "Warmup": _warmup,
    "WSD": lambda s, _: [s.warmup - 1, s.steps - s.decay, s.steps],
    "Cooldown": _cooldown,
    "Join": _join,
    "Product": _both,
    "Sum": _both,
    "Clip": lambda s, last: breakpoints(s.schedule, last),
    "Shift": _shift,
    "Stretch": _stretch,
    "Every": lambda s, last: [t * s.n for t in breakpoints(s.schedule, last / s.n)],
    "ReduceOnPlateau": _plateau,
}


def _of_nested(*schedules: Any) -> float | None:
    """Return the longest of their lengths."""
    return max((length for length in map(natural_length, schedules) if length is not None), default=None)


def _after(begin: float, schedule: Any) -> float:
    """Return the length of a schedule whose clock starts at `begin`."""
    return begin + (natural_length(schedule) or begin * _REST)


def _scaled(schedule: Any, factor: float) -> float | None:
    length = natural_length(schedule)
    return None if length is None else length * factor


def _beyond(edges: Any) -> float | None:
    """Return the last edge, and some more for what comes after it."""
    return edges[-1] * (1 + _REST) if len(edges) else None


def _exponential(schedule: Any) -> float | None:
    """Return when the value is a tenth or ten times the first one, or after some stairs."""
    if schedule.staircase:
        return float(schedule.begin + _PERIODS * schedule.every)
    return (
        None
        if schedule.gamma in (0, 1)
        else schedule.begin + schedule.every * abs(math.log(10) / math.log(schedule.gamma))
    )


def _inverse_time(schedule: Any) -> float | None:
    """Return when the value is a tenth of the first one."""
    return 9 * schedule.every / schedule.rate if schedule.rate > 0 else None


def _reduced(schedule: Any) -> float | None:
    own, lowered = natural_length(schedule.schedule_or_value), _beyond([step for step, _ in schedule.ledger])
    return max((length for length in (own, lowered) if length is not None), default=None)


def _periods(schedule: Any) -> float:
    find = _POINTS[schedule.kind]
    return list(islice(find(schedule, math.inf), _PERIODS))[-1]


_LENGTHS: dict[str, _Length] = {
    "StepDecay": _periods,
    "MultiStep": lambda s: _beyond(s.milestones),
    "Exponential": _exponential,
    "InverseSqrt": lambda s: 15 * s.timescale,  # a quarter of the first value
    "InverseTime": _inverse_time,
    "Linear": lambda s: s.begin + s.steps,
    "Polynomial": lambda s: s.begin + s.steps,
    "Cosine": lambda s: s.steps * (_PERIODS if s.after == "mirror" else 1),
    "CosineRestarts": _periods,
    "Cyclic": _periods,
    "OneCycle": lambda s: s.steps,
    "Piecewise": lambda s: _beyond(s.boundaries),
    "Interpolate": lambda s: s.points[-1][0] or None,
    "Warmup": lambda s: _after(s.steps, s.schedule),
    "WSD": lambda s: s.steps,
    "Cooldown": lambda s: s.at + s.steps,
    "Join": lambda s: _after(s.boundaries[-1], s.schedules[-1]) if len(s.boundaries) else _of_nested(*s.schedules),
    "Product": lambda s: _of_nested(s.a, s.b),
    "Sum": lambda s: _of_nested(s.a, s.b),
    "Clip": lambda s: _of_nested(s.schedule),
    "Shift": lambda s: _after(s.n, s.schedule),
    "Stretch": lambda s: _scaled(s.schedule, s.k),
    "Every": lambda s: _scaled(s.schedule, s.n),
    "ReduceOnPlateau": _reduced,
}
