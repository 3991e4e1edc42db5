"""`Run`: what a run has measured, what it says of itself, and what is shown while it goes on."""

from __future__ import annotations

import csv
import io
import json
import pickle
import warnings

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules
from fitting import Regression, adam, diverging, sgd
from small_problems import Line

TYPES = {"step": np.int64, "skipped": np.bool_}


def fit(factory=adam, problem=None, **options):
    return ac.fit(problem or Regression(), factory, progress=None, **{"epochs": 3, **options})


def test_columns():
    rate = schedules.Linear(0.1, 0.0, steps=20)
    run = fit(lambda params: ac.SGD(params, lr=rate, clip_norm=1.0))
    history = run.history
    assert list(history) == ["step", "wall", "loss", "lr", "grad_norm", "skipped", "val_worst", "val_loss"]
    for name, column in history.items():
        assert column.dtype == TYPES.get(name, np.float64)
        assert column.shape == (21,)
    assert history["step"].tolist() == list(range(1, 22))
    assert history["lr"].tolist() == [rate(t) for t in range(21)], "the rate that the step used"
    assert (np.diff(history["wall"]) > 0).all()
    assert np.isfinite(history["grad_norm"]).all()
    assert not history["skipped"].any()
    assert np.flatnonzero(np.isfinite(history["val_loss"])).tolist() == [6, 13, 20]
    assert np.isnan(fit(sgd).history["grad_norm"]).all(), "nobody computed it"
    assert run.step == 21
    assert 0 < run.step_seconds < run.seconds <= history["wall"][-1] + 1


def test_rates_of_rules_without_one():
    assert fit(ac.Adafactor).history["lr"].dtype == np.float64


def test_skipped_steps_count():
    scaler = ac.LossScaler(2.0**20)
    run = fit(problem=Regression(np.float16), scaler=scaler, steps=12, epochs=None)
    assert run.step == 12
    assert run.opt.completed == 12 - run.history["skipped"].sum() < 12
    assert "skipped: " in run.describe()


def test_files(tmp_path):
    run = fit(sgd, problem=Regression(), steps=9)
    rows = list(csv.DictReader(io.StringIO(run.to_csv(tmp_path / "run.csv"))))
    assert (tmp_path / "run.csv").read_text() == run.to_csv()
    assert [float(row["loss"]) for row in rows] == run.history["loss"].tolist()
    assert rows[0]["grad_norm"] == rows[0]["val_loss"] == ""
    columns = json.loads(run.to_json(tmp_path / "run.json"))
    assert columns["loss"] == run.history["loss"].tolist()
    assert columns["skipped"] == [False] * 9
    assert columns["val_loss"][0] is None
    assert json.loads((tmp_path / "run.json").read_text()) == columns


@pytest.mark.parametrize("factory", [adam, diverging])
def test_pictures(factory, tmp_path):
    pytest.importorskip("matplotlib")
    with np.errstate(all="ignore"):
        run = fit(factory, epochs=40, monitor=True)
        run.plot(tmp_path / "run.png")
        fit(steps=0).plot(tmp_path / "empty.png")
    assert (tmp_path / "run.png").stat().st_size > (tmp_path / "empty.png").stat().st_size > 1000


def test_runs_can_be_pickled():
    run = fit(ema=0.9)
    again = pickle.loads(pickle.dumps(run))  # noqa: S301
    assert again.history["loss"].tolist() == run.history["loss"].tolist()
    assert again.describe() == run.describe()


HOW = {
    "steps": (dict(steps=5), "ended by the number of steps"),
    "epochs": (dict(epochs=1), "ended by the number of epochs"),
    "callback": (dict(callbacks=[lambda run: run.step == 5]), "ended by a callback"),
    "early_stopping": (dict(early_stopping=ac.EarlyStopping(patience=0, min_delta=1e9)), "ended by early stopping"),
}


@pytest.mark.parametrize("ended", HOW)
def test_how_it_ended(ended):
    options, said = HOW[ended]
    run = fit(**options)
    assert run.ended == ended
    assert repr(run) == f"<Run of AdamW: {run.step} steps, {said}>"
    assert run.describe().startswith(f"AdamW: {run.step} steps, {said}\n")


def test_callbacks_see_a_run_that_goes_on():
    seen = []
    fit(steps=1, callbacks=[lambda run: seen.append((run.ended, repr(run), run.describe().splitlines()[-1]))])
    assert seen[0][:2] == ("running", "<Run of AdamW: 1 step, still running>")


@pytest.mark.parametrize("yes", [True, np.True_, np.bool_(1)])
@pytest.mark.parametrize("no", [None, False, np.False_, 1, "text", np.ones(3)])
def test_callbacks_that_end_the_run(yes, no):
    called = []
    callbacks = [lambda run: yes if run.step == 3 else no, lambda run: called.append(run.step)]
    run = fit(callbacks=callbacks)
    assert (run.ended, run.step) == ("callback", 3)
    assert called == [1, 2, 3], "all are called"


def test_a_healthy_run():
    text = fit(monitor=True, early_stopping=ac.EarlyStopping(patience=99)).describe()
    lines = text.splitlines()
    assert 7 <= len(lines) <= 11
    assert max(map(len, lines)) <= 100
    starts = [
        "AdamW: 21 steps",
        "loss: ",
        "half of the way",
        "val_loss: ",
        "val_worst: ",
        "best validation: ",
        "rate: ",
    ]
    starts += ["speed: ", "findings: none", "next: nothing stands out"]
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert "gap to the training loss" in text


def test_without_a_monitor():
    lines = fit().describe().splitlines()
    assert lines[-1] == "next: pass monitor=True to see what could be better."
    assert not any(line.startswith("findings") for line in lines)


def test_while_it_still_falls():
    run = fit(lambda params: ac.SGD(params, lr=1e-3), epochs=60)
    assert run.describe().endswith("next: the loss is still falling: train for longer.")


@pytest.mark.parametrize("monitor", [None, True])
def test_a_run_that_diverged(monitor):
    with np.errstate(all="ignore"):
        run = fit(diverging, epochs=60, monitor=monitor)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = run.describe()
    advice = text[text.index("next: ") :]
    assert "nan at last" in text
    assert "rate" in advice
    assert "pass monitor" not in advice


def test_losses_that_were_never_finite():
    problem = Regression()
    problem.loss_and_grad = lambda params, _: (float("nan"), {name: np.zeros_like(p) for name, p in params.items()})
    problem.evaluate = lambda _: {"loss": float("nan")}
    text = fit(problem=problem).describe()
    assert "loss: never finite" in text
    assert "val_loss: never finite" in text
    assert "the loss is no longer finite" in text


def test_an_interrupted_run():
    def interrupt(run):
        if run.step == 4:
            raise KeyboardInterrupt

    text = fit(callbacks=[interrupt]).describe()
    assert text.startswith("AdamW: 4 steps, interrupted\n")
    assert text.endswith("next: if it has checkpoints, the same call goes on from here.")


@pytest.mark.parametrize("options", [dict(steps=0), dict(epochs=0), dict(steps=0, monitor=True, ema=0.9)])
def test_no_step(options, tmp_path):
    run = fit(**options, checkpoints=tmp_path)
    assert run.step == 0
    assert run.describe().endswith("next: there has been no step to say anything about.")
    assert run.to_csv() == "step,wall,loss,lr,grad_norm,skipped\n"
    assert fit(checkpoints=tmp_path, **{**options, "steps": 3, "epochs": None}).step == 3


def test_many_metrics_do_not_fill_a_page():
    problem = Regression()
    problem.evaluate = lambda _: {f"metric{i}": float(i) for i in range(30)} | {"loss": 1.0}
    lines = fit(problem=problem).describe().splitlines()
    assert len(lines) <= 11
    assert any(line.startswith("val_loss: ") for line in lines)
    assert "and 28 more metrics of validations" in lines


def test_speed_is_that_of_all_parts_of_a_run(tmp_path):
    first = fit(checkpoints=tmp_path, epochs=20)
    again = fit(checkpoints=tmp_path, epochs=20)
    assert again.step == first.step
    assert again.seconds == pytest.approx(first.seconds, rel=0.5)
    longer = fit(checkpoints=tmp_path, epochs=21)
    assert longer.seconds > again.seconds > 0
    assert (np.diff(longer.history["wall"]) > 0).all()


def test_findings_are_marked_at_the_steps_of_the_run():
    """Also if the optimizer has been trained before."""
    problem = Line()
    opt = ac.SGD(problem.init(np.random.default_rng(0)), lr=1e-9)
    for _ in range(1000):
        opt.step({"w": np.zeros(3), "b": np.zeros(1)})
    run = ac.fit(problem, opt, steps=100, monitor=lambda opt: ac.Monitor(opt, window=32, tol=1.0), progress=None)
    (finding,) = [finding for finding in run.findings if finding.kind == "plateau"]
    assert 1000 < finding.step <= 1100
    (text,) = [text for text in run.plot().axes[0].texts if "plateau" in text.get_text()]
    assert text.get_position()[0] == finding.step - 1000
