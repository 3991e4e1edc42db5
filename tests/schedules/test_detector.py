"""`Plateau`: its interval, its verdicts, and what it refuses."""

from __future__ import annotations

import copy
import json
import math
import pickle
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from adamcore import _core
from adamcore.schedules import Plateau
from adamcore.schedules import _detector as detector

PLAIN = Plateau().to_dict()


def exact_interval(values):
    """Kendall's interval of 90%, in exact fractions."""
    count = len(values)
    exact = [Fraction(v) for v in values]
    slopes = sorted((exact[j] - exact[i]) / (j - i) for i in range(count) for j in range(i + 1, count))
    spread = 1.645 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    place = math.floor((len(slopes) - spread) / 2)
    return slopes[place], slopes[len(slopes) - 1 - place]


def test_the_places_of_16_blocks_are_41_and_78_of_120():
    assert detector.place_of(16) == 41
    values = np.random.default_rng(0).standard_normal(16)
    slopes = sorted((values[j] - values[i]) / (j - i) for j in range(16) for i in range(j))
    assert _core.slope_interval(values.tolist(), 41) == (slopes[41], slopes[78])


@pytest.mark.parametrize("count", [4, 5, 16, 20, 31])
def test_the_interval_is_kendalls(count):
    rng = np.random.default_rng(count)
    for _ in range(20):
        values = rng.standard_normal(count).tolist()
        assert _core.slope_interval(values, detector.place_of(count)) == pytest.approx(
            tuple(map(float, exact_interval(values))), rel=1e-13
        )


@pytest.mark.parametrize("length", [32, 33, 40, 80, 256, 1000])
def test_long_windows_are_16_medians(length):
    values = np.random.default_rng(0).standard_normal(length).tolist()
    blocks = detector.block_medians(values)
    edges = [length * i // 16 for i in range(17)]
    assert blocks == [float(np.median(values[a:b])) for a, b in pairwise(edges)]


def test_windows_below_32_are_single_values():
    values = [float(i) for i in range(31)]
    assert detector.block_medians(values) == values


def line(fall, length=20, level=1.0):
    """Values that fall by `fall` in `length` values, and end near `level`."""
    return [level + fall * (length - i) / length for i in range(length)]


def test_tol_is_the_improvement_in_a_window_relative_to_the_level():
    for level in (1.0, 1e-9, 1e9):
        assert Plateau(20, 0.02).judge(line(0.019 * level, level=level)) == "flat"
        assert Plateau(20, 0.02).judge(line(0.022 * level, level=level)) == "improving"


def test_rising_values_are_flat():
    assert Plateau().judge(line(-0.5)) == "flat"


def test_the_level_of_negative_values_is_their_size():
    assert Plateau().judge([-1 - 0.01 * i for i in range(20)]) == "improving"
    assert Plateau().judge([-1 + 0.0001 * i for i in range(20)]) == "flat"


def test_values_near_zero_need_a_scale():
    values = [0.01 - 0.0005 * i for i in range(20)]
    assert Plateau().judge(values) == "improving"
    assert Plateau(scale=1.0).judge(values) == "flat"


def test_zeros_are_flat():
    assert Plateau().judge([0.0] * 20) == "flat"


def test_fewer_values_than_a_window_are_undecided():
    assert Plateau().judge([1.0] * 19) == "undecided"
    assert Plateau().judge([]) == "undecided"


def test_only_the_last_values_count():
    assert Plateau().judge([*line(5.0, 100), *[1.0] * 20]) == "flat"


def test_undecided_looks_at_twice_as_many():
    rng = np.random.default_rng(0)
    noisy = (1 + 0.05 * rng.standard_normal(80)).tolist()
    wide = [Plateau(20, 0.02, max_window=most).judge(noisy) for most in (20, 40, 80)]
    assert wide == ["undecided", "undecided", "flat"]
    assert Plateau(20, 0.02).judge(noisy[1:]) == "undecided"  # 79 values have no window of 80


def test_tol_stays_that_of_a_window_when_it_doubles():
    # 0.015 in 20 values is less than tol, 0.06 in 80 is more.
    values = [1 - 0.015 * i / 20 for i in range(80)]
    assert detector.Plateau(20, 0.02)._judge_window(values) == "flat"


def test_arrays_and_lists_have_the_same_verdicts():
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = 1 + 0.03 * rng.standard_normal(80) - np.linspace(0, 0.1, 80)
        assert Plateau().judge(values.tolist()) == Plateau().judge(values)


def test_huge_values_raise_no_warning():
    assert Plateau().judge([1e308, -1e308] * 40) in {"flat", "improving", "undecided"}


def test_it_is_a_value():
    test = Plateau(30, 0.01, scale=2.0)
    assert test == Plateau(window=30, tol=0.01, scale=2.0)
    assert repr(test) == "Plateau(30, 0.01, scale=2.0)"
    assert hash(test) == hash(Plateau(np.int64(30), np.float64(0.01), scale=2))
    assert test != Plateau(30, 0.01)
    assert Plateau(max_window=80) != Plateau()
    assert eval(repr(test)) == test  # noqa: S307
    assert pickle.loads(pickle.dumps(test)) == copy.deepcopy(test) == test  # noqa: S301
    assert Plateau.from_dict(json.loads(json.dumps(test.to_dict()))) == test
    with pytest.raises(AttributeError):
        test.window = 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"window": 3}, ValueError, "Plateau: window must be an int >= 4, got 3"),
        ({"window": 20.0}, TypeError, "Plateau: window must be an int >= 4, got 20.0"),
        ({"window": True}, TypeError, "Plateau: window"),
        ({"tol": 0}, ValueError, "Plateau: tol must be a number > 0, got 0"),
        ({"tol": -0.1}, ValueError, "Plateau: tol"),
        ({"tol": math.nan}, ValueError, "Plateau: tol"),
        ({"tol": math.inf}, ValueError, "Plateau: tol"),
        ({"tol": "2%"}, TypeError, "Plateau: tol"),
        ({"max_window": 10}, ValueError, "Plateau: max_window must be an int >= window, which is 20, got 10"),
        ({"scale": 0.0}, ValueError, "Plateau: scale must be a number > 0, got 0.0"),
        ({"scale": [1.0]}, TypeError, "Plateau: scale"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error) as caught:
        Plateau(**arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("saved", "error", "message"),
    [
        ([], TypeError, "must be a dict"),
        ({"window": 20}, ValueError, "as 'type', got None"),
        ({"type": "Constant", "value": 1}, ValueError, "Constant is no Plateau"),
        ({**PLAIN, "windows": 20}, ValueError, "Plateau: there is no argument 'windows'; did you mean 'window'?"),
        ({**PLAIN, "tol": -1}, ValueError, "Plateau: tol must be a number > 0"),
    ],
)
def test_bad_dicts_are_refused(saved, error, message):
    with pytest.raises(error, match=message.replace("?", r"\?")):
        Plateau.from_dict(saved)
