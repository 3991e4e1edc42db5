"""What a monitor finds in statistics: of which parameter, at which step, and when it says it again."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac
from monitored import NORMAL, brief, feed, make_monitor, make_optimizer, stats_of

NAN = math.nan


def found_of(mon, steps, **columns):
    """Observe steps in which the loss is always the same and statistics are these. Plateaus are left out."""
    found = feed(mon, [1.0] * steps, **columns)
    return [item for item in found if item[2] != "plateau"]


def test_a_gradient_of_a_thousandth_vanishes():
    mon = make_monitor()
    assert found_of(mon, 48, grad_rms=(0.9e-3, 1.0, 1.0)) == []
    assert found_of(mon, 1, grad_rms=(0.9e-3, 1.0, 1.0), floor=(0.7, 0, 0)) == [(49, "warning", "vanishing")]
    finding = mon.findings[-1]
    assert finding.tensor == "a"
    assert finding.evidence == {"share": 0.9e-3, "grad_rms": 0.9e-3, "floor": 0.7, "ratio": 1e-3}
    assert found_of(mon, 200, grad_rms=(0.9e-3, 1.0, 1.0)) == []


def test_a_gradient_that_vanishes_a_little_less_still_vanishes():
    mon = make_monitor()
    found_of(mon, 49, grad_rms=(0.9e-3, 1.0, 1.0))
    assert found_of(mon, 500, grad_rms=(1.9e-3, 1.0, 1.0)) == []
    assert found_of(mon, 500, grad_rms=(0.9e-3, 1.0, 1.0)) == []
    assert found_of(mon, 500, grad_rms=(2.1e-3, 1.0, 1.0)) == []
    assert len(found_of(mon, 500, grad_rms=(0.9e-3, 1.0, 1.0))) == 1


def test_the_worst_tensor_comes_first():
    mon = ac.Monitor(ac.SGD({name: np.ones((2, 2)) for name in "abc"}))
    for _ in range(49):
        columns = {**NORMAL, "grad_rms": (1e-4, 1e-5, 1.0)}
        mon.observe(1.0, ac.StepInfo(stats=stats_of("abc", **columns) if mon.wants_stats else None))
    assert [finding.tensor for finding in mon.findings] == ["b", "a"]


@pytest.mark.parametrize("values", [(0.0, 1.0, 1.0), (1.0, 1.0, 1e-9), (NAN, 1.0, 1.0), (NAN, NAN, NAN), (0, 0, 0)])
def test_zero_vectors_and_unknown_gradients_do_not_vanish(values):
    assert found_of(make_monitor(), 150, grad_rms=values) == []


def test_skipped_steps_change_nothing_of_what_is_known():
    mon = make_monitor()
    bad = {"grad_rms": (1e-5, 1.0, 1.0), "zero": (0.0, 1.0, 0.0), "lost": (0.9, 0.0, 0.0)}
    unknown = dict.fromkeys(NORMAL, (NAN,) * 3) | {"grad_rms": (math.inf, NAN, 1.0)}
    found = found_of(mon, 201, **bad)
    assert sorted(found) == [(49, "warning", "vanishing"), (201, "warning", "dead"), (201, "warning", "lost")]
    assert found_of(mon, 24, skipped=True, **unknown) == [(207, "warning", "overflow_loop")]
    assert found_of(mon, 400, **bad) == []


@pytest.mark.parametrize(("kind", "column", "value"), [("dead", "zero", 1.0), ("lost", "lost", 0.6)])
def test_what_lasts_200_steps(kind, column, value):
    mon = make_monitor()
    assert found_of(mon, 200, **{column: (0.0, value, NAN)}) == []
    assert found_of(mon, 200, **{column: (0.0, value, NAN)}) == [(201, "warning", kind)]
    finding = mon.findings[-1]
    assert finding.tensor == "b"
    assert finding.evidence == {"steps": 200} | ({"share": 0.6} if kind == "lost" else {})
    assert found_of(mon, 8, **{column: (0.0, 0.4, NAN)}) == []
    assert found_of(mon, 200, **{column: (0.0, value, NAN)}) == []
    assert found_of(mon, 8, **{column: (0.0, value, NAN)}) == [(609, "warning", kind)]


def test_nearly_all_zeros_are_not_dead_and_half_is_not_lost():
    mon = make_monitor()
    assert found_of(mon, 400, zero=(0.999, 0.5, 0.0), lost=(0.5, 0.0, 0.0)) == []


def falling(steps, begin=0):
    return [1 / (1 + 0.01 * i) for i in range(begin, begin + steps)]


def test_gradients_that_agree_while_the_loss_falls():
    mon = make_monitor(window=256)
    assert feed(mon, falling(400), cos=(0.31, 0.31, NAN)) == [(121, "note", "lr_small")]
    assert mon.findings[-1].evidence == {"cos": 0.31}
    assert feed(mon, falling(200, 400), cos=(0.2, 0.2, -1)) == []
    assert feed(mon, falling(200, 600), cos=(0.31, 0.31, -1)) == []
    assert feed(mon, falling(200, 800), cos=(0.1, 0.1, 1)) == []
    assert [kind for *_, kind in feed(mon, falling(200, 1000), cos=(0.31, 0.31, -1))] == ["lr_small"]


@pytest.mark.parametrize("cos", [(0.29, 0.3, 1.0), (NAN, NAN, NAN), (0.5, -0.5, 1.0)])
def test_gradients_that_do_not_agree(cos):
    assert feed(make_monitor(window=256), falling(400), cos=cos) == []


def test_gradients_that_agree_while_the_loss_does_not_fall():
    assert found_of(make_monitor(window=256), 400, cos=(0.5, 0.5, 0.5)) == []


def test_vectors_count_if_there_are_no_matrices():
    mon = ac.Monitor(ac.SGD({"v": np.ones(3)}), stats_every=1)
    for loss in falling(130):
        mon.observe(loss, ac.StepInfo(stats=stats_of("v", cos=0.5)))
    assert brief(mon.findings) == [(128, "note", "lr_small")]


@pytest.mark.parametrize("every", [2, 8, 50, 64, 1000])
def test_statistics_of_each_step_find_the_same_as_those_that_are_wanted(every):
    """Who takes statistics in each step anyway must not shorten the windows, which are meant in steps."""
    pair = [make_monitor(window=256, stats_every=every) for _ in range(2)]
    for loss in falling(2200):
        columns = {**NORMAL, "grad_rms": (1e-5, 1, 1), "zero": (0, 1, 0), "cos": 0.5}
        for mon, always in zip(pair, (True, False), strict=True):
            mon.observe(loss, ac.StepInfo(stats=stats_of(**columns) if mon.wants_stats or always else None))
    assert brief(pair[0].findings) == brief(pair[1].findings)
    assert {finding.kind for finding in pair[0].findings} >= {"vanishing", "dead"}


def test_parameters_that_are_added_later():
    opt = make_optimizer()
    mon = ac.Monitor(opt, window=256)
    assert found_of(mon, 200, zero=(0.0, 1.0, 0.0)) == []
    opt.add_param_group({"params": {"late": np.ones((3, 3))}})
    found = []
    for _ in range(100):
        columns = {name: (*values, values[0]) for name, values in NORMAL.items()}
        columns |= {"zero": (0, 1, 0, 0), "grad_rms": (1, 1, 1, 1e-5)}
        stats = stats_of(("a", "b", "bias", "late"), **columns) if mon.wants_stats else None
        found += mon.observe(1.0, ac.StepInfo(stats=stats))
    assert [(f.step, f.kind, f.tensor) for f in found if f.kind != "plateau"] == [
        (201, "dead", "b"),
        (249, "vanishing", "late"),
    ]


@pytest.mark.parametrize(
    "stats",
    [
        stats_of((), grad_rms=(), zero=(), lost=(), cos=(), ratio=(), floor=()),
        stats_of(("?",), **dict.fromkeys(NORMAL, 1.0)),
        stats_of(second_rms=1.0),
        stats_of(grad_rms=0.0),
        stats_of(grad_rms=1e-5),
        stats_of(**dict.fromkeys(NORMAL, math.inf)),
        stats_of(**dict.fromkeys(NORMAL, NAN)),
        stats_of(grad_rms=(1e308, 1e-308, 1.0), cos=(1e308, -1e308, 0.0)),
        ac.StepStats(("a",), 2047, lambda: 1 / 0, np.ones(1, np.int64)),
    ],
    ids=str,
)
def test_no_statistics_raise_an_error(stats):
    mon = make_monitor(window=256)
    for _ in range(210):
        mon.observe(1.0, ac.StepInfo(stats=stats))
    assert len(mon.history["loss"]) == 210
    mon.load_state_dict(mon.state_dict())


def observe_units(mon, looks, grads):
    found = []
    for _ in range(64 * looks):
        found += mon.observe(1.0, ac.StepInfo(), grads=grads)
    return [(f.step, f.severity, f.tensor, f.evidence) for f in found if f.kind == "dead"]


def test_units_without_a_gradient():
    mon = make_monitor(units=True)
    grads = {"a": np.ones((4, 5)), "b": np.ones((5, 2)), "bias": np.zeros(2)}
    grads["b"][1] = 0
    grads["a"][:, 3] = 0
    grads["a"][0, 3] = NAN
    assert observe_units(mon, 7, grads) == []
    assert observe_units(mon, 1, grads) == [(512, "warning", "b", {"axis": 0, "share": 0.2, "units": 1})]
    grads["b"][2] = 0
    assert observe_units(mon, 20, grads) == []
    assert observe_units(mon, 1, {"b": np.ones((5, 2)), "a": None, "bias": None}) == []
    assert [item[:3] for item in observe_units(mon, 8, grads)] == [(64 * 37, "warning", "b")]


def test_few_units_are_a_note_and_then_a_warning():
    opt = ac.SGD(np.ones((100, 2)))
    mon = ac.Monitor(opt, units=True)
    grad = np.ones((100, 2))
    grad[:19] = 0
    assert [item[1] for item in observe_units(mon, 12, grad)] == ["note"]
    grad[:20] = 0
    assert [item[1] for item in observe_units(mon, 12, grad)] == ["warning"]
    for _ in range(3):  # around the threshold, it is the same
        grad[:20] = [[1]] + [[0]] * 19
        grad[0] = 1
        assert observe_units(mon, 8, grad) == []
        grad[0] = 0
        assert observe_units(mon, 8, grad) == []


def test_units_in_every_structure():
    torch = pytest.importorskip("torch")
    half = np.zeros((3, 2), np.float16)
    params = {"x": {"y": [half, np.zeros((2, 2), np.complex64)]}, "z": np.zeros((2, 3), ml_dtypes.bfloat16)}
    mon = ac.Monitor(ac.SGD(params), units=True)
    grads = {"x": {"y": [np.zeros((3, 2), np.float16), np.zeros((2, 2), np.complex64)]}}
    grads["z"] = torch.zeros(2, 3, dtype=torch.bfloat16, requires_grad=True)
    assert [item[2] for item in observe_units(mon, 8, grads)] == ["x.y.0", "x.y.1", "z"]
    groups = ac.SGD([{"params": {"u": np.ones((2, 2))}}, {"params": [np.ones((2, 2))]}])
    mon = ac.Monitor(groups, units=True)
    assert [item[2] for item in observe_units(mon, 8, [np.zeros((2, 2)), np.zeros((2, 2))])] == ["u", "1"]
    assert [item[2] for item in observe_units(mon, 8, [None, np.zeros((2, 2))])] == []


@pytest.mark.parametrize("grads", [3, "grads", {1, 2}, [[[]]], {"a": "x"}, {"a": None}, {"b": object()}, [None] * 3])
def test_no_gradients_raise_an_error(grads):
    mon = make_monitor(units=True)
    assert observe_units(mon, 2, grads) == []


def test_empty_arrays_have_no_units():
    mon = ac.Monitor(ac.SGD({"w": np.zeros((0, 3)), "v": np.zeros((3, 0))}), units=True)
    assert observe_units(mon, 9, {"w": np.zeros((0, 3)), "v": np.zeros((3, 0))}) == []
