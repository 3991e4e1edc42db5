"""Where schedules change, and how long they are, as plots need it."""

from __future__ import annotations

import pytest

from adamcore import schedules as s
from adamcore.schedules._breakpoints import _LENGTHS, _POINTS, breakpoints, natural_length


def lowered(*steps):
    plateau = s.ReduceOnPlateau(s.Linear(1.0, 0.5, steps=50), patience=0)
    plateau.observe(1.0, step=0)
    for step in steps:
        plateau.observe(1.0, step=step)
    return plateau


CASES = [
    (s.Constant(1), [], None),
    (s.StepDecay(1, every=30), [30, 60, 90], 120),
    (s.MultiStep(1, [30, 30, 80]), [30, 80], 100),
    (s.MultiStep(1, []), [], None),
    (s.Exponential(1, 0.1, every=50), [0], 50),
    (s.Exponential(1, 0.5, every=30, staircase=True, begin=10), [10, 40, 70, 100], 130),
    (s.Exponential(1, 1.0), [0], None),
    (s.Linear(1, steps=60, begin=20), [20, 80], 80),
    (s.Polynomial(1, steps=60, power=2), [0, 60], 60),
    (s.Cosine(1, steps=40), [40], 40),
    (s.Cosine(1, steps=40, after="mirror"), [40, 80], 160),
    (s.CosineRestarts(1, period=10, mult=2), [10, 30, 70], 150),
    (s.Cyclic(0, 1, up=20), [20, 40, 60, 80, 100], 80),
    (s.Cyclic(0, 1, up=20, down=30), [20, 50, 70, 100], 100),
    (s.OneCycle(1, steps=100), [29, 99], 100),
    (s.OneCycle(1, steps=100, three_phase=True), [29, 58, 99], 100),
    (s.InverseSqrt(1, timescale=10), [], 150),
    (s.InverseTime(1, 0.1), [0], 90),
    (s.InverseTime(1, 0.0), [0], None),
    (s.InverseTime(1, 0.1, every=40, staircase=True), [0, 40, 80], 3600),
    (s.Piecewise([1, 2, 3], [40, 60]), [40, 60], 75),
    (s.Interpolate([(10, 1), (40, 0)]), [10, 40], 40),
    (s.Interpolate([(0, 1)]), [0], None),
    (s.Warmup(s.Cosine(1, steps=60), steps=20), [19, 20, 80], 80),
    (s.Warmup(s.Constant(1), steps=20, start=0), [20], 25),
    (s.WSD(1, steps=90, warmup=10, decay=30), [9, 60, 90], 90),
    (s.WSD(1, steps=90, warmup=0, decay=30), [60, 90], 90),
    (s.Cooldown(s.StepDecay(1, every=25), at=60, steps=30), [25, 50, 60, 90], 90),
    (s.Cooldown(1.0, at=60, steps=30), [60, 90], 90),
    (s.Join([s.StepDecay(1, every=25), s.Linear(1, steps=10)], [60]), [0, 25, 50, 60, 70], 70),
    (s.StepDecay(1, every=30) * s.Cosine(1, steps=50), [30, 50, 60, 90], 120),
    (2 * s.Cosine(1, steps=50) + 1, [50], 50),
    (s.Cosine(1, steps=50).clip(0.1, 0.9), [50], 50),
    (s.Cosine(1, steps=50).shift(30), [30, 80], 80),
    (s.Cosine(1, steps=50).stretch(1.5), [75], 75),
    (s.StepDecay(1, every=2).every(20), [40, 80], 160),
    (lowered(10, 20), [0, 10, 20, 50], 50),
    (lowered(10, 80), [0, 10, 50, 80], 100),
    (s.ReduceOnPlateau(0.1), [], None),
]


@pytest.mark.parametrize(("schedule", "expected", "length"), CASES, ids=lambda x: repr(x)[:60])
def test_breakpoints_and_lengths(schedule, expected, length):
    assert breakpoints(schedule, 100) == expected
    assert natural_length(schedule) == (None if length is None else pytest.approx(length))


def test_every_family_is_known():
    families = {name for name in s.__all__ if name not in {"Schedule", "Plateau", "register"}}
    assert set(_POINTS) == families - {"Constant", "InverseSqrt"}
    assert set(_LENGTHS) == families - {"Constant"}
    assert {type(schedule).__name__ for schedule, _, _ in CASES} == families


def test_a_schedule_of_a_users_class_has_none():
    class Halving(s.Schedule):
        def __call__(self, t):
            return 0.5**t

    assert breakpoints(Halving(), 100) == []
    assert natural_length(Halving()) is None


def test_there_are_at_most_1000():
    assert breakpoints(s.StepDecay(1, every=1), 1e9) == list(range(1, 1001))
