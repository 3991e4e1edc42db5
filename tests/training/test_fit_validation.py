"""When `fit` evaluates, what is measured then, and whose weights remain at the end."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac
from adamcore.training.trainer import Trainer
from fitting import Regression, adam, sgd
from helpers import everything


def measured_at(run):
    return run.history["step"][np.isfinite(run.history["val_loss"])].tolist()


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (dict(epochs=3), [7, 14, 21]),
        (dict(steps=21), [7, 14, 21]),
        (dict(steps=17), [7, 14, 17]),
        (dict(steps=3), [3]),
        (dict(steps=3, epochs=1), [3]),
        (dict(epochs=2, accumulate=3), [3, 6]),
        (dict(epochs=2, accumulate=7), [1, 2]),
        (dict(epochs=2, accumulate=99), [1, 2]),
        (dict(steps=5, accumulate=3), [3, 5]),
        (dict(steps=12, validate_every=4), [4, 8, 12]),
        (dict(steps=13, validate_every=4), [4, 8, 12, 13]),
        (dict(epochs=1, validate_every=100), [7]),
        (dict(steps=0), []),
        (dict(epochs=0), []),
    ],
)
def test_at_the_ends_of_epochs_or_every_few_steps_and_once_at_the_end(options, steps):
    problem = Regression()
    run = ac.fit(problem, sgd, progress=None, **options)
    assert problem.evaluated == len(steps)
    assert ("val_loss" in run.history) == bool(steps)
    assert not steps or measured_at(run) == steps


def test_callbacks_see_the_validation_of_their_step():
    seen = []

    def callback(run):
        if "val_loss" in run.history and np.isfinite(run.history["val_loss"][-1]):
            seen.append(run.step)
            assert run.best_step == run.step
        return "val_loss" in run.history and run.history["val_loss"][-1] < np.inf and run.step > 9

    stopping = ac.EarlyStopping()
    run = ac.fit(Regression(), adam, steps=50, early_stopping=stopping, callbacks=[callback], progress=None)
    assert seen == [7, 14]
    assert (run.ended, run.step) == ("callback", 14)


def test_problems_without_validations():
    class Plain:
        init, batches, loss_and_grad = Regression.init, Regression.batches, Regression.loss_and_grad
        dtype, truth, noise, _rows = np.float64, np.ones((4, 3)), 0.1, Regression._rows

    run = ac.fit(Plain(), sgd, epochs=2, progress=None)
    assert list(run.history) == ["step", "wall", "loss", "lr", "grad_norm", "skipped"]
    with pytest.raises(TypeError, match="fit: early_stopping needs a problem with evaluate"):
        ac.fit(Plain(), sgd, epochs=2, early_stopping=ac.EarlyStopping(), progress=None)


def test_names_begin_with_val():
    problem = Regression()
    problem.evaluate = lambda _: {"accuracy": np.float32(0.5), "val_loss": np.array(2.0), "f1": 1}
    history = ac.fit(problem, sgd, steps=2, progress=None).history
    assert [name for name in history if name.startswith("val_")] == ["val_accuracy", "val_loss", "val_f1"]
    assert history["val_accuracy"].tolist()[1:] == [0.5]


WRONG = {
    "None": (None, "must return a dict such as"),
    "a number": (0.5, "must return a dict such as"),
    "nothing": ({}, "must return a dict such as"),
    "text": ({"val_loss": "low"}, "fit: evaluate: val_loss must be a number, got 'low'"),
    "an array": ({"loss": np.ones(3)}, "fit: evaluate: loss must be a number, got an array"),
    "a bool": ({"good": True}, "fit: evaluate: good must be a number"),
    "a complex number": ({"loss": 1j}, "fit: evaluate: loss must be a number"),
    "numbers as names": ({1: 0.5}, "fit: evaluate: the names of metrics must be str, got 1"),
    "the same name twice": ({"loss": 1.0, "val_loss": 1.0}, "fit: evaluate: 'val_loss' and 'loss' are the same metric"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_results_are_refused_by_name(name):
    found, message = WRONG[name]
    problem = Regression()
    problem.evaluate = lambda _: found
    with pytest.raises(TypeError, match=message):
        ac.fit(problem, sgd, steps=2, progress=None)


def test_metrics_may_come_and_go():
    problem = Regression()
    results = iter([{"loss": 1.0}, {"loss": 0.5, "late": 2.0}, {"other": 3.0}])
    problem.evaluate = lambda _: next(results)
    history = ac.fit(problem, sgd, epochs=3, progress=None).history
    assert history["val_late"][13] == 2
    assert np.isnan(history["val_loss"][20])
    assert history["val_other"][20] == 3


class Scripted(Regression):
    """Validations whose losses are given, and the weights that they saw."""

    def __init__(self, losses):
        super().__init__()
        self.losses, self.saw = list(losses), []

    def evaluate(self, params):
        self.saw.append({name: array.copy() for name, array in params.items()})
        return {"val_loss": self.losses[len(self.saw) - 1]}


def raises_interrupt(run):
    if run.step == 5:
        raise KeyboardInterrupt


ENDS = {
    "steps": (dict(steps=6), {}),
    "epochs": (dict(epochs=1), {}),
    "early_stopping": (dict(steps=99), dict(patience=2)),
    "callback": (dict(steps=99, callbacks=[lambda run: run.step == 5]), {}),
    "interrupted": (dict(steps=99, callbacks=[raises_interrupt]), {}),
    "policy": (dict(steps=99), {}),
}


class EndingPolicy:
    """The least that a policy is."""

    def __init__(self):
        self.acts, self.stopped = 0, False

    def act(self, batch):
        assert len(batch) == 2
        self.acts += 1
        self.stopped = self.acts == 5


@pytest.mark.parametrize("average", [None, 0.5, "schedule-free"])
@pytest.mark.parametrize("ended", ENDS)
def test_the_best_weights_remain_however_the_run_ends(ended, average):
    problem = Scripted([5.0, 3.0, 1.0, 2.0, 2.5, 4.0, 6.0, *[9.0] * 99])
    options, arguments = ENDS[ended]
    stopping = ac.EarlyStopping(**arguments)
    policy = EndingPolicy() if ended == "policy" else None
    factory = ac.ScheduleFreeAdamW if average == "schedule-free" else adam
    ema = None if average == "schedule-free" else average
    options = dict(validate_every=1, early_stopping=stopping, policy=policy, ema=ema, progress=None, **options)
    run = ac.fit(problem, factory, **options)
    assert run.ended == ended
    assert (run.best, run.best_step) == (stopping.best, stopping.best_step) == (1.0, 3)
    assert {name: array.tobytes() for name, array in run.params.items()} == {
        name: array.tobytes() for name, array in problem.saw[2].items()
    }, "those that were measured"
    if average == "schedule-free":
        run.opt.eval()
        assert run.params["w"].tobytes() == problem.saw[2]["w"].tobytes(), "eval() does not take them for others"
        again = ac.fit(Regression(), run.opt, steps=3, progress=None)
        assert again.opt.completed == run.step + 3


def test_without_early_stopping_the_last_weights_remain():
    problem = Scripted([1.0, 9.0])
    run = ac.fit(problem, adam, epochs=2, progress=None)
    assert run.params["w"].tobytes() == problem.saw[1]["w"].tobytes() != problem.saw[0]["w"].tobytes()
    assert (run.best, run.best_step) == (None, None)


def test_half_precision_keeps_what_was_measured():
    """Also beside masters, which the weights are not taken from then."""

    class Half(Scripted):
        def init(self, rng):
            self.dtype = np.float16
            return super().init(rng)

    problem = Half([1.0, 9.0, 9.0])
    run = ac.fit(problem, adam, epochs=3, early_stopping=ac.EarlyStopping(), progress=None)
    assert run.params["w"].tobytes() == problem.saw[0]["w"].tobytes()
    run.opt.step({"w": np.zeros((4, 3)), "b": np.zeros(3)})
    master = run.opt.state["w"]["master"]
    assert np.abs(master - problem.saw[0]["w"]).max() < 0.1, "the next step begins there"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_validation_that_is_not_finite_ends_the_run(bad, tmp_path):
    problem = Scripted([2.0, bad])
    run = ac.fit(problem, sgd, steps=99, early_stopping=ac.EarlyStopping(), checkpoints=tmp_path, progress=None)
    assert (run.ended, run.step, run.best_step) == ("early_stopping", 14, 7)
    assert run.params["w"].tobytes() == problem.saw[0]["w"].tobytes()
    assert str(run.history["val_loss"][-1]) == str(bad)
    without = ac.fit(Scripted([2.0, bad, 1.0]), sgd, epochs=3, monitor=True, progress=None)
    assert without.ended == "epochs"


def test_early_stopping_of_another_run_is_refused():
    stopping = ac.EarlyStopping()
    stopping.observe(1.0, step=3)
    with pytest.raises(ValueError, match="fit: early_stopping has seen another run; pass a new one"):
        ac.fit(Regression(), sgd, steps=3, early_stopping=stopping, progress=None)


def test_validations_are_of_the_average():
    problem = Scripted([1.0] * 9)
    run = ac.fit(problem, adam, epochs=2, ema=0.9, progress=None)
    with run.ema.swap():
        assert run.params["w"].tobytes() == problem.saw[1]["w"].tobytes()
    assert run.params["w"].tobytes() != problem.saw[1]["w"].tobytes()


def test_an_average_of_the_last_steps():
    """Until it has begun, validations are of the weights."""
    params = Regression().init(np.random.default_rng(0))
    opt = adam(params)
    swa = ac.SWA(opt, start=9)
    problem = Scripted([1.0] * 9)
    run = ac.fit(problem, opt, epochs=2, ema=swa, progress=None)
    assert run.ema is swa
    assert swa.count == 6
    with swa.swap():
        assert params["w"].tobytes() == problem.saw[1]["w"].tobytes()


@pytest.mark.parametrize("factory", [ac.ScheduleFreeAdamW, adam])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_validations_leave_no_trace(factory, dtype):
    def train(**options):
        run = ac.fit(Regression(dtype), factory, steps=30, progress=None, **options)
        return [run.history["loss"].tolist(), everything(run.opt)]

    assert train(validate_every=1) == train(validate_every=30) == train(validate_every=7, early_stopping=None)


@pytest.mark.parametrize("master", ["float32", "remainder", None])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_what_eval_and_train_round_is_put_back(dtype, master):
    """Also what half precision keeps beside the parameters."""
    if dtype is np.float32 and master == "remainder":
        return
    w = np.linspace(0.1, 1, 5000).astype(dtype)
    opt = ac.ScheduleFreeAdamW({"w": w}, lr=0.01, precision=ac.Precision(master=master))
    for seed in range(20):
        opt.step({"w": np.random.default_rng(seed).standard_normal(5000)})
    before = everything(opt)
    with Trainer(Regression(), opt, seed=0, owner="fit").evaluating():
        assert opt.mode == "eval"
    assert opt.mode == "train"
    assert everything(opt) == before
    opt.eval()
    opt.train()
    assert everything(opt) != before
