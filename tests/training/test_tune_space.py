"""Among which numbers `tune` searches: the usual ranges of each rule, and what users say instead."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import optuna
import pytest

import adamcore as ac
from adamcore import optimizers
from adamcore.training.tuning.rules import read_rule
from adamcore.training.tuning.space import read_space
from small_problems import Line

LR = (1e-5, 1.0)
FIRST, SECOND = (0.5, 0.99), (0.9, 0.9999)

USUAL = {
    "Adafactor": {"lr": LR},
    "Adagrad": {"lr": LR},
    "Adam": {"lr": LR, "beta1": FIRST, "beta2": SECOND},
    "AdamW": {"lr": LR, "beta1": FIRST, "beta2": SECOND},
    "Adan": {"lr": LR, "beta1": FIRST, "beta2": FIRST, "beta3": SECOND},
    "LAMB": {"lr": LR, "beta1": FIRST, "beta2": SECOND},
    "LARS": {"lr": (1e-2, 1e3), "momentum": FIRST},
    "Lion": {"lr": LR, "beta1": FIRST, "beta2": SECOND},
    "NovoGrad": {"lr": LR, "beta1": FIRST, "beta2": SECOND},
    "Prodigy": {"d_coef": (0.1, 10.0), "beta1": FIRST, "beta2": SECOND},
    "RMSprop": {"lr": LR, "alpha": SECOND},
    "SGD": {"lr": LR, "momentum": FIRST},
    "ScheduleFreeAdamW": {"lr": LR, "beta1": FIRST, "beta2": SECOND},
    "StableAdamW": {"lr": LR, "beta1": FIRST, "beta2": SECOND},
}


def drawn(rule, space=None, count=300, seed=0):
    """The arguments that random trials get."""
    known = read_rule(rule)
    found = read_space(space, known)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [found.draw(study.ask()) for _ in range(count)]


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def flat(arguments):
    """Arguments with the elements of tuples one by one."""
    found = {}
    for name, value in arguments.items():
        if isinstance(value, tuple):
            found.update({f"{name.removesuffix('s')}{place}": part for place, part in enumerate(value, 1)})
        else:
            found[name] = value
    return found


def assert_uniform(values, low, high, transform):
    """Values are within their range, reach near its ends, and have their median in its middle."""
    places = sorted((transform(value) - transform(low)) / (transform(high) - transform(low)) for value in values)
    assert -1e-9 <= places[0] < 0.05
    assert 0.95 < places[-1] <= 1 + 1e-9
    assert 0.38 < places[len(places) // 2] < 0.62


def test_every_rule_is_in_the_table():
    assert set(USUAL) == {name for name in optimizers.__all__ if isinstance(getattr(optimizers, name), type)}


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_ranges(name):
    rule = getattr(ac, name)
    trials = drawn(rule)
    for arguments in trials[:20]:
        rule(np.zeros(3), **arguments)
    for number, (low, high) in USUAL[name].items():
        values = [flat(arguments)[number] for arguments in trials]
        is_rate = number in ("lr", "d_coef")
        assert_uniform(values, low, high, math.log if is_rate else lambda value: -math.log(1 - value))
    assert set(flat(trials[0])) == set(USUAL[name])
    assert all(len(arguments.get("betas", ())) in (0, 2, 3) for arguments in trials)


@pytest.mark.parametrize("name", USUAL)
def test_every_rule_can_be_tuned(name):
    found = ac.tune(Line(), name.lower(), steps=27, trials=6, progress=None)
    assert len(found.trials) == 6
    getattr(ac, name)(np.zeros(3), **found.best)


def test_eps_and_decay_are_on_request():
    for given in (True, "default"):
        trials = drawn(ac.AdamW, {"eps": given, "weight_decay": given})
        assert_uniform([arguments["eps"] for arguments in trials], 1e-10, 1e-6, math.log)
        assert_uniform([arguments["weight_decay"] for arguments in trials], 1e-4, 1.0, math.log)
    penalties = [arguments["weight_decay"] for arguments in drawn(ac.Adam, {"weight_decay": True})]
    assert_uniform(penalties, 1e-6, 1e-2, math.log)


def test_ranges_of_the_users():
    space = {
        "lr": (0.01, 10),
        "beta1": (0.0, 0.9),
        "beta2": (0.99, 0.999),
        "weight_decay": (0.0, 0.3),
        "eps": (1e-9, 1e-3),
    }
    trials = [flat(arguments) for arguments in drawn(ac.AdamW, space)]
    distance = lambda value: -math.log(1 - value)  # noqa: E731
    assert_uniform([each["lr"] for each in trials], 0.01, 10, math.log)
    assert_uniform([each["beta1"] for each in trials], 0.0, 0.9, distance)
    assert_uniform([each["beta2"] for each in trials], 0.99, 0.999, distance)
    assert_uniform([each["weight_decay"] for each in trials], 0.0, 0.3, float)
    assert_uniform([each["eps"] for each in trials], 1e-9, 1e-3, math.log)


def test_choices_and_held_numbers():
    space = {"lr": [0.1, 0.01], "beta1": 0.8, "amsgrad": [True, False], "cautious": True, "clip_norm": (0.1, 10.0)}
    trials = drawn(ac.AdamW, space)
    assert {each["lr"] for each in trials} == {0.1, 0.01}
    assert {each["amsgrad"] for each in trials} == {True, False}
    assert {each["cautious"] for each in trials} == {True}
    assert {each["betas"][0] for each in trials} == {0.8}
    assert len({each["betas"][1] for each in trials}) > 100
    assert_uniform([each["clip_norm"] for each in trials], 0.1, 10, math.log)
    assert {each["warmup_steps"] for each in drawn(ac.ScheduleFreeAdamW, {"warmup_steps": (0, 3)})} == {0, 1, 2, 3}
    cosine = ac.schedules.Cosine(0.1, steps=10)
    assert {each["lr"] for each in drawn(ac.Adam, {"lr": cosine})} == {cosine}


def test_none_leaves_a_number_at_the_default():
    assert {each["betas"][1] for each in drawn(ac.AdamW, {"beta2": None})} == {0.999}
    assert set(drawn(ac.AdamW, {"beta1": None, "beta2": None})[0]) == {"lr"}
    assert {each["eps"][0] for each in drawn(ac.Adafactor, {"eps2": (1e-4, 1e-2)})} == {None}


def test_what_is_bound_is_not_tuned():
    assert set(drawn(partial(ac.AdamW, betas=(0.8, 0.9)))[0]) == {"lr"}
    assert set(drawn(partial(ac.SGD, lr=0.1, nesterov=True))[0]) == {"momentum"}
    assert {each["betas"][0] for each in drawn(partial(ac.AdamW, betas=(0.8, 0.9)), {"beta2": (0.9, 0.99)})} == {0.8}


def test_functions_have_the_numbers_of_their_signature():
    def make(params, *, lr=0.1, beta1=0.9, width):
        return params, lr, beta1, width

    trials = drawn(make, {"width": [3, 4]})
    assert set(trials[0]) == {"lr", "beta1", "width"}
    assert_uniform([each["beta1"] for each in trials], 0.5, 0.99, lambda value: -math.log(1 - value))
    assert set(drawn(lambda params, **numbers: (params, numbers))[0]) == {"lr"}
    assert set(drawn(lambda params, **numbers: (params, numbers), {"any": (1.0, 2.0)})[0]) == {"lr", "any"}


def test_bad_spaces_are_refused():
    def needs(params, lr, width):
        return params, lr, width

    cases = [
        (ac.AdamW, 3, "tune: space must be a dict such as"),
        (ac.AdamW, [("lr", (1, 2))], "tune: space must be a dict such as"),
        (ac.AdamW, {3: (1, 2)}, "tune: space: the names of numbers must be str, got 3"),
        (ac.AdamW, {"betas": (0.9, 0.99)}, "tune: space: name the numbers of betas one by one: 'beta1', 'beta2'"),
        (ac.AdamW, {"learning_rate": (1, 2)}, "tune: space: AdamW has no number 'learning_rate'; did you mean 'lr'"),
        (ac.SGD, {"beta1": (0.8, 0.9)}, "tune: space: SGD has no number 'beta1'"),
        (ac.AdamW, {"precision": [1, 2]}, "tune: space: AdamW has no number 'precision'"),
        (ac.AdamW, {"lr": (0.1, 0.01)}, r"tune: space: lr must be a range \(low, high\) of finite numbers with low"),
        (ac.AdamW, {"lr": (0.1, 0.1)}, "with low < high"),
        (ac.AdamW, {"lr": (0.1,)}, "tune: space: lr must be a range"),
        (ac.AdamW, {"lr": (0.1, math.inf)}, "tune: space: lr must be a range"),
        (ac.AdamW, {"lr": (0.1, "1")}, "tune: space: lr must be a range"),
        (ac.AdamW, {"lr": math.nan}, "tune: space: lr must be finite, got nan"),
        (ac.AdamW, {"lr": "log"}, "tune: space: lr must be a range .*, got 'log'"),
        (ac.AdamW, {"lr": {"low": 1}}, "tune: space: lr must be a range .*, a list of choices"),
        (ac.AdamW, {"lr": [0.1]}, "tune: space: lr must have two different choices or more"),
        (ac.AdamW, {"lr": [0.1, 0.1]}, "tune: space: lr must have two different choices or more"),
        (ac.AdamW, {"lr": [0.1, [1]]}, "tune: space: lr: choices must be finite numbers"),
        (ac.AdamW, {"clip_norm": True}, "tune: space: clip_norm has no default range; give one"),
        (ac.ScheduleFreeAdamW, {"warmup_steps": (0, 1.5)}, "must be a range of whole numbers"),
        (ac.SGD, {"lr": None, "momentum": 0.9}, "tune: space: there is no number of SGD to choose"),
        (partial(ac.SGD, lr=0.1, momentum=0.9), None, r"no number of SGD\(lr=0.1, momentum=0.9\) to choose"),
        (needs, None, "tune: space: needs needs 'width', which has no default"),
    ]
    for rule, space, message in cases:
        with pytest.raises((TypeError, ValueError), match=message):
            ac.tune(Line(), rule, space=space, steps=3, trials=1, progress=None)


@pytest.mark.parametrize(
    "space", [{"lr": (-1.0, 1.0)}, {"momentum": (0.5, 2.0), "lr": (-0.1, 0.1)}, {"lr": [0.1, -1.0]}, {"dampening": "x"}]
)
def test_numbers_that_the_rule_does_not_take_are_refused_before_anything_runs(space):
    problem = Line()
    with pytest.raises((TypeError, ValueError), match="tune: space: "):
        ac.tune(problem, ac.SGD, space=space, steps=3, trials=1, progress=None)
    assert problem.seen == []
