"""What detectors were found to get wrong in docs/experiments, each in a few losses or steps."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac


def monitor(**options):
    return ac.Monitor(ac.SGD(np.zeros(1), lr=0.1), stats_every=None, **options)


def feed(mon, losses, norms=None):
    norms = [None] * len(losses) if norms is None else norms
    return [f for loss, norm in zip(losses, norms, strict=True) for f in mon.observe(loss, ac.StepInfo(False, norm))]


def kinds(findings):
    return [finding.kind for finding in findings]


def test_bad_batches_between_good_ones_are_spikes_and_no_explosion():
    mon = monitor()
    assert feed(mon, [1.0] * 64, [1.0] * 64) == []
    found = feed(mon, [50.0, 1.0, 1.0, 1.0] * 8, [30.0, 1.0, 1.0, 1.0] * 8)
    assert kinds(found) == ["spike"] * 8


def test_three_bad_batches_in_a_row_are_no_explosion():
    mon = monitor()
    feed(mon, [1.0] * 64, [1.0] * 64)
    assert kinds(feed(mon, [50.0] * 3 + [1.0] * 30, [30.0] * 3 + [1.0] * 30)) == ["spike"] * 3


def test_losses_that_stay_high_explode_once():
    mon = monitor()
    feed(mon, [1.0] * 64, [1.0] * 64)
    found = feed(mon, [50.0] * 8, [30.0] * 8)
    assert kinds(found).count("exploding") == 1
    assert found[kinds(found).index("exploding")].severity == "stop"


def test_a_run_that_diverges_from_its_first_step_has_a_large_rate():
    assert kinds(feed(monitor(), [2.0] + [80.0] * 31)) == []
    mon = monitor()
    (found,) = feed(mon, [2.0] + [80.0] * 100)
    assert (found.kind, found.step, found.evidence["best"]) == ("lr_large", 33, 2.0)


def test_the_first_loss_is_forgotten_neither_by_a_skipped_one_nor_by_a_resume():
    mon = monitor()
    mon.observe(float("inf"), ac.StepInfo(True, float("inf")))
    feed(mon, [2.0] + [80.0] * 10)
    other = monitor()
    other.load_state_dict(mon.state_dict())
    assert kinds(feed(other, [80.0] * 60)) == ["lr_large"] == kinds(feed(mon, [80.0] * 60))


def agreeing(losses):
    """Return what is found where each gradient is the last one again."""
    w = np.zeros((4, 4))
    opt = ac.AdamW(w, lr=1e-4)
    mon = ac.Monitor(opt)
    found = []
    for loss in losses:
        info = opt.step(np.ones((4, 4)), stats=mon.wants_stats and mon.columns)
        found += mon.observe(float(loss), info)
    return kinds(found)


def test_a_rate_is_small_while_losses_are_lower_than_ever_and_not_while_they_fall_back():
    falling = np.linspace(10, 5, 300)
    assert "lr_small" in agreeing(falling)
    assert "lr_small" not in agreeing([2.0, *falling])


def test_a_loop_of_overflows_is_found_once_until_no_step_is_skipped():
    mon = monitor()
    skipped, done = ac.StepInfo(True, float("inf")), ac.StepInfo(False, 1.0)
    loop = [skipped, done, done, skipped, done, done, done] * 10  # 5 or 6 of 20 steps are skipped
    found = [f for info in loop for f in mon.observe(1.0, info)]
    assert kinds(found) == ["overflow_loop"]
    assert [f for info in [done] * 20 + loop for f in mon.observe(1.0, info)] != []


@pytest.mark.parametrize(
    ("precision", "is_lost"),
    [
        (ac.Precision(master=None), True),
        (ac.Precision(), False),
        (ac.Precision(master="remainder"), False),
        (ac.Precision(master=None, rounding="stochastic"), False),
        (ac.Precision(master=None, rounding="compensated"), False),
    ],
    ids=["nothing", "master", "remainder", "stochastic", "compensated"],
)
def test_updates_are_lost_only_where_nothing_keeps_them(precision, is_lost):
    params = {"half": np.ones((8, 8), ml_dtypes.bfloat16), "single": np.ones((8, 8), np.float32)}
    opt = ac.SGD(params, lr=1e-6, precision=precision)
    mon = ac.Monitor(opt)
    for _ in range(220):
        grads = {name: np.ones((8, 8), array.dtype) for name, array in params.items()}
        mon.observe(1.0, opt.step(grads, stats=mon.wants_stats and mon.columns))
    found = [finding.tensor for finding in mon.findings if finding.kind == "lost"]
    assert found == (["half"] if is_lost else [])


def test_overfitting_holds_while_validations_stay_bad():
    mon = monitor(validation_window=8)
    mon_losses = iter(np.linspace(2, 1, 400))

    def validate(metrics):
        found = []
        for metric in metrics:
            feed(mon, [float(next(mon_losses)) for _ in range(8)])
            found += mon.observe_validation(float(metric))
        return kinds(found)

    assert "overfitting" in validate(np.linspace(1, 2, 12))
    assert "overfitting" not in validate([2.0] * 10 + list(np.linspace(2, 2.5, 9)))
    validate(np.linspace(2, 1, 10))
    assert "overfitting" in validate(np.linspace(1, 2, 9))
