"""`lr_finder`: what it measures, where it ends, and what it refuses."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules
from snapshots import all_of
from sweeps import Quadratic, batches, params, trained


def test_a_sweep_measures_what_a_loop_by_hand_does() -> None:
    opt = trained(lambda p: ac.Adam(p, lr=0.02))
    found = ac.lr_finder(opt, Quadratic(), batches(np.random.default_rng(3)), low=1e-4, high=2.0, steps=60)
    twin = trained(lambda p: ac.Adam(p, lr=0.02))
    arrays = dict(zip(twin.steps, twin.param_groups[0]["params"], strict=True))
    losses, quadratic, noise = [], Quadratic(), batches(np.random.default_rng(3))
    for rate in found.rates:
        loss, grads = quadratic(arrays, next(noise))
        losses.append(loss)
        twin.param_groups[0]["lr"] = float(rate)
        twin.step(grads)
    count = len(losses)
    assert found.losses.tolist() == losses
    expected = [1e-4 * (2.0 / 1e-4) ** (i / 59) for i in range(count)]
    assert found.rates.tolist() == pytest.approx(expected, rel=1e-12)
    weights = [[0.9 ** (n - i) if i <= n else 0.0 for i in range(count)] for n in range(count)]
    smoothed = [np.dot(row, losses) / sum(row) for row in weights]
    assert found.smoothed.tolist() == pytest.approx(smoothed, rel=1e-12)
    assert found.losses.dtype == found.rates.dtype == found.smoothed.dtype == np.float64


def test_it_ends_when_the_smoothed_loss_is_above_four_times_its_minimum() -> None:
    opt, quadratic = ac.SGD(params(), lr=0.1), Quadratic()
    found = ac.lr_finder(opt, quadratic, batches(np.random.default_rng(3)), low=1e-3, high=1e3, steps=200)
    assert found.ended == "rise"
    assert len(found.losses) == quadratic.calls < 200
    risen = found.smoothed > 4 * np.minimum.accumulate(found.smoothed)
    assert risen[-1]
    assert not risen[:-1].any()
    assert ac.lr_finder(opt, Quadratic(), batches(np.random.default_rng(3)), high=1e-3).ended == "high"


@pytest.mark.parametrize("level", [-7.0, 0.0])
def test_losses_may_be_negative(level: float) -> None:
    opt = ac.SGD(params(), lr=0.1)

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        loss, grads = Quadratic()(arrays, noise)
        return loss + level - 0.3, grads

    found = ac.lr_finder(opt, loss_and_grad, batches(np.random.default_rng(3)), low=1e-3, high=1e3)
    assert found.smoothed.min() < 0
    assert found.ended == "rise"
    largest = np.maximum.accumulate(np.abs(found.smoothed))
    assert found.smoothed[-1] > found.smoothed.min() + 3 * largest[-2]
    assert found.suggestion is not None
    assert 1e-3 < found.suggestion < 10


@pytest.mark.parametrize("nonfinite", ["propagate", "skip", "raise"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_it_ends_where_something_is_not_finite(what: str, nonfinite: Any) -> None:
    opt = trained(lambda p: ac.Adam(p, nonfinite=nonfinite))
    before, quadratic = all_of(opt), Quadratic()

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        loss, grads = quadratic(arrays, noise)
        if quadratic.calls >= 40:
            loss, grads = (math.nan, grads) if what == "loss" else (loss, {**grads, "b": grads["b"] * math.inf})
        return loss, grads

    found = ac.lr_finder(opt, loss_and_grad, batches(np.random.default_rng(3)))
    assert np.isfinite(found.losses).all()
    # A step that skips goes on with the next rate, four times in a row.
    skips = what == "gradient" and nonfinite == "skip"
    assert found.ended == "nonfinite"
    assert len(found.losses) == (44 if skips else 39 if what == "loss" else 40)
    assert all_of(opt) == before


@pytest.mark.parametrize("count", [20, 57])
def test_it_ends_with_the_batches(count: int) -> None:
    opt, quadratic = ac.Adam(params()), Quadratic()
    found = ac.lr_finder(opt, quadratic, [0.1] * count)
    assert (found.ended, len(found.rates), quadratic.calls) == ("batches", count, count)


def test_too_few_batches_are_an_error() -> None:
    opt = trained(ac.Adam)
    before = all_of(opt)
    with pytest.raises(ValueError, match="lr_finder: batches gave only 19, but a sweep needs at least 20"):
        ac.lr_finder(opt, Quadratic(), [0.1] * 19)
    assert all_of(opt) == before


def test_groups_keep_the_ratios_of_their_rates() -> None:
    seen = []
    opt = ac.SGD(
        [
            {"params": {"w": np.ones(3)}, "lr": schedules.Linear(0.4, 0.0, steps=4)},
            {"params": {"b": np.ones(2)}, "lr": 0.05},
            {"params": {"frozen": np.ones(2)}, "lr": 0.0},
        ]
    )
    opt.step({"w": np.ones(3), "b": np.ones(2), "frozen": np.ones(2)})  # the first group's rate is 0.3 now
    schedule = opt.param_groups[0]["lr"]

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        seen.append([group["lr"] for group in opt.param_groups])
        return Quadratic()(arrays, noise)

    found = ac.lr_finder(opt, loss_and_grad, batches(np.random.default_rng(1)), high=0.1)
    for rates, rate in zip(seen[1:], found.rates[:-1], strict=True):
        assert rates[0] == rate
        assert rates[1] == pytest.approx(rate * 0.05 / 0.3, rel=1e-12)
        assert rates[2] == 0
    assert opt.param_groups[0]["lr"] is schedule


def test_rates_of_zero_are_swept_alike() -> None:
    """Such as those of a warm-up that begins at 0."""
    opt = ac.SGD([{"params": [np.ones(3)], "lr": schedules.Warmup(0.1, steps=9, start=0.0)}], lr=0.0)
    opt.add_param_group({"params": [np.ones(2)]})
    values = []

    def loss_and_grad(arrays: Any, _: Any) -> tuple[float, Any]:
        values.append([a[0] for a in arrays])
        return 1.0, [np.ones(3), np.ones(2)]

    found = ac.lr_finder(opt, loss_and_grad, [0] * 50, steps=50)
    for one, other in values:
        assert one == other
    assert values[-1][0] == pytest.approx(1 - found.rates[:-1].sum(), rel=1e-12)


def test_schedule_free_is_swept_without_its_own_warm_up() -> None:
    opt, plain = (trained(lambda p, t=t: ac.ScheduleFreeAdamW(p, warmup_steps=t), steps=0) for t in (1000, 0))
    found, expected = (ac.lr_finder(each, Quadratic(), [0.1] * 60, high=0.1) for each in (opt, plain))
    assert found.losses.tolist() == expected.losses.tolist()
    assert opt.param_groups[0]["warmup_steps"] == 1000
    opt.eval()
    with pytest.raises(RuntimeError, match="call train"):
        ac.lr_finder(opt, Quadratic(), [0.1] * 60)


def test_adafactor_is_swept_as_far_as_it_goes() -> None:
    opt = trained(ac.Adafactor, steps=4)
    found = ac.lr_finder(opt, Quadratic(), [0.1] * 100, low=1e-3, high=1.0, steps=50)
    assert found.ended == "limit"
    counts = 4 + 1 + np.arange(50)
    rates = 1e-3 * 1000 ** (np.arange(50) / 49)
    assert len(found.rates) == np.flatnonzero(rates > 1 / np.sqrt(counts))[0]


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"low": 0}, ValueError, "lr_finder: low must be a finite number > 0, got 0"),
    ({"low": math.nan}, ValueError, "lr_finder: low must be a finite number > 0, got nan"),
    ({"low": "1"}, TypeError, "lr_finder: low must be a finite number > 0, got '1'"),
    ({"low": 2}, ValueError, "lr_finder: high must be a finite number > low, which is 2.0, got 1.0"),
    ({"high": math.inf}, ValueError, "lr_finder: high must be a finite number > low, which is 1e-06, got inf"),
    ({"steps": 19}, ValueError, "lr_finder: steps must be an int >= 20, got 19"),
    ({"steps": 50.0}, TypeError, "lr_finder: steps must be an int >= 20, got 50.0"),
    ({"loss_and_grad": 3}, TypeError, "lr_finder: loss_and_grad must be a function"),
    ({"batches": 3}, TypeError, "lr_finder: batches must be an iterable, got 3"),
    ({"rngs": np.random.default_rng(1)}, TypeError, "lr_finder: rngs must be a list of random generators"),
    ({"rngs": [5]}, TypeError, r"lr_finder: rngs\[0\] must be a random generator .*, got 5"),
    ({"rngs": [random.SystemRandom()]}, TypeError, r"lr_finder: rngs\[0\] must be a random generator with a state"),
    ({"loss_and_grad": lambda *_: 1.0}, TypeError, r"lr_finder: loss_and_grad must return \(loss, grads\), got 1.0"),
    ({"loss_and_grad": lambda p, _: ("x", p)}, TypeError, "lr_finder: the loss must be a number, got 'x'"),
    ({"loss_and_grad": lambda *_: (1.0, None)}, TypeError, r"lr_finder: loss_and_grad must return \(loss, grads\)"),
]


@pytest.mark.parametrize(("changed", "error", "message"), BAD, ids=[bad[-1] for bad in BAD])
def test_bad_arguments(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    opt = trained(ac.Adam)
    before = all_of(opt)
    arguments = {"loss_and_grad": Quadratic(), "batches": [0.1] * 100, **changed}
    with pytest.raises(error, match=message):
        ac.lr_finder(opt, arguments.pop("loss_and_grad"), arguments.pop("batches"), **arguments)
    assert all_of(opt) == before


def test_optimizers_that_cannot_be_swept() -> None:
    with pytest.raises(TypeError, match="lr_finder: opt must be an optimizer, got 3"):
        ac.lr_finder(3, Quadratic(), [])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="lr_finder: Prodigy estimates the rate itself"):
        ac.lr_finder(ac.Prodigy(params()), Quadratic(), [0.1] * 100)
    opt = ac.SGD(params())
    opt.accumulate(params())
    with pytest.raises(RuntimeError, match="lr_finder: SGD has accumulated gradients"):
        ac.lr_finder(opt, Quadratic(), [0.1] * 100)
    assert opt.accumulated == 1


@pytest.mark.parametrize("structure", ["array", "list", "nested", "pairs", "groups"])
def test_parameters_have_the_structure_in_which_they_were_passed(structure: str) -> None:
    w, b = np.full(3, 2.0), np.full(2, -2.0)
    forms: dict[str, tuple[Any, Any]] = {
        "array": (w, w),
        "list": ([w, b], [w, b]),
        "nested": ({"layer": [w, {"b": b}]}, {"layer": [w, {"b": b}]}),
        "pairs": ([("w", w), ("b", b)], {"w": w, "b": b}),
        "groups": ([{"params": [w]}, {"params": [b], "lr": 0.5}], [w, b]),
    }
    given, expected = forms[structure]
    seen = []

    def loss_and_grad(arrays: Any, _: Any) -> tuple[float, Any]:
        seen.append(arrays)
        value = float(np.square(w).sum() + np.square(b).sum())
        gradients = {id(w): 2 * w, id(b): 2 * b}

        def of(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: of(item) for key, item in node.items()}
            return [of(item) for item in node] if isinstance(node, list) else gradients[id(node)]

        return value, of(arrays)

    ac.lr_finder(ac.SGD(given, lr=0.1), loss_and_grad, [0] * 50)
    assert repr(seen[0]) == repr(expected)
    assert w.tolist() == [2.0] * 3


@pytest.mark.parametrize("loss", [0.3, 0.001, 7.0])
def test_a_constant_loss_does_not_fall(loss: float) -> None:
    w = np.ones(3)
    found = ac.lr_finder(ac.Adam(w), lambda _, __: (loss, np.zeros(3)), [0] * 100)
    assert (found.suggestion, found.valley, found.minimum_tenth) == (None, None, None)


def test_gradients_that_are_never_finite_end_the_sweep() -> None:
    for nonfinite, count in (("propagate", 1), ("skip", 5), ("raise", 1)):
        w = np.ones(3)
        found = ac.lr_finder(ac.Adam(w, nonfinite=nonfinite), lambda _, __: (1.0, np.full(3, np.nan)), [0] * 100)
        assert (found.ended, len(found.rates)) == ("nonfinite", count)
        assert found.suggestion is None


def test_a_loss_that_is_never_finite_is_the_problems_fault() -> None:
    found = ac.lr_finder(ac.Adam(np.ones(3)), lambda p, _: (np.nan, p), [0] * 100)
    assert "not finite at the present weights: look at loss_and_grad" in str(found)
