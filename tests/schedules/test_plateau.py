"""`ReduceOnPlateau`: PyTorch's rule, its ledger, and what it refuses. `Plateau` has tests of its own."""

from __future__ import annotations

import copy
import json
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest

import adamcore as ac
from adamcore.schedules import Constant, Cosine, Plateau, ReduceOnPlateau, Schedule, Warmup
from pairs import EXHAUSTIVE

GOLDEN = [1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.5, 0.6, 0.6, 0.6]


def feed(plateau, metrics, begin=0):
    return [plateau.observe(metric, step=begin + i) for i, metric in enumerate(metrics)]


def test_golden_values():
    plateau = ReduceOnPlateau(0.1, patience=2)
    lowered = feed(plateau, GOLDEN, begin=1)
    assert [step for step, was in enumerate(lowered, start=1) if was] == [5, 11]
    values = [plateau(t) for t in range(20)]
    assert values == pytest.approx([0.1] * 5 + [0.01] * 6 + [0.001] * 9, rel=1e-12)
    assert plateau.ledger == ((5, 0.1), (11, 0.1))


def test_the_past_does_not_change():
    plateau = ReduceOnPlateau(0.1, patience=0)
    values = []
    for step in range(10):
        plateau.observe(1.0, step=step)
        values.append(plateau(step))
    assert [plateau(t) for t in range(10)] == values
    assert plateau(np.arange(10)).tolist() == values
    assert plateau(2.5) == values[2]


def draw_settings(rng):
    """Settings and metrics, many of which meet a limit: equal metrics, minima, eps, cooldowns."""
    settings = {
        "mode": rng.choice(["min", "max"]).item(),
        "factor": rng.choice([0.1, 0.5, 1 / 3, 0.9]).item(),
        "patience": int(rng.integers(0, 5)),
        "threshold": rng.choice([0.0, 1e-4, 0.1, 1.0, 2.0]).item(),
        "threshold_mode": rng.choice(["rel", "abs"]).item(),
        "cooldown": int(rng.integers(0, 4)),
        "min_value": rng.choice([0.0, 1e-3, 0.01, 0.2]).item(),
        "eps": rng.choice([0.0, 1e-8, 1e-2]).item(),
    }
    kinds = [
        rng.standard_normal(60),
        1 / (1 + np.arange(60.0)) + 0.05 * rng.random(60),
        rng.integers(0, 3, 60).astype(float),
        np.zeros(60),
        -np.exp(0.1 * np.arange(60.0)),
    ]
    return settings, kinds[rng.integers(len(kinds))].tolist()


@pytest.mark.parametrize("seed", range(40 if EXHAUSTIVE else 5))
def test_it_is_pytorchs_rule_bit_for_bit(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    for _ in range(50):
        settings, metrics = draw_settings(rng)
        start = rng.choice([0.1, 0.3, 1e-7]).item()
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=start)
        renamed = {**settings, "min_lr": settings["min_value"]}
        del renamed["min_value"]
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **renamed)
        ours = ReduceOnPlateau(start, **settings)
        rates = []
        for step, metric in enumerate(metrics):
            before = optimizer.param_groups[0]["lr"]
            theirs.step(metric)
            rates.append(optimizer.param_groups[0]["lr"])
            assert ours.observe(metric, step=step) == (rates[-1] != before)
        assert [ours(step) for step in range(len(metrics))] == rates, settings
        progress = ours._memory["state"].progress
        assert (progress.bad, ours._memory["state"].cooldown) == (theirs.num_bad_epochs, theirs.cooldown_counter)
        assert (
            (math.inf if settings["mode"] == "min" else -math.inf)
            if progress.best is None
            else progress.best == theirs.best
        )


def test_any_schedule_can_be_lowered():
    base = Warmup(Cosine(0.1, 0.0, steps=90), steps=10)
    plateau = ReduceOnPlateau(base, patience=0, factor=0.5)
    feed(plateau, [1.0, 1.0], begin=49)
    assert [plateau(t) for t in range(100)] == [base(t) * (0.5 if t >= 50 else 1) for t in range(100)]
    assert (2 * plateau)(60) == 2 * plateau(60)
    assert plateau.shift(10)(60) == plateau(50)


def test_the_minimum_never_raises_a_schedule():
    base = Cosine(0.1, 0.0, steps=100)
    plateau = ReduceOnPlateau(base, patience=0, min_value=0.03)
    feed(plateau, [1.0] * 3, begin=20)
    values = [plateau(t) for t in range(101)]
    assert values[:21] == [base(t) for t in range(21)]
    assert values[21:] == [min(base(t), 0.03) for t in range(21, 101)]
    assert plateau.ledger == ((21, 0.1),)  # a second time would change nothing


def test_what_would_lower_by_eps_or_less_does_not():
    plateau = ReduceOnPlateau(1e-8, patience=0)
    assert feed(plateau, [1.0] * 5) == [False] * 5
    assert plateau.ledger == ()


def test_a_detector_lowers_on_a_plateau_and_begins_anew():
    plateau = ReduceOnPlateau(0.1, detector=Plateau(10, 0.02), cooldown=3, patience=0)
    falling = [1 - 0.01 * i for i in range(30)]
    assert not any(feed(plateau, falling))
    flat = feed(plateau, [0.7] * 60, begin=30)
    lowered = [step for step, was in enumerate(flat) if was]
    assert lowered[0] < 10
    # It then ignores 3 metrics and needs a whole window.
    assert [after - before for before, after in pairwise(lowered)] == [13] * (len(lowered) - 1)
    assert len(lowered) > 3


def test_a_detector_of_rising_metrics():
    plateau = ReduceOnPlateau(0.1, mode="max", detector=Plateau(10))
    assert not any(feed(plateau, [0.5 + 0.01 * i for i in range(30)]))
    assert any(feed(plateau, [0.8] * 12, begin=30))


@pytest.mark.parametrize("detector", [None, Plateau(5, 0.1)])
def test_a_resumed_schedule_goes_on_as_if_unbroken(detector):
    rng = np.random.default_rng(0)
    metrics = (1 / (1 + np.arange(60.0)) + 0.05 * rng.random(60)).tolist()
    make = lambda: ReduceOnPlateau(0.1, patience=3, cooldown=2, detector=detector)  # noqa: E731
    whole = make()
    expected = feed(whole, metrics)
    assert sum(expected) >= 2
    for cut in (0, 1, 4, 17, 30, 59):
        first = make()
        before = feed(first, metrics[:cut])
        saved = json.loads(json.dumps(first.to_dict()))
        for twin in (
            Schedule.from_dict(saved),
            pickle.loads(pickle.dumps(first)),  # noqa: S301
            copy.deepcopy(first),
            copy.copy(first),
        ):
            assert twin == first
            assert before + feed(twin, metrics[cut:], begin=cut) == expected
            assert twin.to_dict() == whole.to_dict()
            assert [twin(t) for t in range(70)] == [whole(t) for t in range(70)]
        assert first.to_dict() == saved, "copies share no state"


def test_nested_schedules_keep_their_state_in_the_dict():
    plateau = ReduceOnPlateau(0.1, patience=0)
    nested = Warmup(plateau, steps=5)
    feed(plateau, [1.0, 1.0])
    again = Schedule.from_dict(json.loads(json.dumps(nested.to_dict())))
    assert [again(t) for t in range(10)] == [nested(t) for t in range(10)]
    assert again(8) == pytest.approx(0.01)


def test_equality_is_that_of_the_arguments():
    one, other = ReduceOnPlateau(0.1, detector=Plateau()), ReduceOnPlateau(0.1, detector=Plateau(20, 0.02))
    feed(one, [1.0] * 50)
    assert one.ledger
    assert one == other
    assert hash(one) == hash(other)
    assert one != ReduceOnPlateau(0.1)
    assert one != ReduceOnPlateau(Constant(0.1), detector=Plateau())
    assert eval(repr(one)) == one  # noqa: S307
    assert repr(ReduceOnPlateau(0.1, patience=3)) == "ReduceOnPlateau(0.1, patience=3)"


def test_attributes_are_read_only():
    plateau = ReduceOnPlateau(0.1)
    for name in ("patience", "ledger", "schedule_or_value"):
        with pytest.raises(AttributeError):
            setattr(plateau, name, 3)


def test_a_metric_that_is_not_finite_can_be_ignored():
    plateau = ReduceOnPlateau(0.1, patience=0, on_nan="ignore")
    feed(plateau, [1.0, 0.5])
    before = plateau.to_dict()
    for metric in (math.nan, math.inf, -math.inf):
        assert not plateau.observe(metric, step=5)
    assert plateau.to_dict() == before
    with pytest.raises(ValueError, match="step must not be before the last one, 1, got 0"):
        plateau.observe(math.nan, step=0)


def test_metrics_and_steps_may_be_any_number():
    plateau = ReduceOnPlateau(0.1, patience=0)
    for step, metric in ((0, 3), (np.int64(1), np.float32(3)), (np.float64(1.5), np.array(3.0))):
        plateau.observe(metric, step=step)
    assert plateau.ledger == ((1, 0.1), (1.5, 0.1))
    assert (plateau(1.25), plateau(1.75)) == (0.1 * 0.1, 0.1 * 0.1 * 0.1)


def test_metrics_may_be_scalars_of_torch():
    torch = pytest.importorskip("torch")
    plateau = ReduceOnPlateau(0.1)
    plateau.observe(torch.tensor(0.5, requires_grad=True).detach(), step=torch.tensor(3))
    assert plateau._memory["state"].progress.best == 0.5


@pytest.mark.parametrize(
    ("metric", "step", "error", "message"),
    [
        (math.nan, 5, ValueError, 'metric must be finite, got nan; on_nan="ignore" skips such metrics'),
        (math.inf, 5, ValueError, "metric must be finite, got inf"),
        ("0.5", 5, TypeError, "metric must be a number, got '0.5'"),
        (np.ones(1), 5, TypeError, "metric must be a number, got "),
        (False, 5, TypeError, "metric must be a number, got False"),
        (1j, 5, TypeError, "metric must be a number, got 1j"),
        (0.5, 1, ValueError, "step must not be before the last one, 2, got 1"),
        (0.5, -1, ValueError, "step must be a number >= 0, got -1"),
        (0.5, math.inf, ValueError, "step must be a number >= 0, got inf"),
        (0.5, None, TypeError, "step must be a number >= 0, got None"),
    ],
)
def test_a_bad_metric_changes_nothing(metric, step, error, message):
    plateau = ReduceOnPlateau(0.1, patience=1)
    feed(plateau, [1.0, 1.0, 1.0])
    before = plateau.to_dict()
    with pytest.raises(error) as caught:
        plateau.observe(metric, step=step)
    assert str(caught.value).startswith(f"ReduceOnPlateau: {message}")
    assert plateau.to_dict() == before


def test_a_base_that_raises_changes_nothing():
    class Failing(Schedule):
        def __call__(self, _):
            raise RuntimeError("no value")

    plateau = ReduceOnPlateau(Failing(), patience=0)
    plateau.observe(1.0, step=0)
    before = plateau._memory["state"]
    with pytest.raises(RuntimeError, match="no value"):
        plateau.observe(1.0, step=1)
    assert plateau._memory["state"] == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedule_or_value": "0.1"}, TypeError, "schedule_or_value must be a Schedule or a finite number"),
        ({"schedule_or_value": math.nan}, ValueError, "schedule_or_value must be a Schedule or a finite number"),
        ({"schedule_or_value": lambda t: t}, TypeError, "schedule_or_value must be a Schedule or a number"),
        ({"mode": "low"}, ValueError, "mode must be one of 'min', 'max', got 'low'"),
        ({"factor": 1.0}, ValueError, "factor must be a number > 0 and < 1, got 1.0"),
        ({"factor": 0}, ValueError, "factor must be a number > 0 and < 1, got 0"),
        ({"factor": math.nan}, ValueError, "factor must be a number > 0 and < 1, got nan"),
        ({"factor": "0.1"}, TypeError, "factor must be a number > 0 and < 1, got '0.1'"),
        ({"patience": -1}, ValueError, "patience must be an int >= 0, got -1"),
        ({"patience": 1.5}, TypeError, "patience must be an int >= 0, got 1.5"),
        ({"patience": True}, TypeError, "patience must be an int >= 0, got True"),
        ({"threshold": -1e-4}, ValueError, "threshold must be a number >= 0, got -0.0001"),
        ({"threshold": math.inf}, ValueError, "threshold must be a number >= 0, got inf"),
        ({"threshold_mode": "relative"}, ValueError, "threshold_mode must be one of 'rel', 'abs', got 'relative'"),
        ({"cooldown": -1}, ValueError, "cooldown must be an int >= 0, got -1"),
        ({"min_value": -0.1}, ValueError, "min_value must be a number >= 0, got -0.1"),
        ({"min_value": [0.1]}, TypeError, "min_value must be a number >= 0, got [0.1]"),
        ({"eps": -1}, ValueError, "eps must be a number >= 0, got -1"),
        ({"detector": "plateau"}, TypeError, "detector must be a Plateau or None, got 'plateau'"),
        ({"on_nan": "skip"}, ValueError, "on_nan must be one of 'raise', 'ignore', got 'skip'"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error) as caught:
        ReduceOnPlateau(**{"schedule_or_value": 0.1, **arguments})
    assert str(caught.value).startswith(f"ReduceOnPlateau: {message}")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ledger": 3}, TypeError, "ledger must be a list of pairs (step, factor), got 3"),
        ({"ledger": [[1]]}, TypeError, "ledger must be a list of pairs (step, factor), got a list of 1"),
        ({"ledger": [[2, 0.1], [1, 0.1]]}, ValueError, "ledger: steps must be in ascending order, got 1 after 2"),
        ({"ledger": [[2, 1.5]]}, ValueError, "ledger: factor must be a number > 0 and < 1, got 1.5"),
        ({"ledger": [[-2, 0.1]]}, ValueError, "ledger: step must be a number >= 0, got -2"),
        ({"ledger": [["2", 0.1]]}, TypeError, "ledger: step must be a number >= 0, got '2'"),
        ({"ledger": [[9, 0.1]]}, ValueError, "step must not be before the last one of the ledger, 9, got 2"),
        ({"step": None}, ValueError, "step must not be before the last one of the ledger, 2, got None"),
        ({"step": math.nan}, ValueError, "step must be a number >= 0, got nan"),
        ({"cooldown": -1}, ValueError, "cooldown must be an int >= 0, got -1"),
        ({"bad": "1"}, TypeError, "bad must be an int >= 0, got '1'"),
        ({"best": math.inf}, ValueError, "best must be a finite number or None, got inf"),
        ({"values": [math.nan]}, ValueError, "values must be finite numbers, got nan"),
        ({"lowered": True}, ValueError, "unknown key 'lowered'"),
    ],
)
def test_a_bad_state_is_refused_by_name(change, error, message):
    plateau = ReduceOnPlateau(0.1, patience=1)
    feed(plateau, [1.0, 1.0, 1.0])
    saved = plateau.to_dict()
    with pytest.raises(error) as caught:
        Schedule.from_dict({**saved, "state": {**saved["state"], **change}})
    assert str(caught.value) == f"ReduceOnPlateau: state: {message}"
    for key in saved["state"]:
        state = {k: v for k, v in saved["state"].items() if k != key}
        with pytest.raises(ValueError, match=f"state: '{key}' is missing"):
            Schedule.from_dict({**saved, "state": state})


def test_a_description_without_state_makes_a_new_one():
    saved = ReduceOnPlateau(0.1).to_dict()
    del saved["state"]
    assert Schedule.from_dict(saved).ledger == ()


@pytest.mark.parametrize("state", [None, 3, (((0, 0.1),),)])
def test_a_memory_that_was_changed_from_outside_is_an_error(state):
    plateau = ReduceOnPlateau(0.1)
    plateau._memory["state"] = state
    with pytest.raises(TypeError, match="the memory of a ReduceOnPlateau was changed from outside"):
        plateau(0)
    del plateau._memory["state"]
    with pytest.raises(TypeError, match="the memory of a ReduceOnPlateau was changed from outside"):
        (2 * plateau)(0)


@pytest.mark.parametrize("detector", [None, Plateau(5, 0.1)])
@pytest.mark.parametrize("cut", [0, 7, 18, 29])
def test_a_resumed_run_has_the_bits_of_the_unbroken_one(detector, cut):
    rng = np.random.default_rng(1)
    metrics = 1 / (1 + np.minimum(np.arange(40), 9)) + 0.02 * rng.random(40)
    grads = rng.standard_normal((40, 3))

    def start(weights):
        rate = Warmup(ReduceOnPlateau(0.1, patience=3, cooldown=1, detector=detector), steps=4)
        return rate, ac.AdamW({"w": weights}, lr=rate)

    def go_on(rate, opt, steps):
        for i in steps:
            opt.step({"w": grads[i]})
            rate.schedule.observe(metrics[i], step=opt.completed)

    expected, weights = np.ones(3), np.ones(3)
    whole_rate, whole = start(expected)
    go_on(whole_rate, whole, range(40))
    assert len(whole_rate.schedule.ledger) >= 2

    first_rate, first = start(weights)
    go_on(first_rate, first, range(cut))
    rate, opt = start(weights)
    opt.load_state_dict(first.state_dict())
    assert opt.param_groups[0]["lr"] is rate, "the user's object goes on"
    go_on(rate, opt, range(cut, 40))
    assert weights.tobytes() == expected.tobytes()
    assert rate.to_dict() == whole_rate.to_dict()
