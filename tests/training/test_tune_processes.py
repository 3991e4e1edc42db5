"""Several processes that tune: those of one call, and those that share a file and may be killed."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest

import adamcore as ac
import places
import small_problems
from adamcore.training.tuning import processes
from adamcore.training.tuning import study as study_module
from pairs import EXHAUSTIVE
from small_problems import Line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

STEPS = 48
TESTS = places.ROOT / "tests"

SLOW = """
import signal, time
import adamcore as ac
from small_problems import Line

class Slow(Line):
    def loss_and_grad(self, params, batch):
        time.sleep({seconds})
        return super().loss_and_grad(params, batch)

problem = Slow()

if __name__ == "__main__":
    # A shell that starts tests in the background has them ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("begins", flush=True)
    found = ac.tune(problem, ac.AdamW, steps=48, trials={trials}, progress={progress}, workers={workers}, {options})
    print(len(found.trials), found.best_value, flush=True)
"""


slow = pytest.mark.skipif(not EXHAUSTIVE, reason="starts many processes: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")


def tune(problem=None, rule=ac.AdamW, *, steps=STEPS, trials=12, **options):
    return ac.tune(problem or Line(), rule, steps=steps, trials=trials, progress=None, **options)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


def start(folder, *, seconds=0.0, trials=12, progress=None, workers=1, **options):
    """Start a process that tunes."""
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    code = SLOW.format(seconds=seconds, trials=trials, progress=repr(progress), workers=workers, options=given)
    (folder / "slow.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    process = subprocess.Popen(
        [sys.executable, "slow.py"],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "begins\n"
    return process


def finished(file):
    """How many trials in a journal have ended."""
    if not file.exists():
        return 0
    with optuna_quiet():
        storage = study_module.open_storage(file)
        found = storage.get_all_trials(0) if storage.get_all_studies() else []
    return sum(trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED) for trial in found)


def optuna_quiet():
    from adamcore.training.tuning.sampling import quiet

    return quiet()


def wait_for(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def children(process):
    found = subprocess.run(["ps", "-o", "pid=", "-g", str(process)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split() if int(line) != process and is_alive(int(line))]


def is_alive(process):
    return processes._started(process) is not None


def test_two_processes_share_one_study_and_one_that_is_killed_is_made_up_for(tmp_path):
    file = tmp_path / "study"
    options = dict(seconds=2e-3, trials=30, storage=str(file))
    first, second = start(tmp_path, **options), start(tmp_path, **options)
    wait_for(lambda: finished(file) >= 6)
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert out.split()[0] == "30"
    problem = type("Slow", (Line,), {})()
    found = tune(problem, storage=file, trials=30)
    assert problem.seen == []
    assert len(found.trials) == 30
    assert found.best_value == float(out.split()[1])
    owners = {tuple(trial.user_attrs["owner"][1:3]) for trial in found.study.trials if trial.state != 3}
    assert len(owners) == 2, "both have run some"
    for trial in found.trials:
        run = ac.fit(
            Line(), partial(ac.AdamW, **trial["numbers"]), steps=trial["steps"], validate_every=99, progress=None
        )
        assert trial["value"] == run.history["val_loss"][-1]


@slow
def test_a_search_that_was_killed_goes_on_as_if_nothing_had_been(tmp_path):
    file = tmp_path / "study"
    process = start(tmp_path, seconds=3e-3, trials=14, storage=str(file))
    wait_for(lambda: finished(file) >= 4)
    process.kill()
    process.communicate()
    done = finished(file)
    assert 4 <= done < 14
    problem = type("Slow", (Line,), {})()
    found = tune(problem, storage=file, trials=14)
    assert found.trials == tune(type("Slow", (Line,), {})(), trials=14).trials
    assert len(problem.seen) == sum(trial["steps"] for trial in found.trials[done:])


def test_workers_run_exactly_as_many_trials_as_asked_for():
    found = tune(workers=2, trials=11)
    assert len(found.trials) == 11
    assert len(found.study.trials) >= 11
    for trial in found.trials:
        run = ac.fit(
            Line(), partial(ac.AdamW, **trial["numbers"]), steps=trial["steps"], validate_every=99, progress=None
        )
        assert trial["value"] == run.history["val_loss"][-1]
    assert found.study.best_value == found.best_value


@slow
def test_workers_go_on_with_a_file(tmp_path):
    file = tmp_path / "study"
    assert len(tune(workers=2, trials=3, storage=file).trials) == 3
    assert len(tune(storage=file, trials=5).trials) == 5
    assert len(tune(workers=3, trials=8, storage=file).trials) == 8


@slow
def test_a_module_can_be_a_problem_of_workers(tmp_path, monkeypatch):
    functions = "init, batches, loss_and_grad = _line.init, _line.batches, _line.loss_and_grad\n"
    (tmp_path / "loaded.py").write_text(f"from small_problems import Line\n_line = Line()\n{functions}")
    spec = importlib.util.spec_from_file_location("problem.loaded", tmp_path / "loaded.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.syspath_prepend(str(Path(small_problems.__file__).parent))
    assert len(tune(module, workers=2, trials=4).trials) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rule": lambda params, lr: ac.SGD(params, lr=lr)}, "other processes get the rule, and .* cannot be sent"),
        ({"space": lambda trial: {"lr": trial.suggest_float("lr", 1, 2)}}, "get the space, and .* cannot be sent"),
        ({"problem": type("Local", (Line,), {})()}, "get the problem, and .* cannot be sent"),
        ({"storage": optuna.storages.InMemoryStorage()}, "workers > 1 need a storage that processes share"),
    ],
)
def test_what_cannot_be_sent_to_workers_is_refused_before_anything_runs(wrong, message):
    with pytest.raises((TypeError, ValueError), match=f"tune: .*{message}"):
        tune(**{"problem": Line(), **wrong}, workers=2)


class Broken(Line):
    """It does not work in a worker."""

    def loss_and_grad(self, params, batch):
        if len(self.seen) == 60:
            raise ValueError("a mistake")
        return super().loss_and_grad(params, batch)


class Fatal(Line):
    """It ends its process."""

    def loss_and_grad(self, params, batch):
        if len(self.seen) == 60:
            os._exit(7)
        return super().loss_and_grad(params, batch)


@slow
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [("Broken", ValueError, "a mistake"), ("Fatal", RuntimeError, r"exit codes are \[7, 7\]")],
)
def test_errors_in_workers_are_raised(name, error, message, tmp_path, monkeypatch):
    source = Path(__file__).read_text()
    (tmp_path / "breaking.py").write_text(
        "import os\nfrom small_problems import Line\n\n" + source[source.index(f"class {name}(") :].split("\n\n\n")[0]
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import breaking

    with pytest.raises(error, match=message):
        tune(getattr(breaking, name)(), workers=2)
    del sys.modules["breaking"]


def test_ctrl_c_ends_workers_between_steps(tmp_path):
    file = tmp_path / "study"
    process = start(tmp_path, seconds=4e-3, trials=500, workers=2, storage=str(file))
    wait_for(lambda: finished(file) >= 3)
    workers = children(process.pid)
    assert len(workers) >= 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert 3 <= int(out.split()[0]) < 500
    assert err == ""
    wait_for(lambda: not any(map(is_alive, workers)))
    trials = study_module.open_storage(file).get_all_trials(0)
    assert not [trial for trial in trials if trial.state == optuna.trial.TrialState.RUNNING]


@slow
def test_workers_end_when_the_first_process_is_killed(tmp_path):
    file = tmp_path / "study"
    process = start(tmp_path, seconds=4e-3, trials=500, workers=2, storage=str(file))
    wait_for(lambda: finished(file) >= 2)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.communicate()
    wait_for(lambda: not any(map(is_alive, workers)))


@slow
def test_nothing_of_a_search_in_workers_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    tune(workers=2, trials=3)
    assert not any(tmp_path.iterdir())
    assert np.isfinite(tune(trials=3).best_value)
