"""Moments of one rule as those of another.

Each moment is a factor times an average of gradients, or of their squares, whose weights add up to 1. The factor is
known from the decay and from the number of updates: it is ``1 - beta**t`` for an average that began with zeros, whether
or not the rule corrects this bias. So a moment becomes what it would be if the new rule had done the updates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamcore._core import rules

Numbers = Mapping[str, Any]
"""The hyper-parameters of a group, without schedules."""

State = dict[str, Any]
"""The state of a parameter: arrays by slot, and its counts."""


class Moment(NamedTuple):
    """A slot, and how large it is after `t` updates for an average of 1."""

    slot: str
    factor: Callable[[Numbers, int], float]


def _bias(beta: float, t: int) -> float:
    return 1.0 if beta == 0 else -math.expm1(t * math.log(beta))


def _average(option: str, place: int | None = None) -> Callable[[Numbers, int], float]:
    def factor(numbers: Numbers, t: int) -> float:
        return _bias(numbers[option] if place is None else numbers[option][place], t)

    return factor


def _average_or_sum(numbers: Numbers, t: int) -> float:
    beta = numbers["betas"][0]
    return _bias(beta, t) / (1 if numbers["grad_averaging"] else 1 - beta)


def _of_buffer(numbers: Numbers, t: int) -> float:
    """Return the sum of the weights in a momentum buffer; 0 if it has no limit."""
    momentum = numbers["momentum"]
    if momentum >= 1:
        return 0.0
    return float((1 - numbers.get("dampening", 0.0)) * _bias(momentum, t) / (1 - momentum))


_FIRST = {
    "adam": Moment("exp_avg", _average("betas", 0)),
    "adamw": Moment("exp_avg", _average("betas", 0)),
    "lamb": Moment("exp_avg", _average_or_sum),
    "lion": Moment("exp_avg", _average("betas", 1)),
    "sgd": Moment("momentum_buffer", _of_buffer),
    "stableadamw": Moment("exp_avg", _average("betas", 0)),
}
"""Averages of gradients, by the first word of the rule's name."""

_SECOND = {
    **dict.fromkeys(
        ("adam", "adamw", "lamb", "schedulefreeadamw", "stableadamw"), Moment("exp_avg_sq", _average("betas", 1))
    ),
    "rmsprop": Moment("square_avg", _average("alpha")),
}
"""Averages of their squares."""

_LARGEST = {name: Moment("max_exp_avg_sq", _SECOND[name].factor) for name in ("adam", "adamw")}
"""The largest averages of squares so far."""


_OWN = {
    "adan": (
        Moment("exp_avg", _average("betas", 0)),
        Moment("exp_avg_diff", _average("betas", 1)),
        Moment("exp_avg_sq", _average("betas", 2)),
    ),
    "lars": (Moment("momentum_buffer", _of_buffer),),
    "novograd": (Moment("exp_avg", _average_or_sum),),
    "rmsprop": (Moment("momentum_buffer", _of_buffer),),
}
"""Averages of what only one rule computes, which stay right if its hyper-parameters change."""


class Rule(NamedTuple):
    """The rule of a group, with its hyper-parameters."""

    name: str
    numbers: Numbers

    def has(self, slot: str) -> bool:
        """Whether the rule uses a slot, for matrices or for vectors."""
        known = rules()
        return slot in known[self.name]["slots"] or slot in known[known[self.name]["for_vectors"]]["slots"]

    def moments(self) -> list[Moment | None]:
        """Return the first moment, the second, and its maximum, as far as the rule has them."""
        found = [table.get(self.word) for table in (_FIRST, _SECOND, _LARGEST)]
        return [moment if moment is not None and self.has(moment.slot) else None for moment in found]

    @property
    def word(self) -> str:
        """The first word of the name, which variants share."""
        return self.name.partition("_")[0]


def carry(
    old: State, before: Rule, fresh: State, now: Rule, *, is_same: bool, beside: Iterable[str]
) -> tuple[State, dict[str, str]]:
    """Return the state of a parameter under the new rule, and for each slot that is carried the one it comes from.

    `fresh` is how the new state begins. If the rules are variants of one, `is_same`, all that they share is carried;
    `beside` are arrays that belong to no rule.
    """
    sources: dict[str, str] = {}
    if is_same:
        sources.update({slot: slot for slot in fresh if slot in old and before.has(slot) and now.has(slot)})
    ratios = dict.fromkeys(sources, 1.0)
    own = [(moment, moment) for moment in _OWN.get(now.word, ()) if moment.slot in sources]
    for former, new in [*_pairs(old, before, fresh, now), *own]:
        if not _is_finite(former, before, new, now, old["step"]):
            continue
        sources[new.slot] = former.slot
        ratios[new.slot] = _ratio(former, before, new, now, old["step"])
    state: State = dict(fresh)
    if is_same or sources:
        state["step"] = old["step"]
        if "begun" in old or any(now.has(slot) and slot not in sources for slot in fresh):
            state["begun"] = 0
    for slot, source in sources.items():
        state[slot] = _converted(old[source], fresh[slot], ratios[slot])
    for slot in beside:
        if slot in old and slot in fresh and old[slot].dtype == fresh[slot].dtype:
            state[slot] = old[slot]
            sources[slot] = slot
    return state, sources


def _pairs(old: State, before: Rule, fresh: State, now: Rule) -> list[tuple[Moment, Moment]]:
    """Return the moments that can be carried.

    Without the second moment the first is not carried to a rule that has both: a step would divide it by the root of
    a single square.
    """
    found: list[tuple[Moment, Moment] | None] = []
    for former, new in zip(before.moments(), now.moments(), strict=True):
        both = None if former is None or new is None else (former, new)
        found.append(both if both and both[0].slot in old and both[1].slot in fresh else None)
    first, second, largest = found
    if first is not None and old.get("begun") == 0:
        first = None
    if second is None and now.moments()[1] is not None:
        first = None
    return [pair for pair in (first, second, largest) if pair is not None]


def _is_finite(former: Moment, before: Rule, new: Moment, now: Rule, t: int) -> bool:
    """Whether a moment can be converted: a sum that grows without limit, or is 0, has no average."""
    return t == 0 or (former.factor(before.numbers, t) > 0 and new.factor(now.numbers, t) > 0)


def _ratio(former: Moment, before: Rule, new: Moment, now: Rule, t: int) -> float:
    return 1.0 if t == 0 else new.factor(now.numbers, t) / former.factor(before.numbers, t)


def _converted(array: NDArray[Any], like: NDArray[Any], ratio: float) -> NDArray[Any]:
    """Return an array times a number, rounded to the type of another one."""
    if ratio == 1 and array.dtype == like.dtype:
        return array
    wide = np.multiply(array, ratio, dtype=np.complex128 if array.dtype.kind == "c" else np.float64)
    narrow = np.asarray(wide, like.dtype)
    if like.dtype.itemsize == 2:
        # As in steps, an average of squares does not become 0, because its root is a divisor.
        smallest = np.array(1, np.uint16).view(like.dtype)
        narrow = np.where((wide > 0) & (narrow == 0), smallest, narrow)
    return narrow
