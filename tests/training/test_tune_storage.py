"""Studies in files: they go on after Ctrl-C and kills, and several processes share one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial

import optuna
import pytest

import adamcore as ac
import places
from adamcore.training.tuning import processes
from adamcore.training.tuning import study as study_module
from small_problems import Line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

STEPS = 48
TESTS = places.ROOT / "tests"


def tune(problem=None, rule=ac.AdamW, *, steps=STEPS, trials=12, **options):
    return ac.tune(problem or Line(), rule, steps=steps, trials=trials, progress=None, **options)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Pressing(Line):
    """Somebody presses Ctrl-C in a step."""

    def __init__(self, at, press):
        super().__init__()
        self.at, self.press = at, press

    def loss_and_grad(self, params, batch):
        if len(self.seen) == self.at:
            self.press()
        return super().loss_and_grad(params, batch)


Pressing.__name__ = "Line"  # the problem of the study


def press():
    os.kill(os.getpid(), signal.SIGINT)


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture
def _handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_handler")
@pytest.mark.parametrize(("by", "pruner"), [(press, "asha"), (press, "hyperband"), (interrupt, "asha")])
def test_ctrl_c_returns_what_there_is_and_the_search_goes_on_as_if_nothing_had_been(by, pruner):
    expected = tune(pruner=pruner).trials
    for at in (0, 5, sum(trial["steps"] for trial in expected) // 2, sum(trial["steps"] for trial in expected) - 2):
        storage = optuna.storages.InMemoryStorage()
        problem = Pressing(at, by)
        found = tune(problem, pruner=pruner, storage=storage)
        done = len(found.trials)
        assert len(problem.seen) in (at, at + 1)
        assert found.trials == expected[:done]
        assert done < 12
        assert sum(trial["steps"] for trial in expected[: done + 1]) > at
        again = tune(storage=storage, pruner=pruner)
        # The rungs of the trial that was broken off count once: Optuna's other pruners see them twice.
        if pruner == "asha":
            assert again.trials == expected
        assert len(again.trials) == 12


@pytest.mark.usefixtures("_handler")
def test_a_second_ctrl_c_breaks_off_what_is_computed(tmp_path):
    def twice():
        press()
        press()

    with pytest.raises(KeyboardInterrupt):
        tune(Pressing(100, twice), storage=tmp_path / "study")
    assert tune(storage=tmp_path / "study").trials == tune().trials


def test_trials_are_counted_over_calls(tmp_path):
    file = tmp_path / "study"
    first = tune(storage=file, trials=5)
    problem = Line()
    assert tune(problem, storage=str(file), trials=5).trials == first.trials
    assert problem.seen == []
    assert tune(storage=file, trials=12).trials == tune().trials
    assert tune(storage=file, trials=3).trials == tune().trials


def test_storages_of_optunas_are_taken():
    storage = optuna.storages.InMemoryStorage()
    found = tune(storage=storage)
    assert found.to_json() == tune().to_json()
    assert tune(storage=storage).trials == found.trials


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"steps": 50}, r"the study in it has steps=48, and this call has steps=50; use the same, or another storage"),
        ({"space": {"lr": (1e-3, 0.1)}}, "has space="),
        ({"rule": ac.SGD}, "has rule='AdamW', and this call has rule='SGD'"),
        ({"rule": partial(ac.AdamW, cautious=True)}, r"this call has rule='AdamW\(cautious=True\)'"),
        ({"problem": type("Other", (Line,), {})()}, "has problem='Line', and this call has problem='Other'"),
        ({"seed": 1}, "has seed=0"),
        ({"seeds": 2}, "has seeds=1"),
        ({"metric": "right"}, "has metric='val_loss'"),
        ({"mode": "max"}, "has mode='min'"),
        ({"pruner": None}, "has pruner='asha'"),
        ({"validate_every": 5}, "has validate_every=None"),
    ],
)
def test_another_search_in_the_same_file_is_refused(tmp_path, other, message):
    file = tmp_path / "study"
    tune(storage=file, trials=1)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=f"tune: storage: .*{message}"):
        tune(storage=file, trials=3, **other)
    assert file.read_bytes() == before


def test_files_of_others_are_refused(tmp_path):
    file = tmp_path / "study"
    file.write_text("not\na\njournal\n")
    with pytest.raises(ValueError, match=r"tune: storage: .*study is no journal of Optuna's"):
        tune(storage=file)
    assert file.read_text() == "not\na\njournal\n"
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(storage=storage, study_name="adamcore").add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(ValueError, match="tune: storage: the study 'adamcore' in it was not made by tune"):
        tune(storage=storage)


def running(storage, *, owner=None, beat=None):
    """Add a trial that another process runs."""
    trial = optuna.load_study(study_name="adamcore", storage=storage).ask()
    if owner is not None:
        trial.set_user_attr("owner", owner)
        trial.set_user_attr("beat", beat)
    return trial


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_trials_of_dead_processes_are_run_again():
    here = processes.this_process()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    now = time.time()
    dead = [
        ([here[0], ended.pid, "1"], now),
        ([here[0], here[1], "another process had this number before"], now),
        ([*here, "a call that has ended"][:3], now),
        (["another machine", here[1], here[2]], now - 601),
    ]
    expected = tune().trials
    for (machine, number, started), beat in dead:
        storage = optuna.storages.InMemoryStorage()
        tune(storage=storage, trials=4)
        running(storage, owner=[machine, number, started, "a call"], beat=beat)
        assert tune(storage=storage).trials == expected


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_trials_without_a_process_are_run_again_after_a_while(monkeypatch):
    storage = optuna.storages.InMemoryStorage()
    tune(storage=storage, trials=4)
    running(storage)
    waits = []
    monkeypatch.setattr(study_module.Shared, "wait", lambda _: waits.append(time.sleep(0.05)))
    monkeypatch.setattr(study_module, "_NAMELESS", 0.3)
    assert len(tune(storage=storage, trials=5).trials) == 5
    assert waits


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_trials_that_others_still_run_are_waited_for(monkeypatch):
    storage = optuna.storages.InMemoryStorage()
    tune(storage=storage, trials=4)
    trial = running(storage, owner=["another machine", 1, "1", "a call"], beat=time.time() - 500)
    waits = []

    def wait(_):
        waits.append(1)
        if len(waits) == 3:
            for key, low, high in (("lr", 1e-5, 1.0), ("1-beta1", 0.01, 0.5), ("1-beta2", 1e-4, 0.1)):
                trial.suggest_float(key, low, high, log=True)
            trial.set_user_attr("steps", 48)
            trial.study.tell(trial, 0.25)

    monkeypatch.setattr(study_module.Shared, "wait", wait)
    found = tune(storage=storage, trials=5)
    assert len(waits) == 3
    assert [each["value"] for each in found.trials[4:]] == [0.25]
    # One that dies while it is waited for has its trial run again here.
    trial = running(storage, owner=["another machine", 1, "1", "a call"], beat=time.time() - 599.9)
    monkeypatch.setattr(study_module.Shared, "wait", lambda _: time.sleep(0.05))
    assert len(tune(storage=storage, trials=6).trials) == 6
    assert trial.study.trials[5].state == optuna.trial.TrialState.FAIL


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_process_that_was_taken_for_dead_gives_its_trial_up():
    storage = optuna.storages.InMemoryStorage()

    def take_away():
        taken = optuna.load_study(study_name="adamcore", storage=storage)
        taken.tell(taken.trials[-1].number, state=optuna.trial.TrialState.FAIL)

    problem = Pressing(100, take_away)
    found = tune(problem, storage=storage)
    assert found.trials == tune().trials
    assert len(problem.seen) > found.steps
    assert len(found.study.trials) == 13


def test_a_lock_of_a_process_that_was_killed_keeps_nobody_waiting(tmp_path):
    lock = processes.Lock(tmp_path / "study")
    file = tmp_path / "study.lock"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    began = time.monotonic()
    for process, started in ((ended.pid, "1"), (os.getpid(), "1")):
        file.write_text(f"{process} {started}\n{processes._machine()}")
        assert lock.acquire()
        assert file.read_text().startswith(f"{os.getpid()} {processes._started(os.getpid())}\n")
        lock.release()
        assert not any(tmp_path.iterdir())
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("content", ["", "1 1\nanother machine", None])
def test_other_locks_are_waited_for(tmp_path, content, monkeypatch):
    file = tmp_path / "study.lock"
    lock = processes.Lock(tmp_path / "study")
    if content is None:
        lock.acquire()
    else:
        file.write_text(content)
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 30:
            file.unlink()

    monkeypatch.setattr(processes.time, "sleep", sleep)
    assert lock.acquire()
    assert len(waited) == 30
    if content is not None:  # and longer than that only if they change
        file.write_text(content)
        monkeypatch.setattr(processes, "_GRACE", 0.0)
        assert lock.acquire()
        assert len(waited) < 40
