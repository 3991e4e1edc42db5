"""A monitor takes whatever there is, loses no step, and changes nothing."""

from __future__ import annotations

import decimal
import fractions
import json
import math
import timeit
from statistics import median

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac
from helpers import everything
from monitored import events, feed, make_monitor, make_optimizer

NAN, INF = math.nan, math.inf


class Odd:
    """A loss of which everything raises an error."""

    def __float__(self):
        raise RuntimeError("no number")

    def __repr__(self):
        raise RuntimeError("no text")

    def __getattr__(self, name):
        raise RuntimeError("no attribute")


class Index:
    def __index__(self):
        return 7


LOSSES = [
    (1.5, 1.5),
    (3, 3.0),
    (-(10**400), -INF),
    (10**400, INF),
    (decimal.Decimal("0.5"), 0.5),
    (decimal.Decimal("sNaN"), None),
    (decimal.Decimal("1e400"), INF),
    (fractions.Fraction(1, 4), 0.25),
    (NAN, NAN),
    (-INF, -INF),
    (Index(), 7.0),
    (np.float16(0.25), 0.25),
    (np.float32(0.25), 0.25),
    (np.longdouble(0.25), 0.25),
    (np.int8(-3), -3.0),
    (np.uint64(2**64 - 1), 2.0**64),
    (ml_dtypes.bfloat16(0.5), 0.5),
    (np.array(0.5), 0.5),
    (np.array([0.5]), 0.5),
    (np.array([[0.5]], np.float16), 0.5),
    (np.array(0.5, ml_dtypes.bfloat16), 0.5),
    (np.ones(2), None),
    (np.ones(0), None),
    (np.array("0.5"), None),
    (np.array(None), None),
    (np.array(1, "m8[s]"), None),
    (np.complex64(1), None),
    (np.array([1j]), None),
    (1j, None),
    (None, None),
    ("0.5", None),
    (b"0.5", None),
    (True, None),
    (np.True_, None),
    ([0.5], None),
    ({}, None),
    (object(), None),
    (Odd(), None),
    (ac.StepInfo(), None),
]


def is_known(value, expected):
    return math.isnan(value) if expected is None or math.isnan(expected) else value == expected


@pytest.mark.parametrize(("loss", "expected"), LOSSES, ids=lambda value: type(value).__name__)
def test_no_loss_raises_an_error_or_is_lost(loss, expected):
    mon = make_monitor()
    for _ in range(10):
        mon.observe(1.0, ac.StepInfo())
        assert isinstance(mon.observe(loss, ac.StepInfo(False, 1.0)), list)
    history = mon.history
    assert history["step"].tolist() == list(range(1, 21))
    assert history["loss"][::2].tolist() == [1.0] * 10
    assert all(is_known(value, expected) for value in history["loss"][1::2].tolist())
    if expected is None:
        assert mon.findings == []
        assert "10 losses could not be read as a number, and nothing is known of them." in mon.report()
    elif not math.isfinite(expected):
        assert [finding.kind for finding in mon.findings] == ["lr_large"]
    json.dumps(mon.state_dict(), allow_nan=False)


def test_losses_of_torch():
    torch = pytest.importorskip("torch")
    mon = make_monitor()
    w = torch.ones(2, requires_grad=True)
    losses = [(w * 0.5).mean(), (w * 0.5).mean().reshape(1), w.detach().bfloat16().mean(), torch.tensor(3)]
    for loss in [*losses, w, torch.tensor(1j), torch.tensor([]), torch.ones((), device="meta")]:
        assert mon.observe(loss, ac.StepInfo()) == []
    assert mon.history["loss"][:4].tolist() == [0.5, 0.5, 1.0, 3.0]
    assert np.isnan(mon.history["loss"][4:]).all()
    assert mon.observe_validation(w.mean()) == []


@pytest.mark.parametrize("metric", [loss for loss, _ in LOSSES], ids=lambda value: type(value).__name__)
def test_no_metric_raises_an_error(metric):
    mon = make_monitor(validation_window=4)
    for _ in range(10):
        assert isinstance(mon.observe_validation(metric), list)


@pytest.mark.parametrize("info", [None, (False, 1.0), "info", 3])
def test_what_is_no_info_tells_nothing_but_the_loss_counts(info):
    mon = make_monitor()
    assert mon.observe(1.0, info) == []
    assert mon.history["loss"].tolist() == [1.0]
    assert np.isnan(mon.history["grad_norm"]).all()


OPTIMIZERS = sorted(ac.optimizers.__all__)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (dtype, name)
        for dtype in ("float16", "bfloat16", "float32", "float64", "complex64")
        for name in OPTIMIZERS
        if (dtype, name) != ("complex64", "Adafactor")
    ],
)
def test_it_changes_nothing_of_any_optimizer(name, dtype):
    rng = np.random.default_rng(1)
    dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)

    def draw():
        x = rng.standard_normal((3, 4)) + (1j * rng.standard_normal((3, 4)) if np.dtype(dtype).kind == "c" else 0)
        return {"layer": [(0.1 * x).astype(dtype), (0.1 * x[0]).astype(dtype)], "frozen": np.ones(2, dtype)}

    steps = [draw() for _ in range(80)]
    steps[5]["layer"][0][0] = np.nan
    results = []
    for watched in (False, True):
        params = {"layer": [np.ones((3, 4), dtype), np.ones(4, dtype)], "frozen": np.ones(2, dtype)}
        opt = getattr(ac, name)(params, nonfinite="skip")
        mon = ac.Monitor(opt, window=16, units=True) if watched else None
        for step, drawn in enumerate(steps):
            grads = {"layer": [drawn["layer"][0], drawn["layer"][1] if step % 3 else None], "frozen": None}
            info = opt.step(grads, stats=mon.wants_stats and mon.columns if mon else False)
            if mon:
                mon.observe(np.float32(1 / (1 + step)), info, grads=grads)
        results.append(everything(opt))
    assert results[0] == results[1]
    assert mon.history["skipped"].tolist() == [step == 5 for step in range(80)]
    assert len(mon.statistics["step"]) == 10
    json.dumps(mon.state_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "params",
    [
        np.ones(3),
        [np.ones(())],
        {"w": np.ones((0, 3))},
        {"w": np.ones((2, 2))},
        [{"params": []}, {"params": np.ones(2)}],
    ],
    ids=["one", "scalar", "empty", "matrix", "groups"],
)
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_parameters_of_all_kinds(params, value):
    opt = ac.Adam(params)
    mon = ac.Monitor(opt, units=True)
    for step in range(300):
        arrays = {n: p for g in opt.param_groups for n, p in zip(g["param_names"], g["params"], strict=True)}
        grads = {name: np.full(array.shape, value) for name, array in arrays.items()}
        grads = grads["0"] if len(arrays) == 1 and "0" in arrays else grads
        mon.observe(1.0, opt.step(grads, stats=mon.wants_stats), grads=grads)
        if step == 150:
            opt.add_param_group({"params": {"late": np.ones((2, 2))}})
    assert len(mon.history["loss"]) == 300
    assert len(mon.statistics["step"]) == 38
    mon.load_state_dict(json.loads(json.dumps(mon.state_dict())))


def test_wants_stats_in_every_eighth_step():
    mon = make_monitor()
    wanted = []
    for _ in range(20):
        wanted.append(mon.wants_stats)
        mon.observe(1.0, ac.StepInfo())
    assert [step for step, wants in enumerate(wanted, 1) if wants] == [1, 9, 17]
    assert type(mon.wants_stats) is bool
    assert not make_monitor(stats_every=None).wants_stats
    assert set(mon.columns) < set(ac.SGD(np.ones(1)).step(np.ones(1), stats=True).stats.columns)


def test_it_begins_where_the_optimizer_is():
    opt = ac.SGD(np.ones(2))
    for _ in range(5):
        opt.step(np.ones(2))
    mon = ac.Monitor(opt)
    mon.observe(1.0, opt.step(np.ones(2), stats=mon.wants_stats))
    assert mon.history["step"].tolist() == [6]
    assert mon.statistics["step"].tolist() == [6]


def test_a_history_that_is_kept_stays_what_it_was():
    mon = make_monitor()
    feed(mon, [1.0, 2.0])
    history, statistics = mon.history, mon.statistics
    feed(mon, [3.0] * 20)
    assert {len(history[name]) for name in history} == {2}
    assert {len(statistics[name]) for name in statistics} == {1}
    history.append({"step": 3, "skipped": False})
    assert len(mon.history["step"]) == 22


def test_text_and_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    mon = make_monitor(units=True)
    assert mon.report() == "SGD, 0 steps\nNothing was found to be wrong."
    mon.plot(tmp_path / "empty.png")
    for event in events(0, 500):
        event.observe(mon)
    figure = mon.plot(tmp_path / "mon.png")
    assert (tmp_path / "mon.png").read_bytes().startswith(b"\x89PNG")
    assert type(figure).__name__ == "Figure"
    mon.to_json(tmp_path / "mon.json")
    assert json.loads((tmp_path / "mon.json").read_text())["steps"] == 500
    assert repr(mon) == f"<Monitor of SGD: 500 steps, {len(mon.findings)} findings>"
    assert all(len(line) <= 100 for line in mon.report().splitlines())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"window": 3}, ValueError, "Monitor: window must be an int >= 4, got 3"),
        ({"window": 8.0}, TypeError, "Monitor: window must be an int >= 4, got 8.0"),
        ({"stats_every": 0}, ValueError, "Monitor: stats_every must be an int >= 1 or None, got 0"),
        ({"stats_every": True}, TypeError, "Monitor: stats_every must be an int >= 1 or None, got True"),
        ({"seed": -1}, ValueError, "Monitor: seed must be an int >= 0, got -1"),
        ({"seed": None}, TypeError, "Monitor: seed must be an int >= 0, got None"),
        ({"tol": 0}, ValueError, "Monitor: tol must be a number > 0, got 0"),
        ({"tol": NAN}, ValueError, "Monitor: tol must be a number > 0, got nan"),
        ({"tol": "1%"}, TypeError, "Monitor: tol must be a number > 0, got '1%'"),
        ({"max_window": 31}, ValueError, "Monitor: max_window must be an int >= window, which is 32, got 31"),
        ({"scale": -1.0}, ValueError, "Monitor: scale must be a number > 0, got -1.0"),
        ({"validation_window": 3}, ValueError, "Monitor: validation_window must be an int >= 4, got 3"),
        ({"validation_window": None}, TypeError, "Monitor: validation_window must be an int >= 4, got None"),
        ({"mode": "low"}, ValueError, "Monitor: mode must be 'min' or 'max', got 'low'"),
        ({"mode": np.ones(2)}, TypeError, "Monitor: mode must be 'min' or 'max', got "),
        ({"units": "yes"}, TypeError, "Monitor: units must be True or False, got 'yes'"),
        ({"scaler": 2.0}, TypeError, "Monitor: scaler must be a LossScaler or None, got 2.0"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, error, message):
    with pytest.raises(error) as caught:
        make_monitor(**arguments)
    assert str(caught.value).startswith(message)


def test_opt_must_be_an_optimizer():
    for wrong in (None, ac.SGD, {"w": np.ones(2)}):
        with pytest.raises(TypeError, match="Monitor: opt must be an optimizer, got "):
            ac.Monitor(wrong)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
@pytest.mark.parametrize("norm", [None, 1.0])
def test_a_step_without_statistics_costs_few_microseconds(kind, norm):
    mon = ac.Monitor(make_optimizer(), stats_every=None)
    losses = [kind(x) for x in 1 + 0.05 * np.random.default_rng(0).standard_normal(1000)]
    info = ac.StepInfo(False, norm)
    times = timeit.repeat(lambda: [mon.observe(loss, info) for loss in losses], number=1, repeat=21)
    least, middle = (of(times) / len(losses) * 1e6 for of in (min, median))
    print(f"{kind.__name__}, norm {norm}: {middle:.2f} us, at least {least:.2f}")
    assert least < 6  # other programs only add to it
