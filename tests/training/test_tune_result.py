"""`Tuning`: the best trials on new seeds, what matters, tables, files and pictures."""

from __future__ import annotations

import json
import math
import sys
from functools import partial
from statistics import median

import optuna
import pytest

import adamcore as ac
from small_problems import Line

STEPS = 54


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


def test_refining_runs_the_best_on_new_seeds(tuning):
    found = tune(seed=3)
    ranked = sorted((t for t in found.trials if t["state"] == "complete"), key=lambda trial: trial["value"])
    before = found.best_value
    refined = found.refine(top=2, seeds=3, progress=None)
    assert sorted(row["trial"] for row in refined.rows) == sorted(trial["number"] for trial in ranked[:2])
    for row in refined.rows:
        assert row["values"] == [fitted(row["numbers"], seed=seed) for seed in (4, 5, 6)]
        assert (row["median"], row["min"], row["max"]) == (
            median(row["values"]),
            min(row["values"]),
            max(row["values"]),
        )
    medians = [row["median"] for row in refined.rows]
    assert medians == sorted(medians)
    assert (found.best, found.best_value) == (refined.rows[0]["numbers"], medians[0])
    wins = sum(a < b for a, b in zip(refined.rows[0]["values"], refined.rows[1]["values"], strict=True))
    assert refined.is_shown == (wins == 3)
    assert refined.verdict.startswith(f"trial {refined.trial} is best" if wins == 3 else "no difference shown")
    assert refined.verdict[1:] in " ".join(str(found).split())
    assert before == tuning.best_value
    assert "too good" in str(tuning)
    assert "too good" not in str(found)
    assert json.loads(found.to_json())["refined"]["rows"][0]["median"] == medians[0]


def test_refining_can_have_other_steps_and_other_metrics():
    found = tune(Line(noise=0.5), metric="val_right", mode="max", trials=9, seeds=2)
    refined = found.refine(top=1, seeds=2, steps=20, progress=None)
    values = [fitted(refined.best, 20, seed, problem=Line(noise=0.5), metric="val_right") for seed in (2, 3)]
    assert refined.rows[0]["values"] == values
    alone = tune(Line(validates=False), trials=6).refine(top=9, seeds=1, progress=None)
    assert "one seed says nothing" in alone.verdict


@pytest.mark.parametrize("wrong", [{"top": 0}, {"seeds": 0}, {"steps": 0}, {"top": True}])
def test_refining_checks_its_arguments(tuning, wrong):
    (name,) = wrong
    with pytest.raises((TypeError, ValueError), match=f"refine: {name} must be an int >= 1"):
        tuning.refine(**wrong)
    assert tuning.refined is None


def test_importance_finds_what_matters(monkeypatch):
    space = {"lr": (1e-6, 1.0), "momentum": None, "weight_decay": (1e-12, 1e-9), "dampening": [0.0, 0.5]}
    shares = tune(rule=ac.SGD, trials=40, space=space).importance()
    assert next(iter(shares)) == "lr"
    assert set(shares) == {"lr", "weight_decay", "dampening"}
    assert shares["lr"] > 0.9  # without momentum, dampening does nothing
    assert sum(shares.values()) == pytest.approx(1)
    one = tune(trials=1)
    with pytest.raises(ValueError, match="importance needs two trials or more, and 1 ended"):
        one.importance()
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match="importance needs sklearn: pip install"):
        one.importance()


@pytest.mark.parametrize(
    ("space", "hint"),
    [
        ({"lr": (1e-7, 1e-4)}, "is at the highest end of its range: search among higher ones too"),
        ({"lr": (0.3, 300.0)}, "is at the lowest end of its range: search among lower ones too"),
    ],
)
def test_the_best_at_an_end_of_its_range_is_said(space, hint):
    found = tune(rule=ac.SGD, space={**space, "momentum": None}, trials=25, pruner=None)
    assert f"lr, {found.best['lr']:.5g}, {hint}" in " ".join(str(found).split())
    assert "end of its range" not in str(tune(rule=ac.SGD, space={"momentum": None}, trials=25))


def test_tables_and_json_have_everything(tuning):
    lines = str(tuning).splitlines()
    assert lines[0].startswith("AdamW on Line: 20 trials (")
    assert lines[1].startswith(f"Best val_loss: {tuning.best_value:.4g} with lr=")
    assert any(line.split()[:4] == ["trial", "value", "state", "steps"] for line in lines)
    data = json.loads(tuning.to_json())
    assert data["trials"][0]["numbers"] == {"lr": 0.001, "betas": [0.9, 0.999]}
    assert data["best_value"] == tuning.best_value
    assert data["total_steps"] == tuning.steps
    assert repr(tuning) == "<Tuning of AdamW on Line: 20 trials>"


def test_files_are_written(tuning, tmp_path):
    text = tuning.to_json(tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == text
    figure = tuning.plot(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_xlabel() for axes in figure.axes[:4]] == ["trial", "lr", "1 - beta1", "1 - beta2"]
    points = {tuple(point) for dots in figure.axes[1].collections for point in dots.get_offsets().tolist()}
    assert points == {(trial["numbers"]["lr"], trial["value"]) for trial in tuning.trials}


def test_the_study_is_optunas(tuning):
    assert isinstance(tuning.study, optuna.Study)
    assert tuning.study.best_value == tuning.best_value
    assert len(tuning.study.trials) == 20


def test_what_is_returned_is_a_copy(tuning):
    tuning.trials[0]["numbers"]["lr"] = 3.0
    tuning.best["lr"] = 3.0
    assert tuning.trials[0]["numbers"]["lr"] == 0.001
    assert tuning.best["lr"] != 3.0


def test_lines_are_printed_for_each_new_best(capsys):
    found = ac.tune(Line(), "sgd", steps=STEPS, trials=15, progress="lines")
    lines = capsys.readouterr().err.splitlines()
    complete = [trial["value"] for trial in found.trials if trial["state"] == "complete"]
    bests = [value for place, value in enumerate(complete) if value < min(complete[:place], default=math.inf)]
    assert [line.split("val_loss ")[1].split()[0] for line in lines] == [f"{value:.4g}" for value in bests]
    assert lines[0].startswith("tune: trial 1 of 15: val_loss ")
    ac.tune(Line(), "sgd", steps=STEPS, trials=3, progress=None)
    ac.tune(Line(), "sgd", steps=STEPS, trials=3, progress="bar")
    assert "tune: trial" in capsys.readouterr().err


def test_optunas_own_settings_are_left_alone(capfd):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    tune(trials=3)
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    optuna.logging.set_verbosity(before)
    assert capfd.readouterr().err == ""
