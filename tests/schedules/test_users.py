"""Schedules of users: registered, nested, called from native code."""

from __future__ import annotations

import abc
import copy
import gc
import json
import pickle
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from adamcore import schedules
from adamcore.schedules import Constant, Cosine, Product, Schedule, Warmup, register


@register
class Teeth(Schedule):
    def __init__(self, value: float, /, heights: Any = (1, 0.5), *, period: int = 4, inner: Any = None) -> None:
        self.value = value
        self.heights = tuple(heights)
        self.period = period
        self.period = int(period)  # more than once
        self.inner = inner

    def __call__(self, t: float) -> float:
        return self.value * (1 - t % self.period / self.period)


@register
@dataclass(frozen=True)
class Fading(Schedule):
    value: float
    inner: Any = None

    def __call__(self, t: float) -> float:
        return self.value / 2**t


@register
class Doubled(Cosine):
    def __call__(self, t: Any) -> Any:
        return 2 * super().__call__(t)


class Echo(Schedule):
    """Returns anything, and notes what it was called with."""

    def __init__(self, result: Any, seen: list[Any] | None = None) -> None:
        self.result = result
        self.seen = [] if seen is None else seen

    def __call__(self, t: Any) -> Any:
        self.seen.append(t)
        return self.result


OURS = [
    Teeth(0.3),
    Teeth(0.3, [1, 2], period=7, inner=Constant(2)),
    Fading(0.5),
    Fading(0.5, Teeth(1.0)),
    Doubled(0.1, steps=10),
    Warmup(Teeth(0.3, period=3), steps=5) * Fading(2.0),
]


@pytest.mark.parametrize("schedule", OURS, ids=str)
def test_they_are_schedules_as_any(schedule: Schedule) -> None:
    known = {name: getattr(schedules, name) for name in schedules.__all__}
    others = [
        eval(repr(schedule), {**known, **globals()}),  # noqa: S307
        Schedule.from_dict(json.loads(json.dumps(schedule.to_dict()))),
        pickle.loads(pickle.dumps(schedule)),  # noqa: S301
        copy.copy(schedule),
        copy.deepcopy(schedule),
    ]
    for other in others:
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert [other(t) for t in range(20)] == [schedule(t) for t in range(20)]
    assert schedule != Constant(1)
    with pytest.raises(AttributeError):
        schedule.value = 3
    with pytest.raises(AttributeError):
        schedule.new = 3
    with pytest.raises(AttributeError):
        del schedule.value


def test_reprs_are_natural() -> None:
    assert repr(Teeth(0.3)) == "Teeth(0.3)"
    assert repr(Teeth(0.3, [1, 2], period=7)) == "Teeth(0.3, (1, 2), period=7)"
    assert repr(Teeth(0.3, inner=Constant(2))) == "Teeth(0.3, inner=Constant(2))"
    assert repr(Doubled(0.1, steps=10)) == "Doubled(0.1, steps=10)"


def test_parts_of_a_composition_are_called_with_ints_where_they_can_be() -> None:
    echo = Echo(0.5)
    s = Product(echo, 2)
    assert s(3) == 1
    s(3.0)
    s(2.5)
    s(2**53 + 2)
    s(2.0**63)
    s(1e300)
    assert [(type(t), t) for t in echo.seen] == [
        (int, 3), (int, 3), (float, 2.5), (int, 2**53 + 2), (float, 2.0**63), (float, 1e300)
    ]  # fmt: skip
    assert s(np.arange(3)).tolist() == [1, 1, 1]
    assert [type(t) for t in echo.seen[-3:]] == [int] * 3


@pytest.mark.parametrize("result", [1, 0.5, np.float32(0.5), np.int64(3), np.array(0.25)])
def test_they_return_numbers(result: Any) -> None:
    assert Warmup(Echo(result), steps=1)(5) == float(result)


@pytest.mark.parametrize("result", [None, "1", True, 1j, [1], Constant(1)], ids=repr)
def test_what_is_no_number_is_refused(result: Any) -> None:
    with pytest.raises(TypeError, match=r"^Echo must return a number, got "):
        Warmup(Echo(result), steps=1)(5)


def test_their_errors_are_passed_on() -> None:
    class Failing(Schedule):
        def __call__(self, t: Any) -> float:
            raise KeyError("mine", t)

    with pytest.raises(KeyError, match="mine"):
        (Failing() * 2)(0)
    with pytest.raises(KeyError, match="mine"):
        (Failing() * 2)(np.arange(3))


def test_a_class_that_changes_a_built_in_one_is_called() -> None:
    s = Doubled(0.1, steps=10)
    assert s(0) == 0.2
    assert Product(s, 1)(0) == 0.2
    assert s._evaluator is None
    assert Cosine(0.1, steps=10)._evaluator is not None

    class Renamed(Cosine):
        pass

    assert Renamed(0.1, steps=10)(0) == 0.1
    assert Renamed(0.1, steps=10)._evaluator is not None


def test_classes_need_a_call() -> None:
    class Missing(Schedule):
        def __init__(self) -> None:
            self.value = 3

    for wrong in (Schedule, Missing):
        with pytest.raises(TypeError, match=f"{wrong.__name__} is no schedule of its own"):
            wrong()


def test_only_registered_classes_are_saved() -> None:
    with pytest.raises(TypeError, match="Echo cannot be saved: register the class"):
        Echo(1).to_dict()
    with pytest.raises(TypeError, match="Echo cannot be saved: register the class"):
        Warmup(Echo(1), steps=3).to_dict()
    with pytest.raises(ValueError, match="there is no schedule of type 'Echo'"):
        Schedule.from_dict({"type": "Echo", "result": 1, "seen": []})


def test_arguments_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(TypeError, match="Fading: inner cannot be saved as JSON: <object"):
        Fading(1.0, object()).to_dict()
    with pytest.raises(ValueError, match="Fading: value cannot be saved, because JSON has no inf"):
        Fading(float("inf")).to_dict()
    saved = Fading(np.float32(0.5), {"a": np.arange(2), "b": [None, True, "x"]}).to_dict()
    assert saved == {"type": "Fading", "value": 0.5, "inner": {"a": [0, 1], "b": [None, True, "x"]}}
    assert Schedule.from_dict(json.loads(json.dumps(saved))).inner == {"a": [0, 1], "b": [None, True, "x"]}


def make_class(name: str, init: Any, module: str = "elsewhere") -> type:
    return type(name, (Schedule,), {"__init__": init, "__call__": lambda _self, _t: 1.0, "__module__": module})


def test_what_is_registered_is_checked() -> None:
    for wrong in (3, int, Constant(1), lambda t: t):
        with pytest.raises(TypeError, match="register: a subclass of Schedule is needed"):
            register(wrong)
    with pytest.raises(TypeError, match=r"Many: its constructor must name all arguments, got \*_values"):
        register(make_class("Many", lambda _self, *_values: None))
    with pytest.raises(TypeError, match=r"Any: its constructor must name all arguments, got \*\*_options"):
        register(make_class("Any", lambda _self, **_options: None))
    for name in ("type", "state"):
        with pytest.raises(ValueError, match=f"Bad: an argument cannot be named '{name}'"):
            register(make_class("Bad", eval(f"lambda self, {name}: None")))  # noqa: S307
    with pytest.raises(ValueError, match="another schedule named Cosine is registered"):
        register(make_class("Cosine", lambda _self: None))
    with pytest.raises(TypeError, match=r"register: a subclass of Schedule is needed, got .*Schedule"):
        register(Schedule)
    with pytest.raises(TypeError, match=r"register: Silent must define __call__\(self, t\)"):
        register(type("Silent", (Schedule,), {}))
    with pytest.raises(ValueError, match="a schedule cannot be named 'callable', which stands for functions"):
        register(make_class("callable", lambda _self: None))
    first = register(make_class("Cell", lambda _self: None, "__main__"))
    assert type(Schedule.from_dict({"type": "Cell"})) is first
    again = register(make_class("Cell", lambda _self: None, "__main__"))  # a cell of a notebook that runs again
    assert type(Schedule.from_dict({"type": "Cell"})) is again


def test_they_may_have_other_base_classes() -> None:
    class Base(abc.ABC):
        @abc.abstractmethod
        def name(self) -> str: ...

    class Both(Schedule, Base):
        def __call__(self, t: float) -> float:
            return 1.0 * t

        def name(self) -> str:
            return "both"

    assert Both().name() == "both"


def test_cycles_are_collected() -> None:
    """Through an evaluator, which holds the objects of users."""
    box: list[Any] = []
    echo = Echo(1, box)
    outer = Warmup(Product(echo, 2), steps=3)
    box.append(outer)
    refs = [weakref.ref(echo), weakref.ref(outer)]
    del echo, outer, box
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_a_schedule_keeps_its_parts() -> None:
    s = Warmup(Product(Constant(0.5), Echo(2)), steps=3).then(Constant(0.25), at=5)
    evaluator = s._evaluator
    del s
    gc.collect()
    assert evaluator(4) == 1
    assert evaluator(5) == 0.25
