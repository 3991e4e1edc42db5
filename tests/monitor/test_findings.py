"""What a monitor finds in losses and norms: at which step, how severe it is, and when it says it again."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import chain, repeat

import numpy as np
import pytest

import adamcore as ac
from monitored import brief, events, feed, feed_norms, info_of, make_monitor

NAN, INF = math.nan, math.inf


def test_a_plateau_is_found_at_the_end_of_its_window():
    mon = make_monitor()
    assert feed(mon, [1.0] * 40) == [(32, "warning", "plateau")]
    (finding,) = mon.findings
    assert finding.evidence == {"loss": 1.0, "window": 32}
    assert finding.tensor is None


def test_a_plateau_is_found_again_at_another_height():
    mon = make_monitor()
    assert feed(mon, [1.0] * 32) == [(32, "warning", "plateau")]
    # When 14 of the 16 blocks of two losses are lower, it is over. With the 15th the losses are flat again.
    assert feed(mon, [0.5] * 100) == [(62, "warning", "plateau")]
    assert [finding.evidence["loss"] for finding in mon.findings] == [1.0, 0.5]


def test_a_plateau_that_was_left_for_less_than_tol_or_upwards_is_the_same():
    mon = make_monitor(tol=0.1)
    assert feed(mon, [1.0] * 32) == [(32, "warning", "plateau")]
    assert feed(mon, [*[0.95] * 200, *[2.0] * 200, *[0.93] * 200]) == []


def test_falling_losses_are_no_plateau():
    mon = make_monitor()
    assert feed(mon, (1 / (1 + 0.05 * i) for i in range(400))) == []


@pytest.mark.parametrize("window", [4, 20, 31, 32, 50, 256])
def test_windows_of_all_lengths(window):
    mon = make_monitor(window=window)
    whole = window if window < 32 else window // 16 * 16
    assert feed(mon, [2.0] * (whole + 50)) == [(whole, "warning", "plateau")]


@pytest.mark.parametrize("window", [32, 256])
@pytest.mark.parametrize("noise", [0.01, 0.05, 0.3, "AR(1)", "one-sided"])
def test_noise_does_not_report_a_plateau_over_and_over(noise, window):
    rng = np.random.default_rng(7)
    x = rng.standard_normal(30_000)
    if noise == "AR(1)":
        for i in range(1, len(x)):
            x[i] = 0.9 * x[i - 1] + math.sqrt(1 - 0.81) * x[i]
        losses = 1 + 0.05 * x
    else:
        losses = np.abs(x) * 1e-9 if noise == "one-sided" else 1 + noise * x
    losses[0] = np.median(losses)  # what a run begins with counts as a good loss if nothing is as low
    mon = make_monitor(window=window, stats_every=None)
    info = ac.StepInfo()
    found = Counter(finding.kind for loss in losses.tolist() for finding in mon.observe(loss, info))
    assert 1 <= found.pop("plateau") <= 3
    assert not found


def test_a_loss_that_stays_above_three_times_its_best_is_large():
    mon = make_monitor(window=256)
    feed(mon, [2.0] * 16 + [1.0] * 16)
    assert feed(mon, [3.1] * 31) == []
    assert feed(mon, [3.0]) == []
    assert feed(mon, [3.1] * 40) == [(32 + 31 + 1 + 32, "note", "lr_large")]
    assert mon.findings[-1].evidence == {"loss": 3.1, "best": 1.0, "steps": 32}


def test_a_large_loss_is_over_after_32_ordinary_ones():
    mon = make_monitor(window=1024)
    feed(mon, np.linspace(2, 1, 64))
    assert feed(mon, [5.0] * 32) == [(96, "note", "lr_large")]
    around_the_limit = ([1.0] * 31 + [5.0] * 40) * 5
    assert feed(mon, around_the_limit) == []
    assert feed(mon, [*[1.0] * 32, *[5.0] * 32]) == [(96 + 355 + 64, "note", "lr_large")]


@pytest.mark.parametrize("window", [4, 16, 31, 32, 256])
def test_a_lucky_loss_does_not_make_all_others_large(window):
    mon = make_monitor(window=window)
    rng = np.random.default_rng(0)
    losses = 1 + 0.1 * rng.standard_normal(600)
    losses[100:102] = 1e-3
    assert {kind for *_, kind in feed(mon, losses)} <= {"plateau"}


def test_a_scale_says_what_is_large_for_losses_near_zero():
    mon = make_monitor(scale=1.0, window=256)
    feed(mon, [1e-6] * 64)
    assert feed(mon, [1.9] * 100) == []
    assert feed(mon, [2.1] * 32) == [(64 + 100 + 32, "note", "lr_large")]


def test_negative_losses():
    mon = make_monitor(window=256)
    feed(mon, [-1.0] * 32 + [-10.0] * 32)
    assert feed(mon, [9.0] * 50) == []
    assert feed(mon, [11.0] * 32) == [(64 + 50 + 32, "note", "lr_large")]


@pytest.mark.parametrize("loss", [NAN, INF, -INF, 1e308])
def test_losses_that_are_not_finite(loss):
    mon = make_monitor()
    feed(mon, np.linspace(2, 1, 20))
    assert feed(mon, [loss]) == [(21, "note", "lr_large")]
    assert feed(mon, [loss] * 20) == [(28, "stop", "exploding")]
    assert feed(mon, np.linspace(2, 1, 31)) == []
    assert feed(mon, [loss]) == []
    assert feed(mon, np.linspace(2, 1, 32)) == []
    assert feed(mon, [loss]) == [(41 + 31 + 1 + 32 + 1, "note", "lr_large")]


def test_every_second_loss_that_is_not_finite_is_one_finding():
    mon = make_monitor()
    rng = np.random.default_rng(0)
    losses = chain.from_iterable((x, NAN) for x in 1 + rng.random(2000))
    assert Counter(kind for *_, kind in feed(mon, losses))["lr_large"] == 1


def test_a_loss_that_overflows_in_a_skipped_step_is_not_large():
    mon = make_monitor()
    assert [kind for *_, kind in feed(mon, [INF] * 50, skipped=True)] == ["overflow_loop"]


def test_a_spike_is_a_note():
    mon = make_monitor()
    assert feed_norms(mon, [1.0] * 20) == []
    assert feed_norms(mon, [1.3]) == []
    assert feed_norms(mon, [2.0]) == [(22, "note", "spike")]
    assert mon.findings[-1].evidence == {"grad_norm": 2.0, "median": 1.0}


def test_each_spike_is_reported_but_no_more_than_three_in_a_row():
    mon = make_monitor(window=256)
    feed_norms(mon, [1.0] * 20)
    assert feed_norms(mon, [2.0, 3.0, None, 2.0, 1.0, 2.0]) == [(step, "note", "spike") for step in (21, 22, 24, 26)]


def test_a_norm_that_grows_for_good_is_few_findings():
    mon = make_monitor(window=256)
    feed_norms(mon, [1.0] * 200)
    assert [kind for *_, kind in feed_norms(mon, [5.0] * 1000)] == ["spike"] * 3 + ["plateau"]


@pytest.mark.parametrize("norm", [NAN, INF, 0.0, -1.0])
def test_odd_norms_are_no_spikes(norm):
    mon = make_monitor()
    feed_norms(mon, [1.0] * 20)
    assert feed_norms(mon, [norm] * 5) == []
    assert feed_norms(mon, [2.0]) == [(26, "note", "spike")]


def test_what_a_guard_finds_is_a_spike_and_no_overflow():
    mon = make_monitor()
    guarded = ac.StepInfo(True, 50.0, spike=True)
    assert brief(mon.observe(1.0, guarded)) == [(1, "note", "spike")]
    assert [finding.kind for _ in range(10) for finding in mon.observe(1.0, guarded)] == ["spike"] * 2


def test_three_spikes_with_losses_of_ten_times_the_median_stop_the_run():
    mon = make_monitor(window=256)
    feed_norms(mon, [1.0] * 64)
    bad, good = ac.StepInfo(False, 50.0), ac.StepInfo(False, 1.0)
    found = []
    for loss, info in [(11.0, bad), (9.0, bad), (4.0, good), (11.0, bad), (11.0, bad), (12.0, good)]:
        found += brief(mon.observe(loss, info))
    assert [item for item in found if item[2] != "spike"] == [(70, "stop", "exploding")]
    assert mon.findings[-1].evidence == {"loss": 12.0, "median": 1.0, "spikes": 3}
    assert {kind for *_, kind in feed_norms(mon, [50.0] * 20, loss=30.0)} == {"spike"}


def test_bad_batches_between_good_ones_are_no_explosion():
    mon = make_monitor(window=256)
    feed_norms(mon, [1.0] * 64)
    bad, good = ac.StepInfo(False, 50.0), ac.StepInfo(False, 1.0)
    found = [item for _ in range(8) for loss, info in [(20.0, bad), (1.0, good)] for item in mon.observe(loss, info)]
    assert {finding.kind for finding in found} == {"spike"}


@pytest.mark.parametrize("factor", [1.1, 1.5, 10.0])
def test_a_rate_that_is_too_large_from_the_first_step_on(factor):
    mon = make_monitor(window=256, stats_every=None)
    found = brief([f for i in range(60) for f in mon.observe(2.3 * min(factor**i, 1e6), ac.StepInfo())])
    assert [kind for *_, kind in found] == ["lr_large"]
    assert 33 <= found[0][0] <= 48
    assert mon.findings[0].evidence["best"] == 2.3


def test_a_spike_does_not_count_for_steps_whose_norm_is_unknown():
    mon = make_monitor(window=256, stats_every=None)
    feed_norms(mon, [1.0] * 64)
    found = brief(mon.observe(20.0, ac.StepInfo(False, 50.0))) + feed_norms(mon, [None] * 7, loss=20.0)
    assert found == [(65, "note", "spike")]


def test_more_than_5_skips_in_20_steps_are_a_loop():
    mon = make_monitor(window=256, stats_every=None)
    skip, fine = ac.StepInfo(True, INF), ac.StepInfo(False, 1.0)

    def steps(text):
        return brief([f for mark in text for f in mon.observe(1.0, skip if mark == "x" else fine)])

    assert steps("xxxxx" + "." * 15 + "xxxxx") == []
    assert steps("x") == [(26, "warning", "overflow_loop")]
    assert mon.findings[-1].evidence == {"skips": 6, "steps": 20}
    assert steps("...x..x......x....xxxxxx......xxx....." * 3) == []  # never 20 without a skip
    assert steps("." * 20 + "xxxxx") == []
    assert [kind for *_, kind in steps("x")] == ["overflow_loop"]


def test_a_loss_scale_below_1_is_a_loop():
    scaler = ac.LossScaler(0.5, min_scale=0.125)
    mon = make_monitor(scaler=scaler, window=256)
    assert feed(mon, [1.0]) == [(1, "warning", "overflow_loop")]
    assert mon.findings[-1].evidence == {"scale": 0.5}
    assert feed(mon, [1.0] * 20) == []
    scaler.scale = 2.0
    assert feed(mon, [1.0] * 8) == []
    scaler.scale = 0.25
    assert [kind for *_, kind in feed(mon, [1.0] * 8)] == ["overflow_loop"]


@pytest.mark.parametrize("seed", range(4))
def test_everything_that_can_go_wrong_is_json_with_advice(seed):
    mon = make_monitor(units=True, validation_window=8, mode="max" if seed % 2 else "min")
    found = [finding for event in events(seed, 3000) for finding in event.observe(mon)]
    assert {"plateau", "lr_large", "spike", "overflow_loop"} <= {finding.kind for finding in found}
    for finding in found:
        assert json.loads(json.dumps(finding.to_dict(), allow_nan=False)) == finding.to_dict()
        assert ac.Finding.from_dict(json.loads(finding.to_json())) == finding
        assert finding.advice.endswith((".", ")"))
        assert len(finding.advice) > 20
        assert str(finding).startswith(f"step {finding.step}: {finding.severity}: {finding.kind}")
        assert finding.evidence
    assert [finding.step for finding in found] == sorted(finding.step for finding in found)
    assert json.loads(mon.to_json())["findings"] == [finding.to_dict() for finding in mon.findings]


def test_very_many_findings_of_one_kind_do_not_take_ever_more_memory():
    mon = make_monitor(stats_every=None, window=256)
    spike, fine = ac.StepInfo(False, 10.0), ac.StepInfo(False, 1.0)
    feed_norms(mon, [1.0] * 20)
    size = 0
    for _ in range(2):
        found = [f for info in repeat((spike, fine, fine, fine), 1000) for i in info for f in mon.observe(1.0, i)]
        assert [finding.kind for finding in found].count("spike") == 1000
        assert len(mon.findings) == 101
        assert mon.findings[-1].step == found[-1].step
        assert mon.findings[0].kind == "plateau"
        before, size = size, len(json.dumps(mon.state_dict()))
    assert abs(size - before) < 1000
    assert json.loads(mon.to_json())["left_out"] == {"spike": 1900}
    assert "spike: 1900 earlier findings left out." in mon.report()
    assert "2001 findings" in repr(mon)


def test_info_without_statistics_is_fine_for_every_step():
    mon = make_monitor()
    assert mon.wants_stats
    for _ in range(20):
        mon.observe(1.0, ac.StepInfo())
    assert len(mon.statistics["step"]) == 0
    assert info_of(mon).stats is None
