"""`EarlyStopping`: when it stops, what it remembers, and what it refuses."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest

import adamcore as ac
from adamcore.schedules import Plateau, ReduceOnPlateau


def feed(stopping, metrics, begin=0):
    return [stopping.observe(metric, step=begin + i) for i, metric in enumerate(metrics)]


def test_it_stops_after_more_than_patience_metrics_without_improvement():
    stopping = ac.EarlyStopping("min", 2)
    assert (stopping.best, stopping.best_step) == (None, None)
    assert feed(stopping, [3, 2, 2, 2.5, 2, 2]) == [False, False, False, False, True, True]
    assert (stopping.best, stopping.best_step) == (2.0, 1)
    assert feed(stopping, [1], begin=9) == [False]
    assert (stopping.best, stopping.best_step) == (1.0, 9)


def test_higher_can_be_better():
    stopping = ac.EarlyStopping("max", 0)
    assert feed(stopping, [0.1, 0.5, 0.5]) == [False, False, True]
    assert (stopping.best, stopping.best_step) == (0.5, 1)


@pytest.mark.parametrize(
    ("mode", "relative", "metrics"),
    [("min", False, [10.0, 9.5, 9.0, 8.9]), ("min", True, [10.0, 9.0, 8.9]), ("max", True, [10.0, 11.0, 11.1])],
)
def test_small_improvements_do_not_count(mode, relative, metrics):
    stopping = ac.EarlyStopping(mode, 10, min_delta=0.1 if relative else 1.0, relative=relative)
    feed(stopping, metrics)
    assert (stopping.best, stopping.best_step) == (metrics[-1], len(metrics) - 1)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_rule_of_reduce_on_plateau(seed):
    rng = np.random.default_rng(seed)
    mode, patience = rng.choice(["min", "max"]).item(), int(rng.integers(0, 6))
    detector = Plateau(8, 0.05) if seed % 2 else None
    stopping = ac.EarlyStopping(mode, patience, 0.01, relative=True, detector=detector)
    plateau = ReduceOnPlateau(1.0, mode=mode, patience=patience, threshold=0.01, detector=detector)
    for step, metric in enumerate(1 / (1 + np.arange(60.0)) + 0.1 * rng.standard_normal(60) + 1):
        stop = stopping.observe(metric, step=step)
        assert stop == plateau.observe(metric, step=step)
        if stop:
            break


def test_a_lucky_value_does_not_mislead_the_detector():
    falling = [1 - 0.01 * i for i in range(40)]
    falling[5] = 0.1
    assert any(feed(ac.EarlyStopping("min", 10), falling))
    assert not any(feed(ac.EarlyStopping("min", 10, detector=Plateau()), falling))
    assert any(feed(ac.EarlyStopping("min", 10, detector=Plateau()), [*falling, *[0.6] * 30]))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("level", [0.0, 1.0, -1.0])
def test_a_relative_delta_is_a_share_of_the_absolute_value(sign, level):
    mode = "min" if sign > 0 else "max"
    stopping = ac.EarlyStopping(mode, patience=2, min_delta=0.1, relative=True)
    noise = [sign * (level + x) for x in (0.05, 0.0, 0.02, 0.01, 0.05)] if level else [0.0] * 5
    assert feed(stopping, noise) == [False, False, False, True, True]
    assert stopping.best == noise[0]
    better = sign * (level - 0.2)
    assert not stopping.observe(better, step=9)
    assert stopping.best == better


def test_the_first_metric_is_an_improvement_whatever_the_delta():
    for mode in ("min", "max"):
        for delta in (0.5, 1.0, 3.0):
            stopping = ac.EarlyStopping(mode, min_delta=delta, relative=True)
            stopping.observe(-2.0, step=4)
            assert (stopping.best, stopping.best_step) == (-2.0, 4)


@pytest.mark.parametrize("detector", [None, Plateau(8)])
def test_a_resumed_run_stops_at_the_same_step(detector):
    rng = np.random.default_rng(0)
    metrics = (1 / (1 + np.arange(40.0)) + 0.1 * rng.random(40)).tolist()
    whole = ac.EarlyStopping("min", 4, detector=detector)
    expected = feed(whole, metrics)
    for cut in (0, 1, 7, 20, 39):
        first = ac.EarlyStopping("min", 4, detector=detector)
        before = feed(first, metrics[:cut])
        resumed = ac.EarlyStopping("min", 4, detector=detector)
        resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
        twins = resumed, copy.deepcopy(first), pickle.loads(pickle.dumps(first))  # noqa: S301
        for twin in twins:
            assert before + feed(twin, metrics[cut:], begin=cut) == expected
            assert twin.state_dict() == whole.state_dict()


def test_metrics_may_be_any_number():
    stopping = ac.EarlyStopping()
    for metric in (3, np.float32(2.5), np.array(2.0), np.int64(1)):
        stopping.observe(metric, step=np.int64(4))
    assert (stopping.best, stopping.best_step) == (1.0, 4)


def test_metrics_may_be_scalars_of_torch():
    torch = pytest.importorskip("torch")
    stopping = ac.EarlyStopping()
    stopping.observe(torch.tensor(0.5, dtype=torch.bfloat16), step=torch.tensor(3))
    assert (stopping.best, stopping.best_step) == (0.5, 3)


@pytest.mark.parametrize(
    ("metric", "step", "error", "message"),
    [
        (math.nan, 5, ValueError, "EarlyStopping: metric must be finite, got nan"),
        (-math.inf, 5, ValueError, "EarlyStopping: metric must be finite, got -inf"),
        ("0.5", 5, TypeError, "EarlyStopping: metric must be a number, got '0.5'"),
        (np.ones(1), 5, TypeError, "EarlyStopping: metric must be a number, got "),
        (True, 5, TypeError, "EarlyStopping: metric must be a number, got True"),
        (None, 5, TypeError, "EarlyStopping: metric must be a number, got None"),
        (0.5, 3, ValueError, "EarlyStopping: step must not be before the last one, 4, got 3"),
        (0.5, -1, ValueError, "EarlyStopping: step must be a number >= 0, got -1"),
        (0.5, math.nan, ValueError, "EarlyStopping: step must be a number >= 0, got nan"),
        (0.5, "5", TypeError, "EarlyStopping: step must be a number >= 0, got '5'"),
    ],
)
def test_a_bad_metric_changes_nothing(metric, step, error, message):
    stopping = ac.EarlyStopping("min", 3, detector=Plateau(4))
    feed(stopping, [3, 2, 2.5, 2.5, 2.5])
    before = stopping.state_dict()
    with pytest.raises(error) as caught:
        stopping.observe(metric, step=step)
    assert str(caught.value).startswith(message)
    assert stopping.state_dict() == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mode": "low"}, ValueError, "EarlyStopping: mode must be one of 'min', 'max', got 'low'"),
        ({"mode": 1}, TypeError, "EarlyStopping: mode must be one of 'min', 'max', got 1"),
        ({"patience": -1}, ValueError, "EarlyStopping: patience must be an int >= 0, got -1"),
        ({"patience": 2.5}, TypeError, "EarlyStopping: patience must be an int >= 0, got 2.5"),
        ({"min_delta": -0.1}, ValueError, "EarlyStopping: min_delta must be a number >= 0, got -0.1"),
        ({"min_delta": math.nan}, ValueError, "EarlyStopping: min_delta must be a number >= 0, got nan"),
        ({"relative": "yes"}, TypeError, "EarlyStopping: relative must be True or False, got 'yes'"),
        ({"detector": 20}, TypeError, "EarlyStopping: detector must be a Plateau or None, got 20"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error) as caught:
        ac.EarlyStopping(**arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mode": "max"}, ValueError, "mode is 'max', but this object's mode is 'min'"),
        ({"bad": -1}, ValueError, "bad must be an int >= 0, got -1"),
        ({"bad": 0.5}, TypeError, "bad must be an int >= 0, got 0.5"),
        ({"best": math.nan}, ValueError, "best must be a finite number or None, got nan"),
        ({"best": None}, ValueError, "best and best_step must both be None or both be numbers"),
        ({"best_step": 7}, ValueError, "best_step must not be after step, 2, got 7"),
        ({"step": None}, ValueError, "best_step must not be after step, None, got 1"),
        ({"values": 3}, TypeError, "values must be a list of numbers, got 3"),
        ({"values": [1.0, math.inf]}, ValueError, "values must be finite numbers, got inf"),
        ({"values": ["1"]}, TypeError, "values must be finite numbers, got '1'"),
        ({"more": 1}, ValueError, "unknown key 'more'"),
    ],
)
def test_a_bad_state_changes_nothing(change, error, message):
    stopping = ac.EarlyStopping("min", 3, detector=Plateau(4))
    feed(stopping, [3, 2, 2.5])
    before = stopping.state_dict()
    with pytest.raises(error) as caught:
        stopping.load_state_dict({**before, **change})
    assert str(caught.value) == f"EarlyStopping: state_dict: {message}"
    for key in before:
        with pytest.raises(ValueError, match=f"state_dict: '{key}' is missing"):
            stopping.load_state_dict({k: v for k, v in before.items() if k != key})
    with pytest.raises(TypeError, match="state_dict must be a dict, got None"):
        stopping.load_state_dict(None)
    assert stopping.state_dict() == before


def test_repr_makes_an_equal_one():
    stopping = ac.EarlyStopping("max", 3, 0.5, relative=True, detector=Plateau(30))
    again = eval(repr(stopping), {"EarlyStopping": ac.EarlyStopping, "Plateau": Plateau})  # noqa: S307
    assert repr(again) == repr(stopping)
