"""Which runs of `compare` count as diverged, and which do not."""

from __future__ import annotations

import gc
import math
import weakref
from functools import partial

import numpy as np
import pytest

import adamcore as ac
from adamcore.training.comparing.health import has_diverged
from small_problems import Line


def sgd(lr, **options):
    return partial(ac.SGD, lr=lr, **options)


def compare(problem, rules, steps=50, **options):
    found = ac.compare(problem, rules, steps=steps, progress=None, **options)
    found.to_json()  # which takes no numbers that are not finite
    return found


@pytest.mark.parametrize("length", [7, 8, 12, 16, 20, 31, 32, 40, 64, 95, 96, 128, 300])
@pytest.mark.parametrize("noise", ["standard_normal", "standard_exponential", "standard_cauchy"])
def test_noise_alone_does_not_diverge(length, noise):
    rng = np.random.default_rng(7)
    wrong = sum(has_diverged(abs(getattr(rng, noise)(length)).tolist()) for _ in range(1000))
    assert wrong <= 5


STEPS = np.arange(200)
NOISE = 0.02 * np.random.default_rng(0).standard_normal(200)


@pytest.mark.parametrize(
    ("losses", "validations"),
    [
        (1 + 5 * np.exp(-((STEPS - 40) ** 2) / 300) - STEPS / 1000, []),  # up and down again
        (1 + STEPS / 100, [1.0, 0.5, 0.2]),  # batches that become harder
        (np.exp(-STEPS / 30), [1.0, 0.5, 0.4, 0.8, 1.5]),  # learns its data by heart
        (1 + 10 * NOISE, [1e-6, 3e-6, 5e-6]),  # was almost perfect
        (np.zeros(200), [0.0, 0.0]),
        (-1 - STEPS / 100, [-1.0, -2.0]),
        (1e-9 * NOISE, [-1e-9, 1e-9]),
    ],
)
def test_runs_that_are_well(losses, validations):
    assert not has_diverged((losses + NOISE / 10).tolist(), validations)


@pytest.mark.parametrize(
    ("losses", "validations", "growth"),
    [
        (1 + STEPS / 100, [], 1),
        (1 + STEPS / 100, [1.0, 1.05], 1),
        (np.where(STEPS < 3, 1.0, 2.0), [], 1),
        (-2 + STEPS / 100, [-2.0, -1.0], 1),
        (np.where(STEPS < 1, 1.0, 50 - STEPS / 10), [1.0, 60.0, 50.0], 1),  # jumps, and falls not far enough
        (1000 * np.where(STEPS < 1, 1e-3, 1 + np.sin(STEPS) / 2), [], 100),
        (np.ones(200), [1.0, 2.0], 1),
    ],
)
def test_runs_that_are_not(losses, validations, growth):
    assert has_diverged((losses + NOISE / 10).tolist(), validations, growth)


def test_a_few_steps_that_explode():
    found = compare(Line(validates=False), {"wild": sgd(1e6)}, steps=4)
    assert found.rows[0]["diverged"] == 3


def test_weights_that_are_not_finite_after_the_last_step():
    class Steep(Line):
        def loss_and_grad(self, params, batch):
            loss, grads = super().loss_and_grad(params, batch)
            return loss, {name: 1e6 * grad for name, grad in grads.items()}

    found = compare(Steep(validates=False), {"wild": sgd(1e308)}, steps=1)
    assert found.rows[0]["diverged"] == 3


class Checked(Line):
    """Raises an error, as users do, where the loss is not finite."""

    error = FloatingPointError

    def loss_and_grad(self, params, batch):
        loss, grads = super().loss_and_grad(params, batch)
        if not math.isfinite(loss):
            raise self.error("loss is not finite")
        return loss, grads


@pytest.mark.parametrize("error", [FloatingPointError, AssertionError, RuntimeError, ValueError, OverflowError])
@pytest.mark.parametrize("lr", [10.0, 1e155])
def test_errors_of_problems_whose_numbers_are_too_large_are_warnings(error, lr):
    problem = Checked(validates=False)
    problem.error = error
    found = compare(problem, {"wild": sgd(lr), "well": sgd(0.1)}, steps=400)
    assert [row["diverged"] for row in found.rows] == [0, 3]
    assert f"wild: the problem raised an error in a run that diverged, with seed 0: {error.__name__}: loss is not" in (
        "".join(found.warnings)
    )


def test_errors_of_evaluate_when_its_numbers_are_too_large():
    class Strict(Line):
        def _evaluate(self, params):
            if not abs(params["w"]).max() < 1e100:
                raise ValueError("Input contains NaN")
            return super()._evaluate(params)

    for steps in (1, 50):
        assert compare(Strict(), {"wild": sgd(1e155)}, steps=steps).rows[0]["diverged"] == 3


@pytest.mark.parametrize("error", [ValueError, ZeroDivisionError, RuntimeError, AssertionError, KeyError, MemoryError])
def test_errors_in_a_run_that_is_well_are_raised_and_say_where(error):
    class Late(Line):
        def loss_and_grad(self, params, batch):
            if len(self.seen) == 20:
                raise error("a mistake")
            return super().loss_and_grad(params, batch)

    with pytest.raises(error, match="a mistake") as raised:
        compare(Late(), {"one": sgd(0.1), "two": sgd(0.01)})
    notes = getattr(raised.value, "__notes__", ["in ac.compare: rule 'one', seed 0"])
    assert notes[0].startswith("in ac.compare: rule '")


@pytest.mark.parametrize("places", [range(5), [3, 17], [60]])
def test_validations_that_are_not_finite_for_a_while(places):
    class Holes(Line):
        def _evaluate(self, params):
            self.asked = getattr(self, "asked", -2) + 1
            return {"val_loss": math.nan} if self.asked % 41 in places else super()._evaluate(params)

    found = compare(Holes(), {"SGD": sgd(0.1)}, steps=40)
    assert found.rows[0]["diverged"] == 0
    assert found.to_dict()["target"] is not None
    found.to_html()


def test_a_skipped_step_at_the_end_is_no_divergence():
    class Spike(Line):
        def loss_and_grad(self, params, batch):
            loss, grads = super().loss_and_grad(params, batch)
            return (
                (math.nan, {k: g * math.nan for k, g in grads.items()}) if len(self.seen) % 50 == 0 else (loss, grads)
            )

    found = compare(Spike(validates=False), {"SGD": sgd(0.1, nonfinite="skip")})
    assert found.rows[0]["diverged"] == 0
    assert found.rows[0]["final_median"] < 0.1


def test_the_fewest_divergences_count_where_no_rule_is_well_in_most_seeds():
    class Unlucky(Line):
        def init(self, rng):
            return super().init(rng) | {"lost": np.array([float(rng.random() < 0.5)])}

        def loss_and_grad(self, params, batch):
            loss, grads = super().loss_and_grad(params, batch)
            return (math.nan if params["lost"][0] else loss), grads | {"lost": np.zeros(1)}

    lost = [np.random.default_rng(seed) for seed in range(4)]
    assert [rng.standard_normal(3) is not None and rng.random() < 0.5 for rng in lost] == [True, False, True, False]
    found = compare(Unlucky(), {"never": sgd(1e300), "at times": [sgd(1e300), sgd(0.1)]}, seeds=4)
    assert [(row["rule"], row["lr"], row["diverged"]) for row in found.rows] == [
        ("at times", 0.1, 2),
        ("never", 1e300, 4),
    ]
    assert found.verdict == "no rule is best: every rule diverged in half of the seeds or more"


def test_runs_of_earlier_seeds_are_forgotten():
    class Watched(Line):
        def __init__(self):
            super().__init__()
            self.known, self.alive = [], []

        def init(self, rng):
            gc.collect()
            self.alive.append(sum(array() is not None for array in self.known))
            params = super().init(rng)
            self.known.append(weakref.ref(params["w"]))
            return params

    problem = Watched()
    compare(problem, {"one": sgd(0.1), "two": partial(ac.Adam, lr=0.1), "lost": sgd(1e300)}, steps=9)
    assert problem.alive[1:] == [0, 1, 2] * 3
