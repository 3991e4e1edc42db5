"""What `fit` refuses: every message names `fit` and what is wrong, and nothing has changed then."""

from __future__ import annotations

import types

import numpy as np
import pytest

import adamcore as ac
from fitting import Regression, adam, sgd

STEPS = dict(steps=3)


ARGUMENTS = {
    "no end": (dict(), ValueError, "fit: pass steps or epochs"),
    "steps": (dict(steps=-1), ValueError, "fit: steps must be an int >= 0, got -1"),
    "steps, float": (dict(steps=2.0), TypeError, "fit: steps must be an int"),
    "steps, bool": (dict(steps=True), TypeError, "fit: steps must be an int"),
    "epochs": (dict(epochs="3"), TypeError, "fit: epochs must be an int >= 0, got '3'"),
    "validate_every": (dict(validate_every=0, **STEPS), ValueError, "fit: validate_every must be an int >= 1, got 0"),
    "accumulate": (dict(accumulate=0, **STEPS), ValueError, "fit: accumulate must be an int >= 1, got 0"),
    "seed": (dict(seed=-1, **STEPS), ValueError, "fit: seed must be an int >= 0, got -1"),
    "seed, None": (dict(seed=None, **STEPS), TypeError, "fit: seed must be an int >= 0, got None"),
    "ema": (dict(ema="0.9", **STEPS), TypeError, "fit: ema must be an EMA, an SWA or a decay, got '0.9'"),
    "ema, bool": (dict(ema=True, **STEPS), TypeError, "fit: ema must be an EMA"),
    "ema, range": (dict(ema=1.5, **STEPS), ValueError, r"fit: ema must be a decay in \[0, 1\], got 1.5"),
    "ema, NaN": (dict(ema=float("nan"), **STEPS), ValueError, r"fit: ema must be a decay in \[0, 1\]"),
    "ema, class": (dict(ema=ac.EMA, **STEPS), TypeError, "fit: ema must be an EMA"),
    "scaler": (dict(scaler=64.0, **STEPS), TypeError, "fit: scaler must be a LossScaler or None, got 64.0"),
    "monitor": (dict(monitor=3, **STEPS), TypeError, "fit: monitor must be a Monitor, True, or a function"),
    "monitor, made": (dict(monitor=lambda _: 3, **STEPS), TypeError, "fit: the function that makes the monitor"),
    "policy": (dict(policy=3, **STEPS), TypeError, r"fit: policy must have act\(batch\), or be a function"),
    "policy of no monitor": (dict(policy=print, **STEPS), ValueError, "fit: policy is a function of the monitor"),
    "made no policy": (dict(policy=id, monitor=True, **STEPS), TypeError, "fit: the function that makes the policy"),
    "early_stopping": (dict(early_stopping=5, **STEPS), TypeError, "fit: early_stopping must be an EarlyStopping"),
    "checkpoints": (dict(checkpoints=3, **STEPS), TypeError, "fit: checkpoints must be a Checkpoints, the path"),
    "callbacks": (dict(callbacks=print, **STEPS), TypeError, "fit: callbacks must be a list of functions"),
    "callbacks, item": (dict(callbacks=[print, 3], **STEPS), TypeError, r"fit: callbacks\[1\] must be a function"),
    "progress": (dict(progress="loud", **STEPS), ValueError, 'fit: progress must be "auto", "bar", "lines" or None'),
    "progress, type": (dict(progress=np.ones(3), **STEPS), TypeError, "fit: progress must be"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name, unchanged):
    options, error, message = ARGUMENTS[name]
    called = []
    problem = Regression()
    problem.batches = lambda _: called.append("batches")
    problem.init = lambda _: called.append("init")
    params = Regression().init(np.random.default_rng(0))
    opt = adam(params)
    unchanged(error, message, list(params.values()), lambda: ac.fit(problem, opt, **{"progress": None, **options}))
    assert called == []
    assert set(opt.state["w"]) == {"exp_avg", "exp_avg_sq"}, "there is no average"
    assert opt.completed == 0
    if "made" not in name:
        with pytest.raises(error, match=message):
            ac.fit(problem, adam, **{"progress": None, **options})
        assert called == [], "they are looked at before parameters are made"


def test_parts_of_another_optimizer():
    other = adam(Regression().init(np.random.default_rng(0)))
    for options in (dict(ema=ac.EMA(other)), dict(monitor=ac.Monitor(other))):
        (name,) = options
        with pytest.raises(ValueError, match=f"fit: {name} is of another optimizer than the one that is trained"):
            ac.fit(Regression(), adam, steps=3, progress=None, **options)


def test_parts_of_this_optimizer():
    opt = adam(Regression().init(np.random.default_rng(0)))
    ema, monitor = ac.EMA(opt, 0.5, warmup=False, name="slow"), ac.Monitor(opt)
    run = ac.fit(Regression(), opt, steps=3, ema=ema, monitor=monitor, progress=None)
    assert (run.ema, run.monitor, ema.count) == (ema, monitor, 3)


def test_a_second_run_of_an_optimizer_goes_on_with_its_average():
    opt = adam(Regression().init(np.random.default_rng(0)))
    first = ac.fit(Regression(), opt, steps=3, ema=0.9, progress=None)
    second = ac.fit(Regression(), opt, steps=3, ema=0.9, progress=None)
    assert first.ema.count == second.ema.count == 6
    with pytest.raises(ValueError, match="ema"):
        ac.fit(Regression(), opt, steps=3, ema=0.8, progress=None)


OTHER = sgd({"v": np.ones(3)})
FACTORIES = {
    "nothing": (None, "fit: expected an optimizer, or a function that makes one of parameters, got None"),
    "a name": ("adam", "fit: expected an optimizer, or a function"),
    "a number comes out": (lambda _: 3, "fit: the function that makes the optimizer returned 3"),
    "None comes out": (lambda _: None, "fit: the function that makes the optimizer returned None"),
    "a class comes out": (lambda _: ac.SGD, "fit: the function that makes the optimizer returned <class"),
    "of copies": (lambda p: ac.SGD({name: a.copy() for name, a in p.items()}), "parameter 'w' that is none of those"),
    "of one copy": (lambda p: ac.SGD({"w": p["w"], "b": p["b"].copy()}), "parameter 'b' that is none of those"),
    "of others": (lambda _: OTHER, "parameter 'v' that is none of those that init returned"),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_functions_that_make_no_optimizer_of_the_parameters(name):
    factory, message = FACTORIES[name]
    with pytest.raises((TypeError, ValueError), match=message):
        ac.fit(Regression(), factory, steps=3, progress=None)


def test_functions_may_leave_parameters_out_and_take_views():
    problem = Regression()
    loss_and_grad = problem.loss_and_grad
    problem.loss_and_grad = lambda params, batch: (
        (found := loss_and_grad(params, batch))[0],
        {"all": found[1]["w"].reshape(-1)},
    )
    run = ac.fit(problem, lambda params: ac.SGD({"all": params["w"].reshape(-1)}, lr=0.1), epochs=9, progress=None)
    assert (run.params["b"] == 0).all()
    assert run.history["loss"][-1] < run.history["loss"][0] / 10


def without(*names):
    return type("Half", (), {name: getattr(Regression, name) for name in NEEDED if name not in names})()


NEEDED = ("init", "batches", "loss_and_grad")
LACKING = [
    (without("init"), r"fit: the problem Half lacks init\(rng\) -> params"),
    (without("batches"), r"fit: the problem Half lacks batches\(rng\) -> iterator"),
    (without("loss_and_grad", "init"), r"lacks init\(rng\) -> params, and loss_and_grad\(params, batch\)"),
    (None, "fit: the problem NoneType lacks"),
    (types.ModuleType("my.task"), "fit: the problem task lacks"),
    (Regression, r"fit: the problem Regression is a class; pass an object, Regression\(\)"),
]


@pytest.mark.parametrize(("problem", "message"), LACKING)
def test_problems_that_lack_something(problem, message):
    with pytest.raises(TypeError, match=message):
        ac.fit(problem, sgd, steps=3, progress=None)


@pytest.mark.parametrize("name", ["evaluate", "weight"])
def test_what_is_optional_must_be_a_function(name):
    problem = Regression()
    setattr(problem, name, 3)
    with pytest.raises(TypeError, match=f"fit: {name} of the problem Regression must be a function"):
        ac.fit(problem, sgd, steps=3, progress=None)


def test_modules_and_classes_with_static_functions_are_problems():
    regression = Regression()
    module = types.ModuleType("task")
    static = type("Static", (), {name: staticmethod(getattr(regression, name)) for name in NEEDED})
    for name in NEEDED:
        setattr(module, name, getattr(regression, name))
    runs = [ac.fit(problem, sgd, steps=9, progress=None) for problem in (module, static, regression)]
    assert len({run.params["w"].tobytes() for run in runs}) == 1


ONCE = iter(list(Regression().batches(np.random.default_rng(0))))
RESULTS = {
    "batches: None": (
        dict(batches=lambda _: None),
        TypeError,
        r"fit: batches\(rng\) must return an iterator, got None",
    ),
    "batches: none": (dict(batches=lambda _: []), TypeError, r"fit: batches\(rng\) of the problem .* gave no batch"),
    "batches: once": (dict(batches=lambda _: ONCE), TypeError, "gave no batch"),
    "loss alone": (
        dict(loss_and_grad=lambda *_: 0.5),
        TypeError,
        r"fit: loss_and_grad must return \(loss, grads\), got",
    ),
    "three": (dict(loss_and_grad=lambda *_: (1, 2, 3)), TypeError, r"must return \(loss, grads\), got \(1, 2, 3\)"),
    "no loss": (dict(loss_and_grad=lambda *_: (None, {})), TypeError, "fit: the loss must be a number, got None"),
    "losses": (dict(loss_and_grad=lambda *_: (np.ones(2), {})), TypeError, "fit: the loss must be a number"),
    "no gradient": (dict(loss_and_grad=lambda *_: (1.0, None)), TypeError, r"must return \(loss, grads\), got"),
    "another": (dict(loss_and_grad=lambda *_: (1.0, {"v": np.ones(3)})), ValueError, r"grads\['v'\]"),
    "weight": (dict(weight=lambda _: "many"), TypeError, "fit: weight must be a number, got 'many'"),
    "weight 0": (dict(weight=lambda _: 0), ValueError, "weight"),
}


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("name", RESULTS)
def test_wrong_results(name, accumulate):
    functions, error, message = RESULTS[name]
    problem = Regression()
    for key, function in functions.items():
        setattr(problem, key, function)
    if (name, accumulate) == ("weight 0", 1):
        return  # there is nothing that is weighted
    with pytest.raises(error, match=message):
        ac.fit(problem, sgd, steps=50, accumulate=accumulate, progress=None)


def test_what_functions_raise_is_not_taken_for_something_else():
    problem = Regression()

    def batches(_):
        raise TypeError("mine")

    problem.batches = batches
    with pytest.raises(TypeError, match=r"^mine$"):
        ac.fit(problem, sgd, steps=3, progress=None)


def test_a_scaler_needs_a_factor():
    problem = Regression(np.float16)
    problem.loss_and_grad = lambda params, batch: (params, batch)
    with pytest.raises(TypeError, match=r"fit: with a scaler, loss_and_grad\(params, batch, loss_scale=...\)"):
        ac.fit(problem, sgd, steps=3, scaler=ac.LossScaler(), progress=None)
    problem.loss_and_grad = lambda params, batch, **more: Regression(np.float16).loss_and_grad(params, batch, **more)
    assert ac.fit(problem, sgd, steps=3, scaler=ac.LossScaler(8.0), progress=None).step == 3


def test_one_generator_is_passed_on():
    """`init` and then all epochs have it, and an optimizer that exists needs no `init`."""
    seen = []
    problem = Regression()
    init, batches = problem.init, problem.batches
    problem.init = lambda rng: seen.append(rng) or init(rng)
    problem.batches = lambda rng: seen.append(rng) or batches(rng)
    ac.fit(problem, sgd, epochs=3, seed=8, progress=None)
    assert len(seen) == 4
    assert len(set(map(id, seen))) == 1
    rng = np.random.default_rng(8)
    opt = sgd(init(np.random.default_rng(1)))
    first = next(batches(rng))
    problem.init = None
    taken = []
    problem.loss_and_grad = lambda params, batch: taken.append(batch) or Regression().loss_and_grad(params, batch)
    ac.fit(problem, opt, steps=1, seed=8, progress=None)
    assert taken[0][0].tobytes() == first[0].tobytes()
