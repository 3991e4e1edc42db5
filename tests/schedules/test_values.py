"""Values of schedules, and the numbers that they are asked for."""

from __future__ import annotations

import inspect
import math
from fractions import Fraction

import numpy as np
import pytest

from adamcore import _core, schedules
from adamcore.schedules import (
    WSD,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    Interpolate,
    InverseSqrt,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    StepDecay,
    Warmup,
)
from environments import NAMES, environment
from schedule_cases import CASES, TIMES, Formula, peak

GOLDEN = [
    (Cosine(0.1, 0.01, steps=100), {1: 0.0999777952165, 50: 0.055, 99: 0.0100222047835, 150: 0.01}),
    (Cosine(0.1, 0.01, steps=100, after="mirror"), {150: 0.055, 200: 0.1}),
    (
        CosineRestarts(0.1, period=10, mult=2),
        {9: 0.00244717418524, 10: 0.1, 29: 0.000615582970243, 69: 0.000154133313344, 70: 0.1},
    ),
    (Cyclic(0.01, 0.1, up=4, down=6, mode="triangular2"), {4: 0.1, 9: 0.025, 10: 0.01, 14: 0.055, 24: 0.0325}),
    (Cyclic(0.01, 0.1, up=5, mode="exp_range", gamma=0.99), {5: 0.095589104491, 15: 0.0874052519177}),
    (OneCycle(0.1, steps=100), {0: 0.004, 15: 0.0545986676121, 29: 0.1, 60: 0.0589280090286, 99: 4e-7}),
    (
        OneCycle(0.1, steps=100, anneal="linear", three_phase=True),
        {29: 0.1, 58: 0.004, 59: 0.00390244878049, 99: 4e-7},
    ),
    (MultiStep(0.1, [30, 30, 80]), {29: 0.1, 30: 0.001, 80: 0.0001}),
    (
        WSD(0.1, steps=100, warmup=10, decay=20),
        {0: 0.01, **dict.fromkeys(range(9, 81), 0.1), 85: 0.05, 99: 0.00253205655191, 100: 0},
    ),
    (Warmup(InverseSqrt(0.1, timescale=40), steps=40), {0: 0.0025, 39: 0.1, 120: 0.057735026919}),
    (
        Warmup(Cosine(0.1, 0.01, steps=80), steps=20, start=0.0),
        {1: 0.005, 50: 0.0722207544564, 99: 0.0100346933692},
    ),
    (Interpolate([(0, 0.004), (30, 0.1), (100, 4e-7)], "cosine"), {1: 0.00426294902232, 50: 0.081174565395}),
]

each = pytest.mark.parametrize("schedule", [case[0] for case in CASES], ids=str)


def test_golden_numbers() -> None:
    for schedule, wanted in GOLDEN:
        for t, value in wanted.items():
            assert f"{schedule(t):.12g}" == f"{value:.12g}", (schedule, t)


def test_every_family_has_a_case() -> None:
    public = {name for name in schedules.__all__ if inspect.isclass(getattr(schedules, name))}
    others = {"Schedule", "ReduceOnPlateau", "Plateau"}
    assert public - others == {type(schedule).__name__ for schedule, _ in CASES}


@pytest.mark.parametrize(("schedule", "formula"), CASES, ids=[str(case[0]) for case in CASES])
def test_values_are_those_of_the_formula(schedule: Schedule, formula: Formula) -> None:
    for t in TIMES:
        assert abs(schedule(t) - formula(t)) <= 4e-16 * peak(formula), t


@each
def test_arrays_have_the_bits_of_numbers(schedule: Schedule) -> None:
    values = schedule(np.array(TIMES))
    assert values.dtype == np.float64
    assert values.tolist() == [schedule(t) for t in TIMES]
    whole = np.arange(60).reshape(3, 20)
    for dtype in (np.int64, np.uint8, np.float32):
        found = schedule(whole.astype(dtype).T)
        assert found.shape == (20, 3)
        assert found.T.tolist() == [[schedule(int(t)) for t in row] for row in whole]
    assert all(schedule(float(t)) == schedule(int(t)) for t in range(60))
    assert schedule(np.zeros((0, 2))).shape == (0, 2)
    assert schedule(np.array(7)).shape == ()


@each
def test_values_do_not_depend_on_the_floating_point_environment(schedule: Schedule) -> None:
    wanted = [schedule(t) for t in TIMES]
    for name in NAMES:
        with environment(name):
            found = [schedule(t) for t in TIMES]
        assert found == wanted, name


def test_first_and_last_values_are_the_arguments() -> None:
    """Bit for bit, whatever rounding does between them."""
    rng = np.random.default_rng(1)
    for a, b in rng.uniform(0, 1, (200, 2)).tolist():
        for s in (
            Linear(a, b, steps=7),
            Polynomial(a, b, steps=7, power=1.7),
            Cosine(a, b, steps=7),
            Interpolate([(0, a), (7, b)], "cosine"),
            OneCycle(0.3, steps=8, start=a, end=b),
        ):
            assert (s(0), s(7), s(70)) == (a, b, b), s
        assert Warmup(a, steps=3)(2) == Warmup(a, steps=3)(3) == a
        assert WSD(a, steps=9, warmup=3, decay=3)(5) == a
        assert CosineRestarts(a, b, period=5, mult=3)(20) == a


def test_powers_are_accurate() -> None:
    """Within an ulp, however many steps there are; and fractional powers meet the whole ones."""
    for gamma in (0.5, 0.9, 0.999999, 1.00001, 3.0):
        s = Exponential(1.0, gamma)
        for t in (1, 2, 3, 10, 33, 1000, 12345):
            exact = Fraction(gamma) ** t
            if 1e-300 < exact < 1e300:
                assert abs(Fraction(s(t)) / exact - 1) <= 2.0**-52, (gamma, t)
                assert abs(Fraction(s(math.nextafter(t, 0))) / exact - 1) <= (t + 4) * 2.0**-52, (gamma, t)
    halves = StepDecay(1.0, every=1, gamma=0.5)
    assert [halves(1073), halves(1074), halves(1100)] == [1e-323, 5e-324, 0]
    assert [StepDecay(1.0, every=1, gamma=0)(t) for t in (0, 1, 9)] == [1, 0, 0]
    assert Exponential(1.0, 2.0)(5000) == math.inf


@pytest.mark.parametrize("mult", [2, 3, 10, 1.0000001, 1.5])
def test_periods_begin_where_they_should(mult: float) -> None:
    s = CosineRestarts(1.0, period=7, mult=mult)
    for n in range(1, 40):
        begin = 7 * (Fraction(mult) ** n - 1) / (Fraction(mult) - 1)
        if mult**n >= 2**53:
            break
        if isinstance(mult, int):
            assert s(int(begin)) == 1
            assert s(math.nextafter(begin, 0)) < 1e-10
        else:
            assert s(float(begin) * (1 - 1e-13)) == pytest.approx(0, abs=1e-10)
            assert s(float(begin) * (1 + 1e-13)) == pytest.approx(1, abs=1e-10)


def test_long_runs_cost_no_time() -> None:
    assert CosineRestarts(0.1, period=1, mult=1 + 1e-9)(1e9) <= 0.1
    assert CosineRestarts(0.1, period=1e-3)(1e15) <= 0.1
    assert MultiStep(0.1, list(range(10000)), 1.0)(5000) == 0.1


WRONG_TIMES = [-1, -0.5, math.nan, math.inf, 10**400, np.int64(-1), np.array([0, -1]), np.array([np.nan]), -np.ones(())]
WRONG_TYPES = [True, "1", None, [1, 2], 1j, np.bool_(1), np.array([True]), np.array([1, 2], object), np.array(["1"])]


@pytest.mark.parametrize("t", WRONG_TIMES, ids=repr)
def test_times_must_not_be_negative(t: object) -> None:
    with pytest.raises(ValueError, match=r"^Every: t must be .*number.* >= 0.*(got|is) "):
        schedules.Every(Linear(0.1, steps=3), 2)(t)


@pytest.mark.parametrize("t", WRONG_TYPES, ids=repr)
def test_times_must_be_numbers(t: object) -> None:
    with pytest.raises(
        TypeError, match=r"^StepDecay: t must be a number >= 0, or an array of such numbers, got "
    ) as error:
        StepDecay(0.1, every=3)(t)
    if isinstance(t, np.ndarray):
        assert str(error.value).endswith(f" of dtype {t.dtype}")


def test_numbers_of_numpy_give_floats() -> None:
    s = Cosine(0.1, steps=100)
    for t in (np.int32(3), np.uint8(3), np.float32(3), np.float64(3), np.longdouble(3)):
        assert type(s(t)) is float
        assert s(t) == s(3)


def test_the_native_evaluator_is_made_by_the_schedule_alone() -> None:
    with pytest.raises(TypeError):
        _core.Evaluator()
    with pytest.raises(ValueError, match="there is no built-in schedule named 'X'"):
        _core.make_evaluator("X", {})
