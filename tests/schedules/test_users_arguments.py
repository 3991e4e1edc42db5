"""Arguments of users' classes: compared, hashed, and read from constructors that decorators make."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from adamcore import schedules
from adamcore._state_dicts.saved_schedules import parts_of
from adamcore.schedules import Constant, Schedule, register


@register
class Stairs(Schedule):
    def __init__(self, heights: Any, options: Any = None) -> None:
        self.heights, self.options = heights, options

    def __call__(self, t: float) -> float:
        return float(t)


@register
@dataclass(frozen=True)
class Tuned(Schedule):
    heights: Any
    options: Any = None

    def __call__(self, t: float) -> float:
        return float(t)


@dataclass(frozen=True)
@register
class Outside(Schedule):
    heights: Any
    options: Any = None

    def __call__(self, t: float) -> float:
        return float(t)


@register
@dataclass(frozen=True, slots=True)
class Slim(Schedule):
    heights: Any
    options: Any = None

    def __call__(self, t: float) -> float:
        return float(t)


@dataclass(frozen=True, slots=True)
@register
class SlimOutside(Schedule):
    heights: Any
    options: Any = None

    def __call__(self, t: float) -> float:
        return float(t)


@register
@dataclass(unsafe_hash=True, order=True)
class Thawed(Schedule):
    heights: Any
    options: Any = None

    def __call__(self, t: float) -> float:
        return float(t)


@pytest.mark.parametrize("kind", [Stairs, Tuned, Outside, Slim, SlimOutside, Thawed])
def test_they_survive_json(kind: Any) -> None:
    """JSON has lists in the place of tuples."""
    for made in (
        kind((1, (2, 3))),
        kind([1, [2, 3]]),
        kind(((1, 2), (3, 4)), {"a": (1, 2), "b": {"c": [Constant(1)]}}),
        kind(np.arange(4).reshape(2, 2), {"a": np.arange(3)}),
    ):
        saved = made.to_dict()
        assert list(saved) == ["type", "heights", "options"]
        loaded = Schedule.from_dict(json.loads(json.dumps(saved, sort_keys=True)))
        others = [loaded, copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))]  # noqa: S301
        for other in others:
            assert type(other) is kind
            assert other == made
            assert hash(other) == hash(made)
        assert made != kind((1, (2, 4)))
        assert made != Constant(1)
    assert kind((1, 2)) == kind([1, 2])
    assert kind(1) != kind((1,))
    with pytest.raises(TypeError, match="unhashable"):
        hash(kind({1, 2}))


@pytest.mark.parametrize("kind", [Stairs, Tuned])
def test_parts_are_found_in_any_argument(kind: Any) -> None:
    a, b, c, d = (Constant(i) for i in range(4))
    made = kind([a, [1, (b,)]], {"x": c, "y": {"z": [d]}})
    assert [id(part) for _, part in parts_of(made)] == list(map(id, [made, a, b, c, d]))


def test_own_comparisons_stay() -> None:
    class Loose(Schedule):
        def __init__(self, value: float) -> None:
            self.value = value

        def __call__(self, t: float) -> float:
            return self.value * t

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loose)

        def __hash__(self) -> int:
            return 7

    class Derived(Loose):
        pass

    @dataclass(frozen=True)
    class Declared(Schedule):
        value: float

        def __call__(self, t: float) -> float:
            return self.value * t

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Declared)

        def __hash__(self) -> int:
            return 8

    assert Declared(1) == Declared(2)
    assert hash(Declared(1)) == 8
    assert Loose(1) == Loose(2)
    assert Derived(1) == Derived(2)
    assert hash(Derived(1)) == 7


class Hidden(Schedule):
    def __init__(self, height: float, *, every: float = 1) -> None:
        self._height, self._every = height, every

    def __call__(self, t: float) -> float:
        return self._height + t


class Halfway(Hidden):
    @property
    def height(self) -> float:
        return self._height


@pytest.mark.parametrize(("kind", "name"), [(Hidden, "height"), (Halfway, "every")])
def test_an_argument_that_is_no_attribute_is_named(kind: Any, name: str) -> None:
    message = (
        rf"^{kind.__name__}: the constructor's argument '{name}' must be kept as the attribute {kind.__name__}.{name}"
    )
    register(kind)
    made = kind(0.5)
    assert made(3) == 3.5
    for use in (repr, hash, copy.copy, pickle.dumps, lambda s: s == kind(0.5), lambda s: s.to_dict()):
        with pytest.raises(TypeError, match=message):
            use(made)


def test_names_of_keys_are_refused_whenever_the_constructor_comes() -> None:
    @dataclass(frozen=True)
    @register
    class LateState(Schedule):
        state: int

        def __call__(self, t: float) -> float:
            return 1.0 * t

    with pytest.raises(ValueError, match="LateState: an argument cannot be named 'state'"):
        LateState(3).to_dict()
    with pytest.raises(ValueError, match="Stairs: options cannot be saved: a dict with the key 'type' is a saved"):
        Stairs(1, {"type": "x"}).to_dict()


def test_nesting_has_a_limit() -> None:
    saved: dict[str, Any] = {"type": "Constant", "value": 1}
    for _ in range(3000):
        saved = {"type": "Shift", "schedule": saved, "n": 1}
    with pytest.raises(ValueError, match="a saved schedule is nested too deeply"):
        Schedule.from_dict(saved)


def test_messages_about_unknown_types_are_sentences() -> None:
    for name, shown in {"Cosin": "; did you mean 'Cosine'? If it is", "Xyz": "'Xyz'. If it is"}.items():
        with pytest.raises(ValueError, match="there is no schedule of type") as error:
            schedules.Schedule.from_dict({"type": name})
        assert shown in str(error.value)
