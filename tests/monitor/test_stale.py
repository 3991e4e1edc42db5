"""Second moments that are too large for the present gradients: when they are found, and what is known of them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import adamcore as ac
from monitored import NORMAL, make_monitor, stats_of

NAN = math.nan
NAMES = ("a", "b", "bias")


def stale_of(findings):
    return [(f.step, f.severity, f.tensor) for f in findings if f.kind == "stale"]


def observe(mon, losses, grads, seconds):
    """Observe steps with these losses, gradients and second moments, and return what is found to be stale."""
    found = []
    for loss, grad, second in zip(losses, grads, seconds, strict=True):
        columns = {**NORMAL, "grad_rms": grad, "second_rms": second}
        found += mon.observe(loss, ac.StepInfo(stats=stats_of(**columns) if mon.wants_stats else None))
    return stale_of(found)


def steady(mon, steps, grad=1.0, second=1.0, loss=1.0):
    return observe(mon, [loss] * steps, [grad] * steps, [second] * steps)


def wandering(seed, steps, jumps):
    """Gradients with noise and jumps, second moments that follow them or stay, and losses at levels; some unknown."""
    rng = np.random.default_rng(seed)
    grads, seconds, losses = np.empty((steps, 3)), np.empty((steps, 3)), np.empty(steps)
    size, factor, level = np.ones(3), np.ones(3), 1.0
    for i in range(steps):
        if rng.random() < jumps:
            factor = rng.choice([0.5, 1.0, 2.5, 8.0, 40.0, 400.0], 3)
            size = rng.choice([1e-3, 1.0, 5.0], 3)
            level = rng.choice([0.5, 1.0, 2.0])
        grads[i] = size * np.exp(0.5 * rng.standard_normal(3))
        seconds[i] = size * factor
        losses[i] = level * (1 + 0.1 * rng.standard_normal())
    unknown = rng.random((steps, 3)) < 0.05
    grads[unknown], seconds[unknown] = NAN, NAN
    skipped = rng.random(steps) < 0.03
    grads[skipped], seconds[skipped] = math.inf, NAN
    losses[rng.random(steps) < 0.02] = math.inf
    return losses, grads, seconds


def median(values, axis=None):
    """NumPy's median of what is finite."""
    values = np.where(np.isfinite(values), values, NAN)
    with np.errstate(all="ignore"):
        return NAN if not values.size or np.isnan(values).all() else np.nanmedian(values, axis)


def expected(losses, grads, seconds, every):
    """The specification's rule, for each tensor by itself, from all numbers of a run.

    33 steps, or 65 where 33 have fewer than 9 looks; the median of steps -130 to -66; 16 steps; and losses of 64 steps.
    """
    looks = [i for i in range(0, len(losses), every) if not np.isnan(seconds[i]).all()]
    levels = [median(losses[max(i + 1 - min(every, 64), 0) : i + 1]) for i in looks]
    window = max(-(-33 // every), min(9, -(-65 // every)))
    ages = [age for age in range(2, 131) if 66 <= age * every <= 130] or [2]
    found = []
    for tensor, name in enumerate(NAMES):
        ratios, streak, usual, since, level, warned = {}, 0, None, 0, NAN, False
        for place, i in enumerate(looks):
            if place + 1 < window:
                continue
            last = grads[[looks[k] for k in range(place + 1 - window, place + 1)], tensor]
            ratios[place] = ratio = seconds[i, tensor] / median(last)
            before = [place - age for age in ages]
            if min(before) + 1 < window or math.isnan(ratio):
                continue
            was = median(np.array([ratios[k] for k in before]))
            holds = ratio > 3 and ratio > 4 * was
            streak = streak + 1 if holds else 0
            if usual is not None:
                now = median(np.array(levels[place + 1 - max(64 // every, 1) : place + 1]))
                if ratio < 3 or (ratio < 2 * usual and not holds):
                    usual = None
                elif not warned and i + 1 - since >= 64 and now >= level:
                    found.append((i + 1, "warning", name))
                    warned = True
            if usual is None and holds and streak >= max(-(-16 // every), 2):
                usual, since, warned = was, i + 1, False
                level = median(np.array([levels[k] for k in before]))
                found.append((i + 1, "note", name))
    return sorted(found)


@pytest.mark.parametrize("every", [1, 3, 8, 16, 50, 64, 100, 150])
@pytest.mark.parametrize("seed", range(2))
def test_the_rule_is_the_specifications(every, seed):
    run = wandering(seed, max(1200, 50 * every), min(0.012, 0.2 / every))
    wanted = expected(*run, every)
    assert {severity for _, severity, _ in wanted} == {"note", "warning"}
    assert sorted(observe(make_monitor(window=256, stats_every=every), *run)) == wanted


def test_a_burst_is_found_15_steps_after_it_began():
    mon = make_monitor(stats_every=1, window=256)
    assert steady(mon, 200) == []
    assert steady(mon, 3, grad=300.0, second=(9.5, 13.0, 2.9)) == []
    assert steady(mon, 60, second=(16.0, 3.1, 2.9)) == [(216, "note", "a")]
    (note,) = [finding for finding in mon.findings if finding.kind == "stale"]
    assert note.evidence == {"r": 16.0, "usual": 1.0, "c": 1 / 256}
    assert "rescale_state" in note.advice


def test_a_large_ratio_that_was_always_large_tells_nothing():
    for second in (20.0, 900.0, 1e200):
        assert steady(make_monitor(window=256), 600, second=second) == []
    mon = make_monitor(window=256)
    for ratio in np.geomspace(1, 900, 1500):  # a run that converges: 1.8 times as much in 130 steps
        assert steady(mon, 1, grad=1 / ratio) == []


@pytest.mark.parametrize(("usual", "second", "found"), [(1, 3.9, 0), (1, 4.1, 3), (0.5, 2.9, 0), (0.5, 3.1, 3)])
def test_what_is_large_and_what_is_larger_than_before(usual, second, found):
    mon = make_monitor(window=256)
    steady(mon, 200, second=usual)
    assert len(steady(mon, 60, second=second)) == found


def test_the_evidence_is_of_the_gradients_of_33_steps():
    mon = make_monitor(window=256)
    steady(mon, 200)
    steady(mon, 48, grad=8.0, second=100.0)
    assert [item[1] for item in steady(mon, 25, grad=2.0, second=100.0)] == ["warning"] * 3
    # The first looks at small gradients are those of steps 249, 257, 265 and 273, and the fifth one was at 241.
    assert mon.findings[-1].evidence["r"] == 50.0


def test_the_burst_itself_is_no_present_gradient_where_statistics_are_sparse():
    mon = make_monitor(stats_every=32, window=256)
    steady(mon, 640)
    steady(mon, 32, grad=300.0, second=30.0)
    assert len(steady(mon, 32, second=30.0)) == 3
    assert mon.findings[-1].evidence == {"r": 30.0, "usual": 1.0, "c": 1 / 900}


@pytest.mark.parametrize(("ratio", "found"), [(1e140, 3), (1e200, 0), (math.inf, 0)])
def test_the_factor_is_one_that_rescale_state_takes(ratio, found):
    mon = make_monitor(window=256)
    steady(mon, 200)
    notes = steady(mon, 16, second=ratio)
    assert len(notes) == found
    if found:
        opt = ac.AdamW({"w": np.ones(3)})
        opt.rescale_state(mon.findings[-1].evidence["c"])


@pytest.mark.parametrize(("later", "warns"), [(1.0, True), (0.99, False), (1.5, True), (NAN, False), (None, False)])
def test_a_warning_if_the_losses_have_not_fallen(later, warns):
    mon = make_monitor(window=256)
    steady(mon, 200)
    assert steady(mon, 9, second=30.0, loss=5.0) == [(209, "note", name) for name in NAMES]
    assert steady(mon, 63, second=30.0, loss=later) == []
    found = steady(mon, 100, second=20.0, loss=later)
    assert found == ([(273, "warning", name) for name in NAMES] if warns else [])
    if warns:
        last = mon.findings[-1].evidence
        assert last == {"r": 20.0, "usual": 1.0, "c": 1 / 400, "loss": later, "loss_before": 1.0}


def test_a_warning_comes_later_too_and_once():
    mon = make_monitor(window=256)
    steady(mon, 200)
    steady(mon, 300, second=30.0, loss=0.5)
    assert [item[1:] for item in steady(mon, 400, second=30.0, loss=1.0)] == [("warning", name) for name in NAMES]
    assert steady(mon, 400, second=30.0, loss=1.0) == []


def test_it_is_over_below_3_or_near_what_it_was_and_may_come_back():
    mon = make_monitor(window=256)
    steady(mon, 200, second=(1.0, 2.0, 10.0), loss=2.0)
    assert len(steady(mon, 400, second=(30.0, 30.0, 90.0))) == 3
    assert steady(mon, 400, second=(3.1, 4.1, 21.0)) == []
    assert steady(mon, 17, second=30.0, loss=0.5) == []  # they are still as they were found to be
    steady(mon, 400, second=(2.9, 3.9, 19.0), loss=0.5)
    again = steady(mon, 100, second=(30.0, 30.0, 90.0), loss=0.2)
    assert sorted({name for _, _, name in again}) == ["a", "b", "bias"]
    assert {severity for _, severity, _ in again} == {"note"}


def test_skipped_steps_and_parameters_without_a_gradient_tell_nothing():
    mon = make_monitor(window=256)
    steady(mon, 200)
    assert steady(mon, 160, grad=(1.0, NAN, 1.0), second=(30.0, NAN, 1.0), loss=0.5) == [(209, "note", "a")]
    for grad in (NAN, math.inf):
        assert steady(mon, 160, grad=grad, second=NAN, loss=0.5) == []
    assert steady(mon, 300, second=(30.0, 1.0, 1.0), loss=0.5) == []
    mon = make_monitor(window=256)
    steady(mon, 200)
    assert steady(mon, 300, grad=0.0, second=0.5) == []  # that is "dead"


@pytest.mark.parametrize("cut", [190, 203, 208, 209, 250, 273, 300])
def test_a_run_that_is_cut_finds_the_same(cut):
    def part(mon, begin, end):
        found = []
        for step in range(begin, end):
            found += steady(mon, 1, second=25.0 if 200 <= step < 320 else 1.0, loss=1.0 + 1e-3 * step)
        return found

    whole, first = make_monitor(window=256), make_monitor(window=256)
    found = part(whole, 0, 400)
    assert found == [(209, "note", n) for n in NAMES] + [(273, "warning", n) for n in NAMES]
    before = part(first, 0, cut)
    second = make_monitor(window=256)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert before + part(second, cut, 400) == found
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("grads", [[1.0] * 3] * 10),
        ("ratios", [[1.0] * 3] * 40),
        ("ratios", [[1.0]]),
        ("levels", [1.0]),
        ("counts", [0, 0, 3]),
        ("counts", [0]),
        ("stale", [["a", 3, None, 1.0, False]]),
        ("stale", [["a", 3, 1.0, 1.0]]),
        ("stale", [["a", 3, 1.0, 1.0, 0]]),
        ("stale", [[1, 3, 1.0, 1.0, True]]),
    ],
)
def test_a_damaged_state_is_refused(key, value):
    mon = make_monitor(window=256)
    steady(mon, 230, second=1.0)
    state = mon.state_dict()
    damaged = {**state, "tensors": {**state["tensors"], "stale": {**state["tensors"]["stale"], key: value}}}
    with pytest.raises((TypeError, ValueError), match=f"Monitor: state_dict: tensors: stale: .*{key}|stale: .*must be"):
        mon.load_state_dict(damaged)
    assert mon.state_dict() == state


def test_parameters_that_are_added_later():
    opt = ac.SGD({"a": np.ones((4, 5)), "b": np.ones((5, 2)), "bias": np.ones(2)}, lr=0.1)
    mon = ac.Monitor(opt, window=256)
    steady(mon, 200)
    assert steady(mon, 9, second=(30.0, 1.0, 1.0), loss=0.9) == [(209, "note", "a")]
    opt.add_param_group({"params": {"late": np.ones((3, 3))}})

    def later(steps, second):
        found = []
        for _ in range(steps):
            columns = {**{name: (*v, v[0]) for name, v in NORMAL.items()}, "grad_rms": 1.0, "second_rms": second}
            info = ac.StepInfo(stats=stats_of((*NAMES, "late"), **columns) if mon.wants_stats else None)
            found += mon.observe(0.8, info)
        return stale_of(found)

    assert later(250, (30.0, 1.0, 1.0, 1.0)) == []  # that of "a" is known already
    assert [item[1:] for item in later(60, (30.0, 1.0, 1.0, 30.0))] == [("note", "late")]
