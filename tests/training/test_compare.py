"""`compare`: the same start and batches for all, honest verdicts, and runs that diverge."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

import adamcore as ac
from small_problems import Line


def sgd(lr, **options):
    return partial(ac.SGD, lr=lr, **options)


@pytest.fixture(scope="module")
def result():
    rules = {
        "SGD": [sgd(0.01), sgd(0.1), sgd(0.2)],
        "Adam": [partial(ac.Adam, lr=lr) for lr in (0.001, 0.01, 0.1)],
        "uphill": [sgd(lr, maximize=True) for lr in (0.001, 0.01, 0.1)],
    }
    return ac.compare(Line(), rules, steps=60, progress=None)


def test_rows_are_in_order_of_rank_and_the_best_rate_counts(result):
    assert [row["rule"] for row in result.rows] == ["SGD", "Adam", "uphill"]
    first, second, last = result.rows
    assert first["lr"] in (0.1, 0.2)
    assert first["lrs"] == [0.01, 0.1, 0.2]
    assert second["lr"] == 0.1
    assert len(first["final"]) == 3
    assert first["final_min"] <= first["final_median"] <= first["final_max"]
    assert first["best_median"] <= first["final_median"] < second["final_median"]
    assert first["state_bytes"] == 0
    assert second["state_bytes"] == 2 * 4 * 8
    assert 0 < first["optimizer_share"] < 1
    assert result.best == "SGD"
    assert [row["marked"] for row in result.rows] == [True, False, False]
    assert last["final"] == [None, None, None]


def test_a_rule_that_climbs_is_reported_as_diverged(result):
    last = result.rows[-1]
    assert last["diverged"] == 3
    assert last["final_median"] is None
    assert last["steps_to_target"] is None
    assert "uphill: 3 of 3 runs diverged with its best rate; try lower ones" in result.warnings
    assert "diverged" in result.table().splitlines()[-1]


@pytest.mark.parametrize("lr", [1e-6, 1e-3, 0.1, 1e6])
def test_gradients_with_the_wrong_sign_diverge_at_every_rate(lr):
    for rule in (ac.SGD, ac.AdamW, ac.RMSprop):
        found = ac.compare(Line(sign=-1.0), {"wrong": partial(rule, lr=lr)}, steps=100, progress=None)
        # With this rate nothing happens in 100 steps, which is not diverging.
        if lr == 1e-6:
            assert found.rows[0]["final_median"] is None or found.rows[0]["diverged"] == 0
        else:
            assert found.rows[0]["diverged"] == 3, rule
        assert found.best is None


@pytest.mark.parametrize("validates", [True, False])
def test_rates_too_small_to_learn_do_not_count_as_diverged(validates):
    for seeds in ([0, 1, 2], [3, 4, 5]):
        problem = Line(validates=validates)
        found = ac.compare(problem, {"still": sgd(1e-12)}, steps=100, seeds=seeds, progress=None)
        assert found.rows[0]["diverged"] == 0


def test_losses_that_end_high_and_flat_have_diverged():
    class Bounded(Line):
        def loss_and_grad(self, params, batch):
            loss, grads = super().loss_and_grad(params, batch)
            return loss / (1 + loss), grads

        def _evaluate(self, params):
            loss = super()._evaluate(params)["val_loss"]
            return {"val_loss": loss / (1 + loss)}

    found = ac.compare(Bounded(sign=-1.0), {"wrong": partial(ac.SGD, lr=1.0)}, steps=100, progress=None)
    assert found.rows[0]["diverged"] == 3


def test_all_rules_see_the_same_start_and_batches():
    problem = Line()
    started = []
    rules = {
        name: lambda params, lr=lr: started.append({k: v.copy() for k, v in params.items()}) or ac.SGD(params, lr=lr)
        for name, lr in (("a", 0.01), ("b", 0.1))
    }
    ac.compare(problem, rules, steps=20, seeds=[4, 7], progress=None)
    first, second, third, fourth = started
    assert all((first[k] == second[k]).all() and (third[k] == fourth[k]).all() for k in first)
    assert not (first["w"] == third["w"]).all()
    counts = {batch: problem.seen.count(batch) for batch in problem.seen}
    assert set(counts.values()) == {2}
    assert len(counts) == 40


def test_a_run_has_the_bits_of_fit():
    ended = {}

    def make(params):
        ended[len(ended)] = params
        return ac.AdamW(params, lr=0.05)

    ac.compare(Line(), {"AdamW": make}, steps=45, seeds=[3], progress=None)
    run = ac.fit(Line(), partial(ac.AdamW, lr=0.05), steps=45, seed=3, progress=None)
    assert all(ended[0][k].tobytes() == run.params[k].tobytes() for k in run.params)


def test_numbers_are_the_same_again():
    rules = {"SGD": [sgd(0.01), sgd(0.1)], "AdamW": [partial(ac.AdamW, lr=lr) for lr in (0.01, 0.1)]}
    first, second = (ac.compare(Line(), rules, steps=50, progress=None).to_json(times=False) for _ in range(2))
    assert first == second
    assert "seconds" not in first.replace('"budget": "steps"', "")


def test_no_difference_between_equal_rules():
    found = ac.compare(Line(), {"one": sgd(0.1), "two": sgd(0.1)}, steps=50, progress=None)
    assert found.best is None
    assert found.verdict.startswith("no difference shown")
    assert not any(row["marked"] for row in found.rows)


def test_one_seed_shows_nothing():
    found = ac.compare(Line(), {"good": sgd(0.1), "bad": sgd(1e-5)}, steps=50, seeds=1, progress=None)
    assert found.best is None
    assert "one seed" in found.verdict


def test_a_rule_that_loses_one_seed_is_not_marked():
    # Whichever of these is better depends on the seed.
    found = ac.compare(Line(noise=2.0), {"a": sgd(0.1), "b": sgd(0.11)}, steps=30, seeds=12, progress=None)
    wins = sum(x < y for x, y in zip(found.rows[0]["final"], found.rows[1]["final"], strict=True))
    assert 0 < wins < 12
    assert found.best is None
    assert f"{wins} of 12 seeds" in found.verdict


def test_unequal_tuning_is_warned_of():
    found = ac.compare(Line(), {"a": [sgd(0.01), sgd(0.1)], "b": sgd(0.1)}, steps=20, progress=None)
    assert any("not tuned alike" in warning and "a 2, b 1" in warning for warning in found.warnings)
    alike = ac.compare(Line(), {"a": sgd(0.05), "b": sgd(0.1)}, steps=20, progress=None)
    assert any("one rate only" in warning for warning in alike.warnings)


@pytest.mark.parametrize(("rates", "edge"), [((1e-4, 1e-3, 1e-2), "highest"), ((0.1, 1.0, 10.0), "lowest")])
def test_a_best_rate_at_the_edge_is_warned_of(rates, edge):
    found = ac.compare(Line(), {"SGD": [sgd(lr) for lr in rates]}, steps=60, progress=None)
    assert any(edge in warning for warning in found.warnings)
    inside = ac.compare(Line(), {"SGD": [sgd(lr) for lr in (1e-3, 0.1, 10.0)]}, steps=60, progress=None)
    assert not any("was tried" in warning for warning in inside.warnings)


def test_the_target_is_what_the_first_rule_reached_at_90_percent():
    found = ac.compare(Line(), {"slow": sgd(0.003), "fast": sgd(0.1)}, steps=100, progress=None)
    data = found.to_dict()
    curve = data["curves"]["slow"]["validation"]
    place = max(i for i, step in enumerate(curve["steps"]) if step <= 90)
    assert data["target"] == curve["median"][place]
    fast, slow = found.rows
    assert fast["steps_to_target"] < slow["steps_to_target"] <= 100
    assert fast["reached"] == 3
    never = ac.compare(Line(), {"a": sgd(0.003)}, steps=50, target=-1.0, progress=None)
    assert never.rows[0]["steps_to_target"] is None
    assert never.rows[0]["reached"] == 0


def test_metrics_of_which_high_ones_are_good():
    rules = {"slow": sgd(1e-5), "fast": sgd(0.1)}
    found = ac.compare(Line(), rules, steps=60, metric="val_right", mode="max", target=0.5, progress=None)
    assert found.best == "fast"
    assert found.rows[0]["final_median"] > 0.9
    assert found.rows[0]["steps_to_target"] is not None
    assert found.rows[1]["steps_to_target"] is None
    with pytest.raises(ValueError, match="gave no 'val_nothing', but val_loss, val_right"):
        ac.compare(Line(), rules, steps=5, metric="nothing", progress=None)


def test_without_validations_the_training_loss_decides():
    found = ac.compare(Line(validates=False), {"slow": sgd(1e-4), "fast": sgd(0.1)}, steps=60, progress=None)
    assert found.to_dict()["metric"] == "loss"
    assert found.best == "fast"


def test_the_same_time_for_all():
    found = ac.compare(
        Line(), {"one": sgd(0.1), "two": partial(ac.Adam, lr=0.1)}, steps=200, seeds=2, budget="seconds", progress=None
    )
    curves = found.to_dict()["curves"]
    assert len(curves["one"]["steps"]) == 200
    ends = [curve["seconds"][-1] for curve in curves.values()]
    assert max(ends) < 1.5 * min(ends)


def test_several_problems_make_one_profile():
    rules = {"slow": sgd(0.003), "fast": sgd(0.1)}
    one, two = (ac.compare(Line(noise=noise), rules, steps=100, progress=None) for noise in (0.0, 0.2))
    profile = one.profile(two)
    assert profile["fast"] == {"factor": [1.0] * 6, "share": pytest.approx([k / 6 for k in range(1, 7)])}
    assert min(profile["slow"]["factor"]) > 1


def test_what_overflows_raises_no_warnings_and_other_errors_are_not_hidden():
    class Broken(Line):
        def loss_and_grad(self, params, batch):
            if not np.isfinite(params["w"]).all():
                raise ValueError("not finite any more")
            loss, grads = super().loss_and_grad(params, batch)
            return min(loss, 1e300), grads

    found = ac.compare(Broken(), {"wild": sgd(1e155)}, steps=50, progress=None)
    assert found.rows[0]["diverged"] == 3

    class Wrong(Line):
        def loss_and_grad(self, _params, _batch):
            raise ValueError("a mistake of the user")

    with pytest.raises(ValueError, match="a mistake of the user"):
        ac.compare(Wrong(), {"SGD": sgd(0.1)}, steps=50, progress=None)


def test_steps_that_must_be_finite_and_are_not():
    rules = {"raises": sgd(1e200, nonfinite="raise"), "skips": sgd(1e200, nonfinite="skip"), "good": sgd(0.1)}
    found = ac.compare(Line(), rules, steps=50, progress=None)
    assert found.rows[0]["rule"] == "good"
    assert {row["diverged"] for row in found.rows[1:]} == {3}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rules": {}}, "rules must be a dict"),
        ({"rules": [ac.SGD]}, "rules must be a dict"),
        ({"rules": {"SGD": 0.1}}, r"rules\['SGD'\] must be a function"),
        ({"rules": {"SGD": []}}, r"rules\['SGD'\] must be a function"),
        ({"rules": {3: ac.SGD}}, "names of rules must be str"),
        ({"rules": {"SGD": lambda _: None}}, "returned None"),
        ({"steps": 0}, "steps must be an int >= 1"),
        ({"seeds": 0}, "seeds must be an int >= 1"),
        ({"seeds": [1, 1]}, "seeds must be different"),
        ({"budget": "hours"}, "budget must be one of"),
        ({"mode": "best"}, "mode must be one of"),
        ({"target": "low"}, "target must be a finite number"),
        ({"target": float("nan")}, "target must be a finite number, got nan"),
        ({"target": float("inf")}, "target must be a finite number, got inf"),
        ({"metric": 3}, "metric must be a str or None"),
        ({"problem": Line(validates=False), "mode": "max"}, 'mode="max" needs a problem with evaluate'),
        ({"validate_every": 0}, "validate_every must be"),
        ({"problem": object()}, r"lacks init\(rng\) -> params, and batches"),
    ],
)
def test_bad_arguments_are_named(changed, message):
    arguments = {"problem": Line(), "rules": {"SGD": sgd(0.1)}, "steps": 5, "progress": None} | changed
    problem, rules = arguments.pop("problem"), arguments.pop("rules")
    with pytest.raises((TypeError, ValueError), match=f"compare: .*{message}"):
        ac.compare(problem, rules, **arguments)


def test_the_report_and_the_picture(result, tmp_path):
    page = result.to_html(tmp_path / "out.html")
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == page
    assert page.count("<figure") == 6
    for name in ("SGD", "Adam", "uphill"):
        assert name in page
    figure = result.plot(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000
    assert len(figure.axes) == 2
    data = json.loads(result.to_json(tmp_path / "out.json"))
    assert data["best"] == "SGD"
    assert str(result) == result.table()
    assert max(map(len, result.table().splitlines())) <= 110


def test_progress_is_shown_where_it_is_wanted(capsys):
    ac.compare(Line(), {"SGD": sgd(0.1)}, steps=5, seeds=2, progress="lines")
    assert capsys.readouterr().err.splitlines() == [
        "compare: seed 0 is done (1 of 2)",
        "compare: seed 1 is done (2 of 2)",
    ]
    ac.compare(Line(), {"SGD": sgd(0.1)}, steps=5, seeds=2, progress=None)
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""


def test_low_accuracies_count_as_good_only_with_a_warning():
    options = dict(steps=20, metric="val_right", progress=None)
    for mode, warned in (("min", True), ("max", False)):
        found = ac.compare(Line(), {"a": sgd(0.1), "b": sgd(0.01)}, mode=mode, **options)
        assert any('pass mode="max"' in warning for warning in found.warnings) == warned
