"""What a monitor finds in validations."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

import adamcore as ac
from monitored import brief, feed, make_monitor


def validate(mon, metrics, losses=None):
    """Observe metrics, and before each of them 16 steps with one loss. Return what is found in metrics."""
    found = []
    for i, metric in enumerate(metrics):
        for _ in range(16 if losses is not None else 0):
            mon.observe(losses[i], ac.StepInfo())
        found += mon.observe_validation(metric)
    return found


def rising(best=10, count=40):
    return [1 + 0.02 * abs(i - best) for i in range(count)]


def test_metrics_that_stop_improving():
    mon = make_monitor(validation_window=8)
    assert brief(validate(mon, [0.5] * 20)) == [(0, "warning", "plateau")]
    (finding,) = mon.findings
    assert finding.evidence == {"metric": 0.5, "window": 8}
    assert "validation" in finding.advice
    assert "validation" not in ac.monitor.detectors.advice.advice_for("plateau", "", "warning")


def test_a_plateau_of_losses_and_one_of_metrics_are_two_findings():
    mon = make_monitor(validation_window=8)
    feed(mon, [1.0] * 32)
    validate(mon, [0.5] * 8)
    assert brief(mon.findings) == [(32, "warning", "plateau")] * 2


def test_a_plateau_at_another_height_is_another_one():
    mon = make_monitor(validation_window=8)
    assert len(validate(mon, [0.5] * 20)) == 1
    assert len(validate(mon, [0.4] * 20)) == 1
    assert len(validate(mon, [0.45] * 20 + [0.4] * 20)) == 0


@pytest.mark.parametrize("mode", ["min", "max"])
def test_metrics_that_become_worse_while_the_loss_falls(mode):
    sign = 1 if mode == "min" else -1
    mon = make_monitor(mode=mode, window=1024)
    losses = [1 - 0.01 * i for i in range(40)]
    found = validate(mon, [sign * metric for metric in rising()], losses)
    # That they have stopped to improve is clear before it is clear that they become worse.
    assert [finding.kind for finding in found] == ["plateau", "overfitting"]
    # Three quarters of all pairs rise, which happens once in a thousand times by chance.
    first = next(i for i in range(20, 40) if sum(b > a for a, b in combinations(rising()[i - 20 : i], 2)) >= 143)
    assert [finding.step // 16 for finding in found] == [22, first]
    evidence = found[1].evidence
    assert (evidence["metric"], evidence["best"]) == (sign * rising()[first - 1], sign * 1.0)
    assert evidence["loss"] < evidence["loss_before"]


def test_metrics_that_become_worse_while_the_loss_does_not_fall():
    for losses in ([1.0] * 40, [1 + 0.01 * i for i in range(40)], None):
        assert [finding.kind for finding in validate(make_monitor(), rising(), losses)] == ["plateau"]


def test_large_metrics_that_grow_are_no_overfitting():
    mon = make_monitor(mode="max", window=1024)
    assert validate(mon, [0.01 * i for i in range(60)], [1 - 0.01 * i for i in range(60)]) == []


def test_metrics_of_accuracy_are_shown_as_they_are():
    mon = make_monitor(mode="max", validation_window=8)
    validate(mon, [0.9] * 8)
    assert mon.findings[0].evidence["metric"] == 0.9
    assert "metric 0.9," in str(mon.findings[0])


@pytest.mark.parametrize(("noise", "mode"), [(0.005, "min"), (0.01, "max"), (0.05, "min"), (0.2, "max")])
def test_noise_does_not_report_anything_over_and_over(noise, mode):
    mon = make_monitor(mode=mode, window=256, stats_every=None)
    rng = np.random.default_rng(11)
    metrics = 1 + noise * rng.standard_normal(4000)
    losses = 2 - np.arange(4000) / 4000
    found = Counter(finding.kind for finding in validate(mon, metrics.tolist(), losses.tolist()))
    assert 1 <= found["plateau"] <= 4
    assert found["overfitting"] <= 2


def test_overfitting_is_found_again_only_after_it_was_over():
    mon = make_monitor(window=1024)
    losses = [1 - 0.001 * i for i in range(400)]
    wave = [*rising(10, 60), *[2 - 0.04 * i for i in range(40)], *rising(5, 60)]
    assert [f.kind for f in validate(mon, wave, losses) if f.kind != "plateau"] == ["overfitting"] * 2


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e308, None, "x"])
def test_metrics_that_are_not_finite_are_left_out(odd):
    mon = make_monitor(validation_window=8)
    metrics = [metric for i in range(7) for metric in (0.5, odd)]
    assert validate(mon, metrics) == []
    assert len(validate(mon, [0.5])) == 1
