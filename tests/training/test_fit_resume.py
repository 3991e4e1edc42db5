"""A run that is broken off and started again by the same call has the bits of an unbroken one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

import adamcore as ac
from fitting import Breaking, Regression, adam, everything_at_once, sgd
from places import ROOT

STEPS = 40


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


class BrokenError(Exception):
    """Raised by functions of the user."""


WAYS = {
    "path": dict(),
    "every 7th": dict(every=7),
    "validate every 5th": dict(validate_every=5),
    "windows of 3": dict(accumulate=3),
    "windows of 3, every 7th, half precision": dict(accumulate=3, every=7, dtype=np.float16),
    "half precision": dict(dtype=np.float16, every=3),
    "schedule-free": dict(factory=ac.ScheduleFreeAdamW, ema=None),
    "schedule-free, half precision": dict(factory=ac.ScheduleFreeAdamW, ema=None, dtype=np.float16, validate_every=3),
    "momentum": dict(factory=sgd, every=2, keep=1),
}


class Way:
    """A way to call fit."""

    def __init__(self, folder, *, dtype=np.float64, every=None, keep=3, **options):
        self.folder, self.dtype, self.options = folder, dtype, {"steps": STEPS, **options}
        self.every, self.keep = every, keep

    def go(self, problem=None, **changed):
        checkpoints = (
            self.folder if self.every is None else ac.Checkpoints(self.folder, every=self.every, keep=self.keep)
        )
        return everything_at_once(problem or Regression(self.dtype), checkpoints, **{**self.options, **changed})

    def unbroken(self, **changed):
        return everything_at_once(Regression(self.dtype), **{**self.options, **changed})


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize("name", WAYS)
def test_errors_of_users(name, error, tmp_path):
    expected_run, expected = Way(None, **WAYS[name]).unbroken()
    chance = random.Random(f"{name}{error}")  # noqa: S311
    broke_in = set()
    for number in range(4):
        way = Way(tmp_path / str(number), **WAYS[name])
        for _ in range(100):
            problem = Breaking(way.dtype, at=chance.randint(1, 110), error=error)
            try:
                run, found = way.go(problem)
            except BrokenError:
                found = None
            broke_in.add(problem.broke_in)
            if problem.broke_in:
                assert found is None if error is BrokenError else run.ended == "interrupted"
            elif found is not None and run.ended != "interrupted":
                break
        assert found == expected
        assert run.ended == expected_run.ended
    assert len(broke_in) > 1


def test_every_call_may_be_the_last(tmp_path):
    """In windows of three, with an interrupt in each call of the problem's functions, one after the other."""
    options = dict(steps=12, accumulate=3, every=5)
    _, expected = Way(None, **options).unbroken()
    problem = Breaking(at=0, error=KeyboardInterrupt)
    Way(None, **options).unbroken()
    everything_at_once(problem, steps=12, accumulate=3)
    broke_in = set()
    for at in range(1, problem.calls + 1, 2):
        way = Way(tmp_path / str(at), **options)
        broken = Breaking(at=at, error=KeyboardInterrupt)
        run, _ = way.go(broken)
        broke_in.add(broken.broke_in)
        assert run.ended == "interrupted"
        assert way.go()[1] == expected, (at, broken.broke_in)
    assert broke_in == {"batches", "loss_and_grad", "weight", "evaluate"}


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [1, 7, 13, 14, 20])
def test_callbacks(error, at, tmp_path):
    way = Way(tmp_path, every=7)
    _, expected = way.unbroken()
    seen = []

    def callback(run):
        seen.append(run.step)
        if len(seen) == at:
            raise error

    if error is BrokenError:
        with pytest.raises(BrokenError):
            way.go(callbacks=[callback])
    else:
        assert way.go(callbacks=[callback])[0].ended == "interrupted"
    assert way.go(callbacks=[callback])[1] == expected
    first = at + 1 if error is KeyboardInterrupt else (at - 1) // 7 * 7 + 1
    assert seen == [*range(1, at + 1), *range(first, STEPS + 1)], "a step is saved when its callbacks have been called"


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("first", [1, 14, 18])
def test_more_steps(name, first, tmp_path):
    """A finished run that goes on has the bits of a longer one: the validation at its end has left no trace."""
    way = Way(tmp_path, **WAYS[name])
    longer, expected = way.unbroken()
    for steps in (first, first, STEPS):
        found = way.go(steps=steps)[1]
        assert found == way.unbroken(steps=steps)[1]
    assert found == expected
    assert longer.step == STEPS


def test_more_epochs(tmp_path):
    way = Way(tmp_path, steps=None)
    for epochs in (1, 2, 2, 5):
        run, found = way.go(epochs=epochs)
        assert found == way.unbroken(epochs=epochs)[1]
    assert (run.ended, run.step) == ("epochs", 35)


def test_early_stopping_has_stopped_for_good(tmp_path):
    way = Way(tmp_path, early_stopping=ac.EarlyStopping(patience=1), factory=lambda p: ac.SGD(p, lr=0.5))
    run, found = way.go()
    assert run.ended == "early_stopping"
    again, found_again = way.go(early_stopping=ac.EarlyStopping(patience=1))
    assert found_again == found
    assert (again.ended, again.best, again.best_step) == ("early_stopping", run.best, run.best_step)


def test_the_same_optimizer_and_parts_again(tmp_path):
    """In one process, with the same objects: what they have come to is replaced by what is in the checkpoint."""
    expected = ac.fit(Regression(), adam, steps=30, seed=5, ema=0.9, progress=None)
    opt = adam(Regression().init(np.random.default_rng(5)))
    rest = np.random.default_rng(5)
    Regression().init(rest)
    stopping, scaler = ac.EarlyStopping(patience=20), None
    options = dict(ema=0.9, early_stopping=stopping, scaler=scaler, checkpoints=tmp_path, progress=None)
    with pytest.raises(BrokenError):
        ac.fit(Breaking(at=65, error=BrokenError), opt, steps=30, **options)
    before = opt.completed
    run = ac.fit(Regression(), opt, steps=30, **options)
    assert before > 14
    assert run.opt.completed == 30
    assert run.step == 30
    other = adam(Regression().init(np.random.default_rng(5)))
    unbroken = ac.fit(
        Regression(), other, steps=30, ema=0.9, early_stopping=ac.EarlyStopping(patience=20), progress=None
    )
    assert run.history["loss"].tolist() == unbroken.history["loss"].tolist()
    assert run.params["w"].tobytes() == unbroken.params["w"].tobytes()
    assert expected.step == 30


@pytest.mark.parametrize("changed", [dict(seed=1), dict(accumulate=2)])
def test_another_run_is_refused(changed, tmp_path, unchanged):
    def call(**options):
        return ac.fit(Regression(), opt, steps=9, ema=0.9, monitor=True, checkpoints=tmp_path, progress=None, **options)

    opt = adam(Regression().init(np.random.default_rng(0)))
    call()
    opt = adam(Regression().init(np.random.default_rng(1)))
    ((name, value),) = changed.items()
    default = {"seed": 0, "accumulate": 1}[name]
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    message = f"fit: the checkpoint is of a run with {name}={default}, and this one has {name}={value}"
    arrays = opt.param_groups[0]["params"]
    unchanged(ValueError, message, arrays, lambda: call(**changed))
    assert (opt.completed, opt.steps["w"]) == (0, 0)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_another_problem_is_refused(tmp_path):
    ac.fit(Regression(), sgd, steps=5, checkpoints=ac.Checkpoints(tmp_path, every=1), progress=None)
    shorter = Regression()
    shorter.batches = lambda rng: iter(list(Regression().batches(rng))[:3])
    with pytest.raises(TypeError, match="gave only 3 batches of an epoch of which 5 had been used"):
        ac.fit(shorter, sgd, steps=9, checkpoints=tmp_path, progress=None)


@pytest.mark.skipif(not hasattr(np.random.Generator, "spawn"), reason="NumPy 1.24 has no spawn()")
def test_the_generator_may_have_children(tmp_path):
    class Spawning(Regression):
        def batches(self, rng):
            (child,) = rng.spawn(1)
            return super().batches(child)

    expected = ac.fit(Spawning(), sgd, epochs=4, progress=None)
    ac.fit(Spawning(), sgd, epochs=2, checkpoints=tmp_path, progress=None)
    ac.fit(Spawning(), sgd, steps=17, checkpoints=tmp_path, progress=None)
    run = ac.fit(Spawning(), sgd, epochs=4, checkpoints=tmp_path, progress=None)
    assert run.history["loss"].tolist() == expected.history["loss"].tolist()


def test_the_best_checkpoint(tmp_path):
    checkpoints = ac.Checkpoints(tmp_path, keep=1)
    run = ac.fit(Regression(), lambda p: ac.SGD(p, lr=0.4), steps=60, checkpoints=checkpoints, progress=None)
    values = run.history["val_loss"]
    best = int(np.nanargmin(values)) + 1
    assert {path.name for path in checkpoints.paths} == {f"step-{step:010d}.safetensors" for step in (best, 60)}
    opt = sgd({"w": np.zeros((4, 3)), "b": np.zeros(3)})
    checkpoints.load(opt, which="best", strict=False)
    measured = Regression().evaluate(dict(zip(("w", "b"), opt.param_groups[0]["params"], strict=True)))
    assert measured["val_loss"] == values[best - 1]


def test_only_what_was_measured_may_be_the_best(tmp_path):
    """A checkpoint between two validations has no metric, and not that of the one before."""
    checkpoints = ac.Checkpoints(tmp_path, every=1, keep=1, best=9)
    ac.fit(Regression(), sgd, steps=16, checkpoints=checkpoints, progress=None)
    assert [path.name for path in checkpoints.paths] == [f"step-{n:010d}.safetensors" for n in (16, 14, 7)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork() and no such signals")
@pytest.mark.parametrize("signal", ["SIGKILL", "SIGINT"])
def test_processes_that_are_ended(signal, tmp_path):
    """At random moments, again and again, until they come to their end."""
    command = [sys.executable, "-m", "training.ended", str(tmp_path), signal]
    ran = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["wrong"] == []
    assert said["ended"] >= 10
