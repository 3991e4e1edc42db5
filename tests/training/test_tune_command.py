"""``python -m adamcore tune``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import adamcore as ac
from adamcore import __main__ as cli
from adamcore._cli.problems import UsageError, load_problem
from adamcore._cli.search_space import read_space
from pairs import EXHAUSTIVE

PROBLEM = """
import numpy as np

def init(rng):
    return {"w": rng.standard_normal(3)}

def batches(rng):
    for _ in range(7):
        yield rng.standard_normal((32, 3))

def loss_and_grad(params, x):
    error = x @ params["w"] - x.sum(axis=1)
    return float(np.square(error).mean()), {"w": 2 * x.T @ error / len(x)}

def evaluate(params):
    return {"val_loss": float(np.square(params["w"] - 1).sum()), "near": float((abs(params["w"] - 1) < 0.1).mean())}

class Other:
    init, batches = staticmethod(init), staticmethod(batches)
    def loss_and_grad(self, params, x):
        return loss_and_grad(params, x)
"""

SHORT = ["--steps", "30", "--trials", "6"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a problem, in which commands run."""
    (tmp_path / "my_problem.py").write_text(PROBLEM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("my_problem", "broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["my_problem", "./my_problem.py:Other"])
def test_a_problem_of_the_users_is_tuned(here, capsys, name):
    options = ["--rule", "sgd(nesterov=True)", "--space", "lr=1e-4..0.3, weight_decay", "--seed", "3", *SHORT]
    assert cli.main(["tune", name, *options, "--refine", "2", "--json", "out.json", "--plot", "out.png"]) == 0
    written = capsys.readouterr()
    assert written.out.startswith("SGD(nesterov=True) on ")
    assert "On new seeds: " in written.out
    assert written.out.endswith("Picture: out.png\n")
    assert (here / "out.png").read_bytes().startswith(b"\x89PNG")
    data = json.loads((here / "out.json").read_text())
    assert (data["seed"], data["steps"], len(data["trials"])) == (3, 30, 6)
    assert set(data["best"]) == {"lr", "momentum", "weight_decay"}
    assert len(data["refined"]["rows"]) <= 2
    # The same in Python.
    space = {"lr": (1e-4, 0.3), "weight_decay": True}
    rule = partial(ac.SGD, nesterov=True)
    found = ac.tune(load_problem(name), rule, space=space, steps=30, trials=6, seed=3, progress=None)
    assert json.loads(found.to_json())["trials"] == data["trials"]


@pytest.mark.usefixtures("here")
def test_options_reach_the_search(capsys):
    options = ["--metric", "near", "--mode", "max", "--pruner", "none", "--seeds", "2", "--json", "out.json"]
    assert cli.main(["tune", "my_problem", *options, *SHORT]) == 0
    data = json.loads(Path("out.json").read_text())
    assert {name: data[name] for name in ("metric", "mode", "pruner", "seeds", "rule")} == {
        "metric": "val_near",
        "mode": "max",
        "pruner": None,
        "seeds": 2,
        "rule": "AdamW",
    }
    assert [trial["steps"] for trial in data["trials"]] == [60] * 6
    assert "AdamW on my_problem: 6 trials (6 complete), 360 steps" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_a_study_in_a_file_goes_on(capsys):
    assert cli.main(["tune", "my_problem", "--storage", "study", "--steps", "30", "--trials", "3"]) == 0
    assert cli.main(["tune", "my_problem", "--storage", "study", *SHORT]) == 0
    assert "6 trials" in capsys.readouterr().out
    assert cli.main(["tune", "my_problem", "--storage", "study", "--steps", "31"]) == 2
    assert "adamcore tune: storage: the study in it has steps=30" in capsys.readouterr().err


@pytest.mark.parametrize("lacks", ["init", "batches", "loss_and_grad"])
def test_a_problem_that_lacks_a_function_exits_with_2_and_names_it(here, capsys, lacks):
    (here / "broken.py").write_text(PROBLEM.replace(f"def {lacks}(", f"def not_{lacks}(").split("class Other")[0])
    assert cli.main(["tune", "broken"]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("adamcore tune: the problem broken lacks ")
    assert f"{lacks}(" in written.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no module 'nowhere'"),
        (["my_problem", "--rule", "adamx"], "--rule: there is no rule 'adamx'; did you mean 'adam"),
        (["my_problem", "--rule", "adam,sgd"], "--rule: expected one rule, got Adam, SGD"),
        (["my_problem", "--rule", "sgd(momentun=0.9)"], "momentun"),
        (["my_problem", "--space", "lr=1..a"], "--space: expected parts such as lr=1e-4..1"),
        (["my_problem", "--space", "lr=1,lr=2"], "--space: lr is named twice"),
        (["my_problem", "--space", "rate=1e-4..1"], "space: AdamW has no number 'rate'; did you mean 'lr'"),
        (["my_problem", "--space", "beta1=0.5..1.5"], "space: AdamW does not take"),
        (["my_problem", "--metric", "nothing"], "evaluate(params) gave no 'val_nothing', but val_loss"),
        (["my_problem:Other", "--mode", "max"], 'mode="max" needs a problem with evaluate'),
        (["my_problem", "--storage", "nowhere/study"], "is in a folder that does not exist"),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_arguments_exit_with_2(capsys, arguments, message):
    assert cli.main(["tune", *arguments, *SHORT]) == 2
    written = capsys.readouterr()
    assert message in written.err
    assert written.err.startswith("adamcore tune: ")
    assert written.out == ""


@pytest.mark.usefixtures("here")
def test_numbers_that_argparse_refuses(capsys):
    for option in (["--trials", "0"], ["--seeds", "x"], ["--pruner", "halving"], ["--refine", "0"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(["tune", "my_problem", *option])
        assert ended.value.code == 2
        assert option[0] in capsys.readouterr().err


def test_files_that_cannot_be_written_are_refused_before_anything_runs(here, capsys):
    for option in (["--json", "nowhere/out.json"], ["--plot", "nowhere/out.png"], ["--plot", "out.txt"]):
        assert cli.main(["tune", "my_problem", *option]) == 1
        assert f"cannot write {option[1]}" in capsys.readouterr().err
    assert [path.name for path in here.iterdir() if path.is_file()] == ["my_problem.py"]


def test_what_a_problem_prints_is_no_result(here, capsys):
    (here / "broken.py").write_text(PROBLEM.replace("    error", "    print('a step')\n    error"))
    assert cli.main(["tune", "broken", *SHORT]) == 0
    written = capsys.readouterr()
    assert "a step" not in written.out
    assert "a step" in written.err


def test_spaces_that_can_be_written():
    assert read_space("lr=1e-4..1,eps") == {"lr": (1e-4, 1.0), "eps": True}
    assert read_space("beta1 = 0.8|0.9 , beta2=None") == {"beta1": [0.8, 0.9], "beta2": None}
    assert read_space("amsgrad=True|False,momentum=0.9") == {"amsgrad": [True, False], "momentum": 0.9}
    for wrong in ("", "lr=", "=1", "lr=1..", "lr 1", "lr=[1]", "lr=x", "lr=1,,eps"):
        with pytest.raises(UsageError, match="--space: expected parts such as"):
            read_space(wrong)


@pytest.mark.skipif(not EXHAUSTIVE, reason="starts many processes: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_the_digits_are_tuned_by_workers(tmp_path):
    command = [sys.executable, "-m", "adamcore", "tune", "--trials", "8", "--steps", "100", "--workers", "2"]
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("AdamW on digits: 8 trials (")
    assert done.stderr.startswith("tune: trial ")
    assert "Warning" not in done.stderr
    assert not any(tmp_path.iterdir())


def test_the_digits_are_the_problem_unless_another_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["tune", "--trials", "2", "--steps", "20"]) == 0
    assert capsys.readouterr().out.startswith("AdamW on digits: 2 trials (")


@pytest.mark.parametrize(("lacks", "named"), [("optuna", "tune needs optuna"), ("sklearn", "the digits need scikit")])
def test_what_is_not_installed_is_named(tmp_path, lacks, named):
    code = f"import sys; sys.modules[{lacks!r}] = None; from adamcore.__main__ import main; sys.exit(main(['tune']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    extra = "tune" if lacks == "optuna" else "demo"
    assert done.stderr.startswith(f"adamcore: {named}")
    assert done.stderr.endswith(f'pip install "adamcore[{extra}]"\n')
