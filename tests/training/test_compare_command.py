"""``python -m adamcore compare``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import adamcore as ac
from adamcore import __main__ as cli
from adamcore._cli.problems import UsageError, load_problem, read_rules
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
    return {"val_loss": float(np.square(params["w"] - 1).sum())}

class Other:
    init, batches = staticmethod(init), staticmethod(batches)
    def loss_and_grad(self, params, x):
        return loss_and_grad(params, x)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a problem, in which commands run."""
    (tmp_path / "my_problem.py").write_text(PROBLEM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("my_problem", "broken", "pack", "pack.age", "pack.age.relative"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["my_problem", "my_problem.py", "my_problem:Other", "./my_problem.py:Other"])
def test_a_problem_of_the_users_is_compared(here, capsys, name):
    options = ["--rules", "sgd, adam(betas=(0.8, 0.9))", "--lr", "0.01,0.1", "--steps", "40", "--seeds", "2"]
    assert cli.main(["compare", name, *options, "--report", "out.html", "--json", "out.json"]) == 0
    shown = capsys.readouterr().out
    assert "SGD" in shown
    assert "Adam(betas=(0.8, 0.9))" in shown
    assert "Report: out.html" in shown
    assert (here / "out.html").read_text().startswith("<!DOCTYPE html>")
    data = json.loads((here / "out.json").read_text())
    assert data["seeds"] == [0, 1]
    assert {tuple(row["lrs"]) for row in data["rows"]} == {(0.01, 0.1)}


@pytest.mark.parametrize("lacks", ["init", "batches", "loss_and_grad"])
def test_a_problem_that_lacks_a_function_exits_with_2_and_names_it(here, capsys, lacks):
    (here / "broken.py").write_text(PROBLEM.replace(f"def {lacks}(", f"def not_{lacks}(").split("class Other")[0])
    assert cli.main(["compare", "broken", "--steps", "3"]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("adamcore compare: the problem broken lacks ")
    assert f"{lacks}(" in written.err


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no data')", "broken cannot be imported: ValueError: no data (broken.py, line 1)"),
        ("import not_installed_at_all", "broken needs not_installed_at_all, which is not installed"),
        ("def f(:", "broken cannot be imported: SyntaxError: invalid syntax (broken.py, line 1)"),
        ("open('no data')", "No such file or directory: 'no data' (broken.py, line 1)"),
        ("import sys; sys.exit(0)", "broken ends the program when it is imported"),
        (PROBLEM.replace("error = x @", "error = y @"), "NameError: name 'y' is not defined (broken.py, line 12)"),
        (PROBLEM.replace("float(np.square(error).mean()), ", ""), "loss_and_grad must return (loss, grads)"),
        (PROBLEM.replace("range(7)", "range(0)"), "gave no batch"),
        (PROBLEM.replace('{"val_loss": float', '{"val_loss": str'), "evaluate: val_loss must be a number"),
        (PROBLEM.replace('{"w": 2 * x', '{"v": 2 * x'), "grads"),
        (PROBLEM.replace("rng.standard_normal(3)}", "None}"), "params"),
    ],
)
def test_a_problem_that_does_not_work_exits_with_2_and_says_why(here, capsys, code, message):
    (here / "broken.py").write_text(code)
    assert cli.main(["compare", "broken", "--steps", "3"]) == 2
    written = capsys.readouterr()
    assert message in written.err
    assert "Traceback" not in written.err
    assert written.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no module 'nowhere'"),
        (["nowhere.py"], "there is no file nowhere.py"),
        (["my_problem:Othr"], "my_problem has no 'Othr'; did you mean 'Other'?"),
        (["my_problem:Other.deeper"], "my_problem has no 'Other.deeper'"),
        (["./my_problem"], "there is no module './my_problem'; name a module, or a file that ends in .py"),
        (["my_problem", "--metric", "nothing"], "evaluate(params) gave no 'val_nothing', but val_loss"),
        (["my_problem", "--target", "nan"], "target must be a finite number"),
        (["my_problem:Other", "--mode", "max"], 'mode="max" needs a problem with evaluate'),
        (["my_problem", "--rules", "sgd,SGD"], "--rules: SGD is named twice"),
        (["my_problem", "--rules", "sgd(momentum=0.9, momentum=0.8)"], "expected names such as"),
        (["my_problem", "--rules", "sgd(**{'momentum': 0.9})"], "options must be numbers, texts or True"),
        (["my_problem", "--rules", "adamx"], "there is no rule 'adamx'; did you mean 'adam"),
        (["my_problem", "--rules", "sgd(0.1)"], "expected a name such as sgd or sgd(momentum=0.9)"),
        (["my_problem", "--rules", "sgd(lr="], "expected names such as"),
        (["my_problem", "--rules", "sgd(lr=open('x'))"], "options must be numbers, texts or True"),
        (["my_problem", "--rules", "sgd(momentun=0.9)"], "momentun"),
        (["my_problem", "--rules", "sgd(momentum=-1)"], "momentum"),
        (["my_problem", "--lr", "0.1,fast"], "--lr: expected numbers"),
        (["my_problem", "--lr", "0.1,0.1"], "--lr: expected different numbers"),
        (["my_problem", "--lr", "-0.1"], "--lr: expected different numbers > 0"),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_arguments_exit_with_2(capsys, arguments, message):
    arguments = [f"{a}={b}" if a == "--lr" else a for a, b in zip(arguments, [*arguments[1:], ""], strict=True)]
    arguments = [a for i, a in enumerate(arguments) if not (i and arguments[i - 1].startswith("--lr="))]
    assert cli.main(["compare", *arguments]) == 2
    written = capsys.readouterr()
    assert message in written.err
    assert written.out == ""


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(here, capsys):
    (here / "folder").mkdir()
    for path in ("nowhere/out.html", "folder"):
        assert cli.main(["compare", "my_problem", "--report", path]) == 1
        assert f"cannot write {path}" in capsys.readouterr().err
    assert not (here / "out.html").exists()


@pytest.mark.usefixtures("here")
def test_what_cannot_be_written_in_the_end_is_said(capsys):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    assert cli.main(["compare", "my_problem", "--steps", "3", "--seeds", "1", "--json", "/dev/full"]) == 1
    written = capsys.readouterr()
    assert "one seed says nothing" in written.out
    assert written.err.splitlines()[-1] == "adamcore compare: cannot write /dev/full: No space left on device"


def test_an_older_report_stays_until_there_is_a_new_one(here, monkeypatch):
    from adamcore._files import writing

    older = here / "out.json"
    older.write_text("older")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_all", fail)
    assert cli.main(["compare", "my_problem", "--steps", "3", "--seeds", "1", "--json", "out.json"]) == 1
    assert older.read_text() == "older"
    assert sorted(path.name for path in here.iterdir() if path.suffix != "") == ["my_problem.py", "out.json"]


def test_what_a_problem_prints_is_no_result(here, capsys):
    (here / "broken.py").write_text(
        "print('at import')\n" + PROBLEM.replace("    error", "    print('a step')\n    error")
    )
    assert cli.main(["compare", "broken", "--steps", "3", "--seeds", "1"]) == 0
    written = capsys.readouterr()
    assert written.out.startswith("No difference shown")
    assert "a step" not in written.out
    assert "at import" in written.err


def test_rates_that_diverge_at_once_are_no_fault_of_the_problem(here, capsys):
    checked = PROBLEM.replace(
        "def evaluate(params):", "def evaluate(params):\n    assert abs(params['w']).max() < 1e100"
    )
    (here / "broken.py").write_text(checked)
    assert cli.main(["compare", "broken", "--rules", "sgd", "--lr", "1e155", "--steps", "3", "--seeds", "1"]) == 0
    assert "every rule diverged" in capsys.readouterr().out


def test_files_of_any_name_and_place(here, capsys):
    fields = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    holder = "\n@dataclass\nclass Holder:\n    size: int\n    inner = Other\nmade = Holder(3)\n"
    (here / "a folder").mkdir()
    (here / "a folder" / "statistics.py").write_text(fields + PROBLEM + holder)  # named like a module of Python's
    (here / "pack" / "age").mkdir(parents=True)
    (here / "pack" / "__init__.py").touch()
    (here / "pack" / "age" / "__init__.py").write_text("ONE = 1")
    (here / "pack" / "age" / "relative.py").write_text("from . import ONE\nfrom .. import age\n" + PROBLEM)
    for name in ("a folder/statistics.py", "a folder/statistics.py:made.inner", "pack/age/relative.py"):
        assert cli.main(["compare", name, "--rules", "sgd", "--steps", "3", "--seeds", "1"]) == 0, capsys.readouterr()
    assert cli.main(["compare", "a folder/statistics.py:Holder", "--steps", "3"]) == 2
    assert "Holder is a class, and Holder() does not work: TypeError" in capsys.readouterr().err
    (here / "broken.py").write_text("from . import ONE")
    assert cli.main(["compare", "broken.py"]) == 2
    assert "it has no __init__.py" in capsys.readouterr().err


def test_ctrl_c_while_the_problem_is_tried_out(here, capsys):
    raises = "    calls.append(1)\n    if len(calls) == 1:\n        raise KeyboardInterrupt\n    error"
    (here / "broken.py").write_text("calls = []\n" + PROBLEM.replace("    error", raises, 1))
    assert cli.main(["compare", "broken", "--steps", "3"]) == 130
    assert capsys.readouterr() == ("", "adamcore: interrupted\n")


def test_rules_have_the_rates_that_they_are_given():
    rules = read_rules("adamw, sgd(lr=0.5, momentum=0.9)", [0.1, 0.2, 0.3])
    assert [len(makers) for makers in rules.values()] == [3, 1]
    assert list(rules) == ["AdamW", "SGD(lr=0.5, momentum=0.9)"]
    assert [maker.keywords["lr"] for maker in rules["AdamW"]] == [0.1, 0.2, 0.3]
    assert [len(makers) for makers in read_rules("adamw,lion", None).values()] == [1, 1]


def test_what_is_in_a_file_is_code_and_not_looked_for_elsewhere(here):
    (here / "digits.py").write_text(PROBLEM)
    assert load_problem("digits").__file__ == str(here / "digits.py")
    sys.modules.pop("digits")
    (here / "digits.py").unlink()
    assert load_problem("digits").__name__ == "adamcore._cli.digits"
    with pytest.raises(UsageError, match="no module"):
        load_problem("my_problem.deeper")


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes four seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_five_rules_on_the_digits_take_less_than_a_minute(tmp_path):
    rules = "adamw,sgd(momentum=0.9),rmsprop,adagrad,sgd(maximize=True)"
    command = [sys.executable, "-m", "adamcore", "compare", "--rules", rules, "--lr", "1e-2", "--json", "out.json"]
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "SGD(maximize=True): 3 of 3 runs diverged" in done.stdout
    data = json.loads((tmp_path / "out.json").read_text())
    assert [row["diverged"] for row in data["rows"]] == [0, 0, 0, 0, 3]
    assert max(row["final_median"] for row in data["rows"][:4]) < 0.5


def test_the_digits_give_the_same_numbers_again():
    rules = read_rules("adamw,sgd(momentum=0.9)", [0.01, 0.1])
    problem = load_problem("digits")
    first, again = (ac.compare(problem, rules, steps=60, progress=None).to_json(times=False) for _ in range(2))
    assert first == again


def test_the_digits_need_scikit_learn(tmp_path):
    code = "import sys; sys.modules['sklearn'] = None; from adamcore.__main__ import main; sys.exit(main(['compare']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == 'adamcore: the digits need scikit-learn: pip install "adamcore[demo]"\n'
