"""Arguments that constructors refuse, by name."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

from adamcore import schedules
from adamcore.schedules import Constant, Schedule
from schedule_cases import CASES

FAMILIES = {type(case[0]).__name__: case[0] for case in CASES}

KINDS = {
    "positive": ("steps", "every", "period", "up", "timescale", "k"),
    "nonnegative": ("begin", "gamma", "rate", "power", "decay", "at", "warmup"),
    "real": ("value", "start", "end", "low", "high", "peak"),
    "part": ("schedule", "a", "b"),
    "flag": ("staircase", "three_phase"),
    "choice": ("mode", "shape", "after", "anneal"),
}
OPTIONAL = {"Exponential": "end", "Cyclic": "down", "OneCycle": "start end", "Warmup": "start", "Clip": "low high"}

NOT_FINITE = [math.nan, math.inf, -math.inf, 10**400, np.float32(np.nan)]
NO_NUMBERS = [
    "1",
    b"1",
    True,
    np.bool_(1),
    1j,
    np.complex64(1),
    np.array(1j),
    [1],
    np.ones(1),
    {},
    object(),
    lambda t: t,
]

SPECIAL: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("Every", {"n": 0}, ValueError, "n must be a number > 0, got 0"),
    ("Shift", {"n": -1}, ValueError, "n must be a number >= 0, got -1"),
    ("Cyclic", {"down": 0}, ValueError, "down must be a number > 0, got 0"),
    ("CosineRestarts", {"mult": 0.999}, ValueError, "mult must be a number >= 1, got 0.999"),
    ("OneCycle", {"pct_start": 1.01}, ValueError, "pct_start must be a number from 0 to 1, got 1.01"),
    ("OneCycle", {"pct_start": -0.01}, ValueError, "pct_start must be a number from 0 to 1, got -0.01"),
    ("WSD", {"steps": 10, "warmup": 6, "decay": 5}, ValueError, "warmup + decay must be at most steps"),
    ("Clip", {"low": 1, "high": 0}, ValueError, "low must be at most high, got 1 and 0"),
    ("MultiStep", {"milestones": [3, 2]}, ValueError, "milestones must be in ascending order, got 2 after 3"),
    ("MultiStep", {"milestones": [-1, 2]}, ValueError, "milestones[0] must be a number >= 0, got -1"),
    ("MultiStep", {"milestones": [1, math.nan]}, ValueError, "milestones[1] must be a number >= 0, got nan"),
    ("MultiStep", {"milestones": ["1"]}, TypeError, "milestones[0] must be a number >= 0, got '1'"),
    ("MultiStep", {"milestones": 3}, TypeError, "milestones must be a list of numbers, got 3"),
    ("MultiStep", {"milestones": "12"}, TypeError, "milestones must be a list of numbers, got '12'"),
    ("Piecewise", {"values": [1, 2]}, ValueError, "values must have one element more than boundaries"),
    ("Piecewise", {"boundaries": [50, 20]}, ValueError, "boundaries must be in ascending order, got 20 after 50"),
    ("Piecewise", {"values": [1, 2, math.inf]}, ValueError, "values[2] must be a finite number, got inf"),
    ("Piecewise", {"values": None}, TypeError, "values must be a list of numbers, got None"),
    ("Join", {"schedules": [1, 2]}, ValueError, "schedules must have one element more than boundaries"),
    ("Join", {"schedules": []}, ValueError, "schedules must have one element more than boundaries"),
    ("Join", {"boundaries": [2, 1]}, ValueError, "boundaries must be in ascending order"),
    ("Join", {"schedules": [1, "2", 3]}, TypeError, "schedules[1] must be a Schedule or a finite number, got '2'"),
    ("Join", {"schedules": [1, 2, abs]}, TypeError, "schedules[2] must be a Schedule or a number, got <built-in"),
    ("Join", {"schedules": Constant(1)}, TypeError, "schedules must be a list of schedules, got Constant(1)"),
    ("Interpolate", {"points": []}, ValueError, "points must have at least one pair (t, value)"),
    ("Interpolate", {"points": [(0, 1), (0, 2)]}, ValueError, "points must be in ascending order of t"),
    ("Interpolate", {"points": [(0, 1, 2)]}, ValueError, "points[0] must be a pair (t, value)"),
    ("Interpolate", {"points": [(-1, 1)]}, ValueError, "points[0][0] must be a number >= 0, got -1"),
    ("Interpolate", {"points": [(0, math.nan)]}, ValueError, "points[0][1] must be a finite number, got nan"),
    ("Interpolate", {"points": [0, 1]}, TypeError, "points[0] must be a list of two numbers, got 0"),
    ("Warmup", {"schedule": lambda t: t}, TypeError, "schedule must be a Schedule or a number, got <function"),
    ("Warmup", {"schedule": Constant}, TypeError, "schedule must be a Schedule or a number, got <class"),
    ("Warmup", {"schedule": None}, TypeError, "schedule must be a Schedule or a finite number, got None"),
]


def wrong_arguments() -> list[Any]:
    found = list(SPECIAL)
    for name, schedule in FAMILIES.items():
        for argument in inspect.signature(type(schedule)).parameters:
            kinds = [kind for kind, names in KINDS.items() if argument in names]
            kind = "nonnegative" if (name, argument) == ("WSD", "decay") else kinds[0] if kinds else None
            if kind == "flag":
                found += [
                    (name, {argument: value}, TypeError, f"{argument} must be True or False") for value in (1, "no")
                ]
            elif kind == "choice":
                found += [
                    (name, {argument: "other"}, ValueError, f"{argument} must be one of '"),
                    (name, {argument: 3}, TypeError, f"{argument} must be one of '"),
                ]
            elif kind is not None:
                low = {"positive": [0, -1, -1e-300], "nonnegative": [-1, -1e-300]}.get(kind, [])
                found += [(name, {argument: value}, ValueError, f"{argument} must be ") for value in NOT_FINITE + low]
                found += [(name, {argument: value}, TypeError, f"{argument} must be ") for value in NO_NUMBERS]
                if argument not in OPTIONAL.get(name, "").split():
                    found.append((name, {argument: None}, TypeError, f"{argument} must be "))
    return found


def test_wrong_arguments_are_refused() -> None:
    cases = wrong_arguments()
    assert len(cases) > 800
    for name, changed, kind, message in cases:
        arguments = {**FAMILIES[name]._arguments(), **changed}
        with pytest.raises(kind) as error:
            getattr(schedules, name)(**arguments)
        assert type(error.value) is kind, (name, changed)
        assert str(error.value).startswith(f"{name}: {message}"), str(error.value)


def test_only_the_first_arguments_have_places() -> None:
    for wrong in (
        lambda: schedules.StepDecay(0.1, 30),
        lambda: schedules.Linear(0.1, 0.0, 100),
        lambda: schedules.Cosine(0.1, 0.0, 100),
        lambda: schedules.Cyclic(0.1, 0.2, 100),
        lambda: schedules.Warmup(0.1, 100),
        lambda: schedules.Cosine(0.1),
        lambda: schedules.Cosine(0.1, step=3),
        Constant,
    ):
        with pytest.raises(TypeError):
            wrong()


def test_limits_are_right() -> None:
    """What is just allowed."""
    assert schedules.WSD(0.1, steps=10, warmup=0, decay=10)(0) == 0.1
    assert schedules.WSD(0.1, steps=10, warmup=10, decay=0)(10) == 0
    assert schedules.OneCycle(0.1, steps=1)(0) == 0.1 / 25 / 1e4
    assert schedules.OneCycle(0.1, steps=10, pct_start=0)(0) < 0.1
    assert schedules.OneCycle(0.1, steps=10, pct_start=0.1)(0) == 0.1
    assert schedules.OneCycle(0.1, steps=10, pct_start=1)(9) == 0.1
    assert schedules.Join([0.1, 0.2, 0.3], [0, 0])(0) == 0.3
    assert schedules.Piecewise([0.1], [])(5) == 0.1
    assert schedules.Interpolate([(3, 0.1)])(0) == 0.1
    assert schedules.Clip(0.5, 0.2, 0.2)(0) == 0.2
    assert isinstance(Constant(-1) + 1, Schedule)
