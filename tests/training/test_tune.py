"""`tune`: trials are runs of `fit`, those that look bad end early, and the same seed gives the same bits."""

from __future__ import annotations

import json
import math
import sys
from functools import partial
from statistics import fmean, median

import numpy as np
import optuna
import pytest

import adamcore as ac
from small_problems import Line

STEPS = 54
RUNGS = (2, 6)


def tune(problem=None, rule=ac.AdamW, *, steps=STEPS, trials=20, **options):
    return ac.tune(problem or Line(), rule, steps=steps, trials=trials, progress=None, **options)


def fitted(numbers, steps=STEPS, seed=0, rule=ac.AdamW, problem=None, metric="val_loss"):
    """The metric of a run of `fit`, which knows nothing of tuning."""
    run = ac.fit(
        problem or Line(), partial(rule, **numbers), steps=steps, seed=seed, validate_every=steps, progress=None
    )
    return run.history[metric][-1]


@pytest.fixture(scope="module")
def tuning():
    return tune(seed=3)


def test_values_are_those_of_fit_bit_for_bit(tuning):
    assert {trial["state"] for trial in tuning.trials} == {"complete", "pruned"}
    for trial in tuning.trials:
        assert trial["value"] == fitted(trial["numbers"], trial["steps"], seed=3)
    best = min((trial for trial in tuning.trials if trial["state"] == "complete"), key=lambda trial: trial["value"])
    assert (tuning.best, tuning.best_value) == (best["numbers"], best["value"])
    assert isinstance(tuning.best["betas"], tuple)
    ac.AdamW(np.zeros(3), **tuning.best)


def test_the_best_third_at_each_rung_goes_on(tuning):
    """Asynchronous successive halving, as its paper has it, and with Optuna's rounding: at least one goes on."""
    seen = {rung: [] for rung in RUNGS}
    for trial in tuning.trials:
        reached = STEPS
        for rung in RUNGS:
            value = fitted(trial["numbers"], rung, seed=3)
            seen[rung].append(value)
            kept = max(len(seen[rung]) // 3, 1)
            if value > sorted(seen[rung])[kept - 1]:
                reached = rung
                break
        assert trial["steps"] == reached
        assert trial["state"] == ("complete" if reached == STEPS else "pruned")
    assert tuning.steps == sum(trial["steps"] for trial in tuning.trials)
    assert tuning.steps < 0.5 * STEPS * len(tuning.trials)


def test_the_first_trial_has_the_defaults_of_the_rule(tuning):
    assert tuning.trials[0]["numbers"] == {"lr": 0.001, "betas": (0.9, 0.999)}
    assert tune(rule=ac.SGD, trials=1).trials[0]["numbers"] == {"lr": 0.001, "momentum": 0.5}
    bound = partial(ac.AdamW, betas=(0.8, 0.99))
    assert tune(rule=bound, trials=1, space={"eps": True}).trials[0]["numbers"] == {"lr": 0.001, "eps": 1e-8}


def test_the_same_seed_gives_the_same_bits(tuning):
    assert tune(seed=3).to_json() == tuning.to_json()
    assert tune(seed=4).trials[5]["numbers"] != tuning.trials[5]["numbers"]
    # The first trials do not depend on how many there will be.
    assert tune(seed=3, trials=15).trials == tuning.trials[:15]


def test_the_search_comes_closer_than_its_random_beginning():
    first, last = [], []
    for seed in range(3):
        found = tune(seed=seed, trials=40, pruner=None, steps=30)
        assert all(trial["state"] == "complete" for trial in found.trials)
        assert found.steps == 30 * 40
        first += [trial["value"] for trial in found.trials[:10]]
        last += [trial["value"] for trial in found.trials[-15:]]
    assert median(last) < 0.3 * median(first)


def test_values_are_means_over_seeds():
    found = tune(seeds=3, seed=5, trials=12)
    assert {trial["state"] for trial in found.trials} == {"complete", "pruned"}
    for trial in found.trials:
        assert trial["steps"] % 3 == 0
        values = [fitted(trial["numbers"], trial["steps"] // 3, seed) for seed in (5, 6, 7)]
        assert trial["value"] == fmean(values)


def test_without_validations_the_last_tenth_of_the_losses_decides():
    problem = Line(validates=False)
    for trial in tune(problem, trials=12).trials:
        run = ac.fit(
            problem, partial(ac.AdamW, **trial["numbers"]), steps=trial["steps"], progress=None, validate_every=1000
        )
        assert trial["value"] == median(run.history["loss"][-math.ceil(trial["steps"] / 10) :])


def test_high_metrics_can_be_good():
    found = tune(Line(noise=0.5), metric="right", mode="max", trials=15, space={"lr": (1e-3, 0.3)})
    complete = [trial for trial in found.trials if trial["state"] == "complete"]
    assert found.best_value == max(trial["value"] for trial in complete)
    assert found.best_value == fitted(found.best, problem=Line(noise=0.5), metric="val_right")
    assert len({trial["value"] for trial in complete}) > 1
    assert not any("mode" in hint for hint in json.loads(found.to_json())["hints"])
    assert "pass mode=" in str(tune(metric="right", trials=2))


@pytest.mark.parametrize(
    "pruner", ["hyperband", "median", None, optuna.pruners.MedianPruner(n_startup_trials=2), optuna.pruners.NopPruner()]
)
def test_other_pruners(pruner):
    found = tune(pruner=pruner, trials=25)
    states = {trial["state"] for trial in found.trials}
    gives_up = pruner is not None and not isinstance(pruner, optuna.pruners.NopPruner)
    assert states == ({"complete", "pruned"} if gives_up else {"complete"})
    assert tune(pruner=pruner, trials=25).to_json() == found.to_json()
    for trial in found.trials:
        assert trial["value"] == fitted(trial["numbers"], trial["steps"])


def test_trials_are_measured_only_where_they_may_be_given_up():
    class Counting(Line):
        def __init__(self):
            super().__init__()
            self.measured = 0

        def _evaluate(self, params):
            self.measured += 1
            return super()._evaluate(params)

    problem = Counting()
    found = tune(problem, trials=9)
    stops = [*RUNGS, STEPS]
    assert problem.measured == 1 + sum(1 + stops.index(trial["steps"]) for trial in found.trials)
    often = Counting()
    found = tune(often, trials=9, validate_every=6, pruner="median")
    assert often.measured == 1 + sum(trial["steps"] // 6 for trial in found.trials)


def test_trials_that_diverge_are_failed_and_never_the_best():
    found = tune(rule=ac.SGD, space={"lr": (1e-3, 1e200), "momentum": None}, trials=25)
    failed = [trial for trial in found.trials if trial["state"] == "failed"]
    assert failed
    assert all(trial["value"] is None and trial["failure"] for trial in failed)
    assert all(math.isfinite(trial["value"]) for trial in found.trials if trial["state"] != "failed")
    assert found.best["lr"] < 1
    assert f"{len(failed)} of 25 trials diverged" in str(found)


@pytest.mark.parametrize("error", [ValueError, FloatingPointError, AssertionError, RuntimeError])
def test_what_a_problem_raises_where_numbers_are_too_large_is_no_error(error):
    class Careful(Line):
        def loss_and_grad(self, params, batch):
            if not abs(params["w"]).max() < 1e6:
                raise error("too large")
            return super().loss_and_grad(params, batch)

    found = tune(Careful(), ac.SGD, space={"lr": (1e-2, 1e9), "momentum": None}, trials=10)
    assert any("too large" in (trial["failure"] or "") for trial in found.trials)


def test_mistakes_of_a_problem_are_raised_and_say_where():
    class Broken(Line):
        def loss_and_grad(self, params, batch):
            if len(self.seen) == 100:
                raise ValueError("a mistake")
            return super().loss_and_grad(params, batch)

    with pytest.raises(ValueError, match="a mistake") as caught:
        tune(Broken())
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__[0].startswith("in ac.tune: AdamW with lr=")


def test_there_is_no_best_where_everything_diverges():
    found = tune(rule=ac.SGD, space={"lr": (1e100, 1e200), "momentum": 0.9}, trials=5)
    assert [trial["state"] for trial in found.trials] == ["failed"] * 5
    for ask in (lambda: found.best, lambda: found.best_value, found.refine):
        with pytest.raises(ValueError, match="there is no best trial: of 5, none has come to its end"):
            ask()
    assert "No trial has come to its end" in str(found)
    assert json.loads(found.to_json())["best"] is None


@pytest.mark.parametrize("shares", ["arrays", "batches"])
def test_problems_that_give_two_trials_the_same_are_refused(shares):
    class Sharing(Line):
        kept = None

        def init(self, rng):
            if shares == "arrays":
                self.kept = self.kept or super().init(rng)
                return self.kept
            return super().init(rng)

        def batches(self, rng):
            if shares == "batches":
                self.kept = self.kept or super().batches(rng)
                return self.kept
            return super().batches(rng)

    with pytest.raises(TypeError, match=r"tune: .* of the problem Sharing returned the same"):
        tune(Sharing())


def test_functions_of_a_trial_can_ask_what_they_like():
    def space(trial):
        rule = trial.suggest_categorical("form", ["plain", "nesterov"])
        lr = trial.suggest_float("lr", 1e-3, 0.3, log=True)
        return {"lr": lr, **({"momentum": 0.5, "nesterov": True} if rule == "nesterov" else {})}

    found = tune(rule=ac.SGD, space=space, trials=15)
    assert {len(trial["numbers"]) for trial in found.trials} == {1, 3}
    for trial in found.trials:
        assert trial["value"] == fitted(trial["numbers"], trial["steps"], rule=ac.SGD)
    with pytest.raises(TypeError, match=r"tune: space\(trial\) must return the rule's arguments as a dict, got 3"):
        tune(space=lambda _: 3)


def test_rules_can_be_functions():
    def make(params, *, lr, beta, decay=0.0):
        return ac.SGD(params, lr=lr, momentum=beta, weight_decay=decay)

    found = tune(rule=make, space={"beta": (0.1, 0.9), "decay": [0.0, 0.1]}, trials=12)
    assert set(found.best) == {"lr", "beta", "decay"}
    for trial in found.trials:
        assert trial["value"] == fitted(trial["numbers"], trial["steps"], rule=make)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trials": 0}, "tune: trials must be an int >= 1, got 0"),
        ({"trials": 2.0}, "tune: trials must be an int >= 1, got 2.0"),
        ({"steps": 0}, "tune: steps must be an int >= 1, got 0"),
        ({"seeds": 0}, "tune: seeds must be an int >= 1, got 0"),
        ({"seed": -1}, "tune: seed must be an int >= 0, got -1"),
        ({"workers": 0}, "tune: workers must be an int >= 1, got 0"),
        ({"validate_every": 0}, "tune: validate_every must be an int >= 1, got 0"),
        ({"pruner": "halving"}, 'tune: pruner must be "asha", "hyperband", "median", None or a pruner'),
        ({"pruner": 3}, 'tune: pruner must be "asha"'),
        ({"mode": "low"}, "tune: mode must be one of"),
        ({"metric": "accuracy"}, "tune: evaluate\\(params\\) gave no 'val_accuracy', but val_loss, val_right"),
        ({"metric": 3}, "tune: metric must be a str or None, got 3"),
        ({"progress": "dots"}, 'tune: progress must be "auto"'),
        ({"storage": 3}, "tune: storage must be a path, a storage of Optuna's or None, got 3"),
        ({"storage": "sqlite:///a.db"}, "pass optuna.storages.RDBStorage\\('sqlite:///a.db'\\)"),
        ({"storage": "nowhere/study"}, "tune: storage: .* is in a folder that does not exist"),
        ({"storage": "."}, "tune: storage: .* is a folder; name a file"),
        ({"rule": "adamm"}, "tune: rule: there is no rule 'adamm'; did you mean 'adam"),
        ({"rule": 3}, "tune: rule must be an optimizer class"),
        ({"rule": dict}, "tune: rule must be an optimizer class"),
        ({"rule": ac.SGD(np.zeros(3))}, "got an optimizer that exists: pass ac.SGD"),
        ({"rule": partial(ac.SGD, [])}, "bind arguments by name only"),
        ({"rule": lambda _, lr: lr}, "the function that makes the optimizer returned"),
        ({"problem": "digits"}, "tune: the problem must be a module or an object"),
        ({"problem": object()}, "tune: the problem object lacks init"),
        ({"problem": Line(validates=False), "mode": "max"}, 'tune: mode="max" needs a problem with evaluate'),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(wrong, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problem = Line()
    arguments = {"problem": problem, "rule": ac.SGD, "steps": STEPS, "trials": 3, "progress": None, **wrong}
    with pytest.raises((TypeError, ValueError), match=message):
        ac.tune(**arguments)
    assert problem.seen == []
    assert not any(tmp_path.iterdir())


def test_optuna_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r'tune needs optuna: pip install "adamcore\[tune\]"'):
        tune()
