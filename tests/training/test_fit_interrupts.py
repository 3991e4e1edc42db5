"""Ctrl-C and errors at any moment: `fit` ends between steps, and leaves everything as it was."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np
import pytest

import adamcore as ac
import interruptions
from fitting import Breaking, Regression, adam, everything_at_once, sgd
from pairs import EXHAUSTIVE

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals"),
    # Files that are interrupted as they are opened are closed by the garbage collection.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STEPS = 20


@pytest.fixture(autouse=True)
def _handler(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press():
    os.kill(os.getpid(), signal.SIGINT)


class Pressing(Breaking):
    """Somebody presses Ctrl-C in one call of the problem's functions, once or more often."""

    def __init__(self, *, at, times=1):
        super().__init__(at=at, error=KeyboardInterrupt)
        self.times = times

    def _call(self, name):
        self.calls += 1
        if self.calls == self.at:
            self.broke_in = name
            for _ in range(self.times):
                press()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_first_ends_the_run_between_two_steps(accumulate, tmp_path):
    options = dict(steps=STEPS, accumulate=accumulate)
    _, expected = everything_at_once(Regression(), **options)
    broke_in = set()
    for at in (1, 2, 3, *range(18, 30), 200):
        problem = Pressing(at=at)
        run, _ = everything_at_once(problem, tmp_path / str(at), **options)
        broke_in.add(problem.broke_in)
        assert run.ended == ("interrupted" if problem.broke_in else "steps")
        assert run.opt.accumulated == 0
        assert run.opt.completed == run.step
        assert everything_at_once(Regression(), tmp_path / str(at), **options)[1] == expected
    assert broke_in >= {"batches", "loss_and_grad", "weight", "evaluate"}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_second_breaks_off_what_is_computed(accumulate, tmp_path):
    options = dict(steps=STEPS, accumulate=accumulate)
    _, expected = everything_at_once(Regression(), **options)
    for at in (1, 2, 3, *range(18, 30), 55):
        problem = Pressing(at=at, times=2)
        checkpoints = ac.Checkpoints(tmp_path / str(at))
        with pytest.raises(KeyboardInterrupt):
            everything_at_once(problem, checkpoints, **options)
        assert len(checkpoints.paths) >= 1, "what there is has been saved"
        assert everything_at_once(Regression(), checkpoints, **options)[1] == expected


def test_the_last_steps_are_saved_before_the_second_is_raised(tmp_path):
    checkpoints = ac.Checkpoints(tmp_path, every=1000)
    problem = Pressing(at=40, times=2)
    with pytest.raises(KeyboardInterrupt):
        ac.fit(problem, sgd, steps=STEPS, checkpoints=checkpoints, progress=None)
    assert [path.name for path in checkpoints.paths] == ["step-0000000012.safetensors"]


def test_best_weights_are_restored_when_the_second_is_raised():
    problem = Pressing(at=60, times=2)
    params = problem.init(np.random.default_rng(0))
    opt, stopping = ac.SGD(params, lr=0.4), ac.EarlyStopping(patience=50)
    with pytest.raises(KeyboardInterrupt):
        ac.fit(problem, opt, steps=100, validate_every=1, early_stopping=stopping, progress=None)
    assert Regression().evaluate(params)["val_loss"] == stopping.best


def test_during_the_validation_at_the_end(tmp_path):
    """The steps are done, and yet whoever has called `fit` hears of it."""

    class Last(Regression):
        def evaluate(self, params):
            press()
            return super().evaluate(params)

    run = ac.fit(Last(), sgd, steps=5, checkpoints=tmp_path, progress=None)
    assert (run.ended, run.step) == ("interrupted", 5)
    assert np.isfinite(run.history["val_loss"][-1])
    with pytest.raises(KeyboardInterrupt):
        ac.fit(Twice(), sgd, steps=5, progress=None)


class Twice(Regression):
    def evaluate(self, params):
        press()
        press()
        return super().evaluate(params)


def test_no_validation_and_no_more_steps_after_it():
    problem = Regression()
    run = ac.fit(problem, sgd, steps=50, callbacks=[lambda run: run.step == 3 and press()], progress=None)
    assert (run.ended, run.step, problem.evaluated) == ("interrupted", 3, 0)
    assert "val_loss" not in run.history


@pytest.mark.parametrize("where", ["init", "factory"])
def test_before_there_is_a_run(where, tmp_path):
    problem = Regression()
    factory = sgd
    if where == "init":
        problem.init = lambda _: press()
    else:
        factory = lambda _: press()  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        ac.fit(problem, factory, steps=5, checkpoints=tmp_path, progress=None)
    assert list(tmp_path.iterdir()) == []


def test_a_handler_of_the_program_is_left_alone():
    seen = []

    def handler(*_):
        seen.append(signal.SIGINT)

    signal.signal(signal.SIGINT, handler)
    try:
        run = ac.fit(Pressing(at=9, times=3), sgd, steps=5, progress=None)
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert (run.ended, len(seen)) == ("steps", 3)


def test_a_handler_that_is_set_meanwhile_stays():
    def handler(*_):
        raise AssertionError

    def callback(run):
        if run.step == 2:
            signal.signal(signal.SIGINT, handler)

    ac.fit(Regression(), sgd, steps=5, callbacks=[callback], progress=None)
    after = signal.signal(signal.SIGINT, signal.default_int_handler)
    assert after is handler


def test_ignored_signals_are_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ac.fit(Pressing(at=9, times=3), sgd, steps=5, progress=None).ended == "steps"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_run_within_a_run():
    """The outer one ends when the inner one has."""
    inner = []

    def callback(run):
        if run.step == 2:
            inner.append(ac.fit(Pressing(at=9), sgd, steps=5, progress=None))

    outer = ac.fit(Regression(), sgd, steps=9, callbacks=[callback], progress=None)
    assert (inner[0].ended, outer.ended, outer.step) == ("steps", "interrupted", 2)


def test_in_threads():
    expected = ac.fit(Regression(), adam, steps=30, progress=None)
    runs = []
    work = [
        threading.Thread(target=lambda: runs.append(ac.fit(Regression(), adam, steps=30, progress=None)))
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert [run.params["w"].tobytes() for run in runs] == [expected.params["w"].tobytes()] * 4


class OopsError(Exception):
    """The user's."""


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("factory", [adam, ac.ScheduleFreeAdamW])
def test_errors_of_users_leave_everything_as_it_was(ema, factory):
    broke_in = set()
    for at in range(1, 60):
        problem = Breaking(at=at, error=OopsError)
        params = problem.init(np.random.default_rng(0))
        opt = factory(params)
        with pytest.raises(OopsError) as raised:
            ac.fit(problem, opt, epochs=5, ema=ema, progress=None)
        broke_in.add(str(raised.value))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        twin = factory(Regression().init(np.random.default_rng(0)))
        ac.fit(Regression(), twin, steps=opt.completed, ema=ema, progress=None)
        assert [p.tobytes() for p in opt.param_groups[0]["params"]] == [
            p.tobytes() for p in twin.param_groups[0]["params"]
        ], "the average is not left in their place"
        opt.step({name: np.zeros_like(p) for name, p in params.items()})
    assert broke_in == {"batches", "loss_and_grad", "weight", "evaluate"}


@pytest.mark.parametrize("accumulate", [1, 3] if EXHAUSTIVE else [3])
def test_a_handler_that_raises_at_any_moment_of_ours(accumulate, tmp_path, monkeypatch):
    """What is half done is not saved. As with `accumulate`, steps may have been done of which the run knows nothing."""
    monkeypatch.setattr(interruptions, "Interruption", KeyboardInterrupt)
    options = dict(steps=8, accumulate=accumulate, validate_every=3)
    _, expected = everything_at_once(Regression(), **options)
    folders, came = [], []

    def go(folder):
        try:
            came.append(everything_at_once(Regression(), ac.Checkpoints(folder, every=2), **options)[0].ended)
        except KeyboardInterrupt:
            came.append("raised")

    def prepare():
        folders.append(tmp_path / str(len(folders)))
        return lambda: go(folders[-1])

    def check():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert everything_at_once(Regression(), ac.Checkpoints(folders[-1], every=2), **options)[1] == expected

    interruptions.interrupt_everywhere(prepare, check, 20)
    assert "interrupted" in came


def test_half_of_a_validation_is_not_saved(tmp_path):
    class Interrupting(ac.Monitor):
        def observe_validation(self, metric):
            found = super().observe_validation(metric)
            if self._seen == 14:
                raise KeyboardInterrupt
            return found

    options = dict(steps=14)
    _, expected = everything_at_once(Regression(), monitor=ac.Monitor, **options)
    run, _ = everything_at_once(Regression(), tmp_path, monitor=Interrupting, **options)
    assert (run.ended, run.step) == ("interrupted", 14)
    assert everything_at_once(Regression(), tmp_path, monitor=ac.Monitor, **options)[1] == expected
