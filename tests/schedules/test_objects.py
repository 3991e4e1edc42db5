"""Schedules as objects: shown, compared, copied, saved, and never changed."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
import re
from typing import Any

import numpy as np
import pytest

from adamcore import schedules
from adamcore._state_dicts.saved_schedules import parts_of
from adamcore.schedules import (
    Clip,
    Constant,
    Cooldown,
    Cosine,
    Cyclic,
    Exponential,
    Join,
    Linear,
    MultiStep,
    OneCycle,
    Product,
    Schedule,
    StepDecay,
    Sum,
    Warmup,
)
from schedule_cases import CASES, TIMES

SCHEDULES = [case[0] for case in CASES]
FAMILIES = list({type(schedule): schedule for schedule in SCHEDULES}.values())

each = pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
family = pytest.mark.parametrize("schedule", FAMILIES, ids=lambda s: type(s).__name__)


def same(a: Schedule, b: Schedule) -> bool:
    return a == b and hash(a) == hash(b) and repr(a) == repr(b) and [a(t) for t in TIMES] == [b(t) for t in TIMES]


@each
def test_the_repr_makes_an_equal_schedule(schedule: Schedule) -> None:
    assert same(eval(repr(schedule), {name: getattr(schedules, name) for name in schedules.__all__}), schedule)  # noqa: S307


@each
def test_json_keeps_everything(schedule: Schedule) -> None:
    saved = schedule.to_dict()
    assert saved["type"] == type(schedule).__name__
    assert list(saved)[1:] == list(inspect.signature(type(schedule)).parameters)
    text = json.dumps(saved, allow_nan=False)
    assert json.loads(text) == saved
    assert same(Schedule.from_dict(json.loads(text)), schedule)
    assert Schedule.from_dict(json.loads(text)).to_dict() == saved


@each
def test_copies_are_equal(schedule: Schedule) -> None:
    for other in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):  # noqa: S301
        assert same(other, schedule)


def test_schedules_are_equal_if_their_arguments_are() -> None:
    made = [type(s)(**s._arguments()) for s in SCHEDULES]
    assert made == SCHEDULES
    assert len(set(SCHEDULES + made)) == len(SCHEDULES)
    assert Cosine(1, steps=100) == Cosine(1.0, 0, steps=np.int64(100))
    assert Cosine(1, steps=100) != Cosine(1, steps=101)
    assert Product(1, 2) != Sum(1, 2)
    assert Constant(1) != 1
    assert OneCycle(0.1, steps=9) != OneCycle(0.1, steps=9, start=0.004)


def test_reprs_show_what_is_not_the_default() -> None:
    for schedule, text in {
        Cosine(0.1, 0.01, steps=100): "Cosine(0.1, 0.01, steps=100)",
        Cosine(0.1, 0.0, steps=100, after="mirror"): "Cosine(0.1, steps=100, after='mirror')",
        MultiStep(0.1, (30, 80)): "MultiStep(0.1, [30, 80])",
        MultiStep(0.1, np.array([30]), 0.5): "MultiStep(0.1, [30], 0.5)",
        schedules.Interpolate([[0, 1], [5, 2]], "cosine"): "Interpolate([(0, 1), (5, 2)], 'cosine')",
        Linear(0.5, steps=3).clip(high=0.3): "Clip(Linear(0.5, steps=3), high=0.3)",
        Warmup(0.1, steps=3).then(StepDecay(0.5, every=2), at=9): (
            "Join([Warmup(0.1, steps=3), StepDecay(0.5, every=2)], [9])"
        ),
        OneCycle(np.float32(0.5), steps=np.uint8(9), three_phase=np.bool_(1)): (
            "OneCycle(0.5, steps=9, three_phase=True)"
        ),
    }.items():
        assert repr(schedule) == text


def test_arguments_are_plain_numbers() -> None:
    s = MultiStep(np.float32(0.1), np.array([3, 5]), np.float64(0.5))
    assert [type(x) for x in (s.value, s.milestones, *s.milestones, s.gamma)] == [float, tuple, int, int, float]
    assert s.value == float(np.float32(0.1))
    assert type(Linear(1, steps=np.int64(10)).steps) is int
    assert type(Linear(1, steps=np.float64(10)).steps) is float
    assert type(Linear(np.array(0.5), steps=3).start) is float


@family
def test_attributes_are_read_only(schedule: Schedule) -> None:
    before = schedule.to_dict()
    for name in [*inspect.signature(type(schedule)).parameters, "other", "_evaluator", "_formula", "__class__"]:
        with pytest.raises(AttributeError):
            setattr(schedule, name, 1)
        with pytest.raises(AttributeError):
            delattr(schedule, name)
    assert schedule.to_dict() == before


@family
def test_families_keep_their_methods(schedule: Schedule) -> None:
    """Some have an argument named `every`, which is a method too."""
    assert schedule.every(7)(20) == schedule(2)
    assert schedule.shift(7)(5) == schedule(0)
    assert schedule.shift(7)(20) == schedule(13)
    assert schedule.stretch(4)(20) == schedule(5)
    assert schedule.clip(0.02, 0.03)(20) == min(max(schedule(20), 0.02), 0.03)
    assert schedule.then(0.3, at=10)(10) == 0.3
    assert (2 * schedule)(20) == (schedule * 2)(20) == 2 * schedule(20)
    assert (1 + schedule)(20) == (schedule + np.float64(1))(20) == 1 + schedule(20)
    assert (schedule * schedule)(20) == schedule(20) ** 2


def test_operators_make_schedules() -> None:
    a, b = Constant(2.0), Linear(1.0, steps=10)
    assert a * b == Product(a, b)
    assert a + b == Sum(a, b)
    assert np.float32(2) * b == Product(2.0, b)
    assert np.int64(2) + b == Sum(2, b)
    assert math.prod([a, b]) == Product(Product(1, a), b)
    assert sum([a, b]) == Sum(Sum(0, a), b)
    assert a.then(b, at=5) == Join([a, b], [5])
    assert b.clip(low=0.5) == Clip(b, 0.5)
    for wrong in ("x", None, True, [1], np.ones(2), lambda _: 1):
        for operation in (lambda x: a * x, lambda x: x * a, lambda x: a + x, lambda x: x + a):
            with pytest.raises(TypeError):
                operation(wrong)


def test_parts_come_in_order() -> None:
    a, b, c = Constant(1), Constant(2), Constant(3)
    for schedule, parts in (
        (Join([a, 7, b, c], [1, 2, 3]), [a, b, c]),
        (Product(a, b), [a, b]),
        (Cooldown(c, at=0, steps=1), [c]),
        (Warmup(Product(2, a), steps=1), [Product(2, a), a]),
        (Warmup(0.1, steps=3), []),
        (a, []),
    ):
        assert [part for _, part in parts_of(schedule)] == [schedule, *parts]


def test_schedules_are_not_nested_without_end() -> None:
    s: Schedule = Constant(1)
    for _ in range(99):
        s = s + 1
    assert s(0) == 100
    assert copy.deepcopy(s) == Schedule.from_dict(s.to_dict()) == pickle.loads(pickle.dumps(s)) == s  # noqa: S301
    assert repr(s).count("Sum") == 99
    with pytest.raises(ValueError, match=r"^Sum: more than 100 schedules are nested in each other; Join\("):
        s + 1
    assert Join([1] * 1000, range(999))(0) == 1


@pytest.mark.parametrize("other", ["a", b"a", [1], (1, 2)], ids=repr)
def test_operators_say_what_they_take(other: Any) -> None:
    s: Any = Constant(1)
    for use in (lambda: s * other, lambda: other * s, lambda: s + other, lambda: other + s):
        with pytest.raises(TypeError, match=r"^Constant: only numbers and schedules can be added and multiplied, got "):
            use()
    for wrong in (None, True, {}, 1j):
        with pytest.raises(TypeError, match="unsupported operand"):
            s * wrong


def test_docstrings_describe_every_argument() -> None:
    for schedule in FAMILIES:
        section = re.search(r"Parameters\n    -+\n(.*?)\n\n    \w+\n    -+\n", type(schedule).__doc__, re.DOTALL)
        named = re.findall(r"^    ([\w, ]+) : ", section[1], re.MULTILINE)
        assert ", ".join(named).split(", ") == list(inspect.signature(type(schedule)).parameters), schedule


def test_signatures_are_those_of_the_constructors() -> None:
    shown = str(inspect.signature(Exponential))
    assert shown == (
        "(value: float, gamma: float, *, every: float = 1, staircase: bool = False, begin: float = 0, "
        "end: float | None = None)"
    )
    assert str(inspect.signature(Cyclic)).startswith(
        "(low: float, high: float, *, up: float, down: float | None = None"
    )
    assert list(inspect.signature(Constant(1)).parameters) == ["t"]


WRONG_SAVED: list[tuple[Any, str]] = [
    ({}, "must have the name of its class as 'type', got None"),
    ({"type": 3}, "must have the name of its class as 'type', got 3"),
    ({"type": "Cosin"}, "there is no schedule of type 'Cosin'; did you mean 'Cosine'?"),
    ({"type": "os.system"}, "there is no schedule of type 'os.system'"),
    ({"type": "Schedule"}, "there is no schedule of type 'Schedule'"),
    ({"type": "Constant"}, "Constant: value is missing"),
    ({"type": "Cosine", "start": 0.1}, "Cosine: steps is missing"),
    ({"type": "Constant", "value": 1, "valuue": 2}, "Constant: there is no argument 'valuue'; did you mean 'value'?"),
    ({"type": "Constant", "value": float("nan")}, "Constant: value must be a finite number, got nan"),
    ({"type": "Every", "schedule": {"type": "Constant"}, "n": 3}, "Constant: value is missing"),
    ({"type": "Constant", "value": 1, "state": 2}, "Constant: there is no argument 'state'"),
]


@pytest.mark.parametrize(("saved", "message"), WRONG_SAVED, ids=lambda x: x if isinstance(x, str) else "")
def test_what_was_saved_is_checked(saved: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        Schedule.from_dict(saved)
    assert message in str(error.value)


def test_what_has_a_default_may_be_missing() -> None:
    """Files of earlier versions lack arguments that came later, and people write dicts by hand."""
    assert Schedule.from_dict({"type": "Cosine", "start": 0.1, "steps": 3}) == Cosine(0.1, steps=3)


def test_saved_types_are_checked() -> None:
    for wrong in (None, [], "Constant", 3):
        with pytest.raises(TypeError, match="a saved schedule must be a dict, got "):
            Schedule.from_dict(wrong)
    with pytest.raises(TypeError, match="Constant: value must be a finite number, got 'x'"):
        Schedule.from_dict({"type": "Constant", "value": "x"})
    with pytest.raises(ValueError, match="Constant is no Cosine"):
        Cosine.from_dict({"type": "Constant", "value": 1})
    assert Cosine.from_dict(Cosine(0.1, steps=3).to_dict()) == Cosine(0.1, steps=3)
