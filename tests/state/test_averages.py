"""Averages of weights that steps carry on: EMA, SWA and Lookahead."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, everywhere, make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, F16, F32, F64
from storage import computed_weights_of as weights_of

SHAPES = [(33, 5), (7,), (), (0,), (2, 3, 4), (9000,)]
STORAGE = [
    (F32, ac.Precision()),
    (F64, ac.Precision()),
    (BF16, ac.Precision()),
    (F16, ac.Precision(state="bfloat16")),
    (BF16, ac.Precision(master="remainder")),
    (BF16, ac.Precision(master=None)),
    (F16, ac.Precision(master=None, rounding="compensated")),
    (BF16, ac.Precision(master=None, rounding="stochastic", seed=3)),
]
KINDS: list[Callable[[ac.Optimizer], Any]] = [
    lambda opt: ac.EMA(opt, 0.9),
    lambda opt: ac.EMA(opt, 0.75, warmup=False, every=2),
    lambda opt: ac.SWA(opt, start=1),
    lambda opt: ac.Lookahead(opt, k=2, alpha=0.25),
]


def draw(rng: np.random.Generator, dtype: Any, order: Any = "C") -> dict[str, np.ndarray]:
    return {
        f"p{i}": np.array(magnitudes(rng, shape), order=order).astype(dtype, order="K")
        for i, shape in enumerate(SHAPES)
    }


def gradients(rng: np.random.Generator, dtype: Any, order: Any = "C") -> dict[str, Any]:
    return {**draw(rng, dtype, order), "p1": None}


def advanced(average: np.ndarray, weight: np.ndarray, share: float) -> np.ndarray:
    """The pass of its own: a + share * (w - a) in the type of the arrays."""
    T = average.dtype.type
    return np.asarray(average + T(share) * (weight - average))


ROWS = [(case, STORAGE[2]) for case in CASES] + [(CASES[3], stored) for stored in STORAGE if stored is not STORAGE[2]]
"""Every rule, and every storage."""


@pytest.mark.parametrize(("case", "stored"), ROWS, ids=[f"{case.id}-{stored}" for case, stored in ROWS])
def test_the_average_equals_a_pass_of_its_own(case: Case, stored: Any, rng: np.random.Generator) -> None:
    """The parameters have the bits of an optimizer without one."""
    dtype, precision = stored
    p = draw(rng, dtype)
    plain = make(case, {name: a.copy() for name, a in p.items()}, precision=precision)
    optimizer = make(case, p, precision=precision)
    ema = ac.EMA(optimizer, 0.5)
    expected = {name: weights_of(optimizer, name, a).copy() for name, a in p.items()}
    assert all(ema.arrays[name].tobytes() == a.tobytes() for name, a in expected.items())
    for n in range(1, 5):
        grads = gradients(rng, dtype)
        optimizer.step(grads)
        plain.step(grads)
        for name, a in p.items():
            share = 1 - min(0.5, (1 + n) / (10 + n))
            expected[name] = advanced(expected[name], weights_of(optimizer, name, a), share)
            assert ema.arrays[name].tobytes() == expected[name].tobytes(), (n, name)
        without = {name: bits for name, bits in everything(optimizer).items() if not name.endswith(".ema")}
        assert without == everything(plain)
    assert ema.count == 4


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("dtype", [F32, F64, BF16], ids=str)
def test_the_same_bits_everywhere(kind: int, dtype: Any) -> None:
    def run(order: str) -> list[bytes]:
        rng = np.random.default_rng(5)
        p = draw(rng, dtype, order)
        optimizer = ac.AdamW(p, lr=0.1)
        average = KINDS[kind](optimizer)
        for _ in range(5):
            optimizer.step(gradients(rng, dtype, order))
        return [np.ascontiguousarray(a).tobytes() for a in (*p.values(), *average.arrays.values())]

    first, *others = everywhere(run)
    assert all(other == first for other in others)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}, {"clip_value": 0.01}, {"clip_adaptive": 0.01}], ids=str)
def test_clipping_does_not_concern_averages(options: Any, rng: np.random.Generator) -> None:
    p = draw(rng, F32)
    optimizer = ac.AdamW(p, **options)
    ema = ac.EMA(optimizer, 0.5, warmup=False)
    before = {name: a.copy() for name, a in p.items()}
    optimizer.step(gradients(rng, F32))
    for name, a in p.items():
        assert ema.arrays[name].tobytes() == advanced(before[name], a, 0.5).tobytes()


def test_decays_warm_up() -> None:
    w = np.zeros(3)
    optimizer = ac.SGD(w, lr=1.0)
    ema, expected = ac.EMA(optimizer), 0.0
    for n in range(1, 120):
        optimizer.step(np.full(3, -1.0))
        expected += (1 - min(0.999, (1 + n) / (10 + n))) * (n - expected)
        assert np.all(ema.arrays["0"] == expected)


def test_every_counts_steps() -> None:
    w = np.zeros(3)
    optimizer = ac.SGD(w, lr=1.0)
    ema = ac.EMA(optimizer, 0.5, warmup=False, every=3)
    found = []
    for _ in range(7):
        optimizer.step(np.full(3, -1.0))
        found.append(float(ema.arrays["0"][0]))
    assert found == [0, 0, 1.5, 1.5, 1.5, 3.75, 3.75]
    assert ema.count == 7


def test_skipped_steps_do_not_count() -> None:
    w = np.zeros(3)
    optimizer = ac.SGD(w, lr=1.0, nonfinite="skip")
    ema = ac.EMA(optimizer, 0.5, warmup=False)
    optimizer.step(np.full(3, -1.0))
    before = ema.arrays["0"].copy()
    assert optimizer.step(np.full(3, np.nan)).skipped
    assert np.array_equal(ema.arrays["0"], before)
    assert ema.count == 1


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_swa_is_the_mean(dtype: Any, rng: np.random.Generator) -> None:
    p = {"w": np.array(magnitudes(rng, (1000,))).astype(dtype)}
    optimizer = ac.SGD(p, lr=0.1)
    swa = ac.SWA(optimizer, start=4, every=3)
    with pytest.raises(RuntimeError, match=r"SWA: nothing has been averaged yet: the mean begins after 4 completed"):
        swa.swap().__enter__()
    seen = []
    for t in range(1, 41):
        optimizer.step({"w": np.array(magnitudes(rng, (1000,))).astype(dtype)})
        if t >= 4 and (t - 4) % 3 == 0:
            seen.append(p["w"].astype(np.float64))
            assert swa.count == len(seen)
            error = np.abs(swa.arrays["w"] - np.mean(seen, axis=0))
            scale = np.abs(seen).max(axis=0).astype(dtype)
            assert np.all(error <= len(seen) * np.spacing(scale))
        if len(seen) == 1:
            assert np.array_equal(swa.arrays["w"], seen[0].astype(dtype))


@products(stored=STORAGE)
def test_lookahead_returns_to_slow_weights(stored: Any, rng: np.random.Generator) -> None:
    dtype, precision = stored
    p = draw(rng, dtype)
    optimizer = ac.AdamW(p, lr=0.1, precision=precision)
    fast = ac.AdamW({name: a.copy() for name, a in p.items()}, lr=0.1, precision=precision)
    slow = ac.Lookahead(optimizer, k=3, alpha=0.25)
    start = {name: weights_of(optimizer, name, a) for name, a in p.items()}
    for _ in range(3):
        grads = gradients(rng, dtype)
        optimizer.step(grads)
        fast.step(grads)
    exact = dtype in (F32, F64) or precision.master is not None
    for name, q in zip(fast.state, fast.param_groups[0]["params"], strict=True):
        reached = weights_of(fast, name, q)
        expected = advanced(start[name], reached, 0.25)
        assert slow.arrays[name].tobytes() == expected.tobytes()
        found = weights_of(optimizer, name, p[name])
        if exact:
            assert found.tobytes() == expected.tobytes()
        else:
            np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=2.0**-7)
        moments = ("exp_avg", "exp_avg_sq")
        assert all(np.array_equal(optimizer.state[name][k], fast.state[name][k]) for k in moments)


@products(stored=STORAGE)
def test_swap_exchanges_and_puts_back(stored: Any, rng: np.random.Generator) -> None:
    dtype, precision = stored
    p = draw(rng, dtype, "F")
    optimizer = ac.AdamW(p, lr=0.1, precision=precision)
    ema = ac.EMA(optimizer, 0.9)
    for _ in range(3):
        optimizer.step(gradients(rng, dtype))
    before = everything(optimizer)
    average = {name: a.copy() for name, a in ema.arrays.items()}
    params = {name: a.copy() for name, a in p.items()}
    with ema.swap():
        for name, a in p.items():
            assert np.array_equal(a, average[name].astype(dtype))
            assert np.array_equal(ema.arrays[name], params[name].astype(average[name].dtype))
        for call in (
            lambda: optimizer.step(gradients(rng, dtype)),
            optimizer.state_dict,
            optimizer.reset_state,
            lambda: copy.deepcopy((p, optimizer)),
            lambda: ema.swap().__enter__(),
            lambda: ac.SWA(optimizer, start=0),
        ):
            with pytest.raises(RuntimeError, match=r"AdamW: the parameters hold an average of the weights: leave its"):
                call()
    assert everything(optimizer) == before
    with pytest.raises(ZeroDivisionError), ema.swap():
        raise ZeroDivisionError
    assert everything(optimizer) == before
    optimizer.step(gradients(rng, dtype))


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
def test_a_resumed_run_has_the_bits_of_the_unbroken_one(kind: int, dtype: Any, rng: np.random.Generator) -> None:
    p = draw(rng, dtype)
    optimizer = ac.AdamW(p, lr=0.1)
    average = KINDS[kind](optimizer)
    for _ in range(3):
        optimizer.step(gradients(rng, dtype))
    saved = optimizer.state_dict()
    q = {name: a.copy() for name, a in p.items()}
    other = ac.AdamW(q, lr=0.1)
    with pytest.raises(ValueError, match=rf"\['averages'\]: '{average.name}' is not in the optimizer"):
        other.load_state_dict(saved)
    resumed = KINDS[kind](other)
    with pytest.raises(ValueError, match=rf"\['averages'\]: '{average.name}' is missing"):
        other.load_state_dict({**saved, "averages": {}})
    other.load_state_dict(saved)
    copies = [(other, resumed, q)]
    pickled = pickle.dumps((p, optimizer, average))
    for params, made, ema in (copy.deepcopy((p, optimizer, average)), pickle.loads(pickled)):  # noqa: S301
        copies.append((made, ema, params))
    for _ in range(4):
        grads = gradients(rng, dtype)
        optimizer.step(grads)
        for made, ema, _ in copies:
            made.step(grads)
            assert everything(made) == everything(optimizer)
            assert ema.count == average.count
            assert all(ema.arrays[name].tobytes() == a.tobytes() for name, a in average.arrays.items())


def test_checkpoints_are_checked() -> None:
    optimizer = ac.SGD({"w": np.ones(3)}, lr=0.1)
    ac.EMA(optimizer)
    saved = optimizer.state_dict()
    assert saved["averages"]["ema"] == {
        "type": "EMA",
        "decay": 0.999,
        "warmup": True,
        "every": 1,
        "steps": 0,
        "averaged": 0,
    }
    for change, error, text in [
        ({"type": "SWA"}, ValueError, r"\['averages'\]\['ema'\]: the type is 'SWA', but the optimizer's is 'EMA'"),
        ({"steps": -1}, ValueError, r"\['averages'\]\['ema'\]\['steps'\]: expected a number of steps"),
        ({"averaged": "x"}, TypeError, r"\['averaged'\]: expected an int"),
    ]:
        broken = {**saved, "averages": {"ema": {**saved["averages"]["ema"], **change}}}
        with pytest.raises(error, match=text):
            optimizer.load_state_dict(broken)
    del saved["state"]["w"]["ema"]
    with pytest.raises(ValueError, match="'ema' is missing"):
        optimizer.load_state_dict(saved)


def test_groups_that_are_added_later_have_the_average(rng: np.random.Generator) -> None:
    p, more = draw(rng, F32), np.array(magnitudes(rng, (50,))).astype(np.float32)
    optimizer = ac.AdamW(p, lr=0.1)
    ema = ac.EMA(optimizer, 0.5, warmup=False)
    optimizer.step(gradients(rng, F32))
    optimizer.add_param_group({"params": {"more": more}})
    assert ema.arrays["more"].tobytes() == more.tobytes()
    before = more.copy()
    optimizer.step({**dict.fromkeys(p), "more": np.ones(50, np.float32)})
    assert ema.arrays["more"].tobytes() == advanced(before, more, 0.5).tobytes()
    assert set(optimizer.state["more"]) == {"exp_avg", "exp_avg_sq", "ema"}


def test_several_averages_and_new_state(rng: np.random.Generator) -> None:
    """A rule that changes between steps keeps the averages."""
    p = draw(rng, F32)
    optimizer = ac.AdamW(p, lr=0.1)
    short, long = ac.EMA(optimizer, 0.5, name="short"), ac.EMA(optimizer, 0.99, name="long")
    optimizer.step(gradients(rng, F32))
    optimizer.param_groups[0]["amsgrad"] = True
    before = {e.name: {name: a.copy() for name, a in e.arrays.items()} for e in (short, long)}
    optimizer.step(gradients(rng, F32))
    for e, decay in ((short, 0.5), (long, 0.99)):
        for name, a in p.items():
            share = 1 - min(decay, 3 / 12)
            assert e.arrays[name].tobytes() == advanced(before[e.name][name], a, share).tobytes()
    optimizer.rebind({name: a.copy() for name, a in p.items()})
    assert optimizer.state["p0"]["long"].tobytes() == long.arrays["p0"].tobytes()
    optimizer.step(gradients(rng, F32))
    assert long.count == 3


def test_names_and_arguments_are_checked() -> None:
    optimizer = ac.AdamW({"w": np.ones(3, np.float32)})
    make_ema: Any = ac.EMA
    before = everything(optimizer)
    for arguments, error, text in [
        (dict(opt=3), TypeError, "EMA: opt must be an optimizer, got 3"),
        (dict(name="exp_avg"), ValueError, "EMA: name must not be that of other state, got 'exp_avg'"),
        (dict(name="momentum_buffer"), ValueError, "EMA: name must not be that of other state"),
        (dict(name="master"), ValueError, "EMA: name must not be"),
        (dict(name=3), TypeError, "EMA: name must be a str, got 3"),
        (dict(decay=1.5), ValueError, r"EMA: decay must be a number in \[0, 1\], got 1.5"),
        (dict(decay=float("nan")), ValueError, "EMA: decay must be"),
        (dict(warmup=1), TypeError, "EMA: warmup must be True or False, got 1"),
        (dict(every=0), ValueError, "EMA: every must be an int >= 1, got 0"),
        (dict(dtype="float64"), ValueError, "which is float32 for 'w', got float64"),
        (dict(dtype="nonsense"), TypeError, "EMA: dtype must be None, float32 or float64"),
    ]:
        with pytest.raises(error, match=text):
            make_ema(**{"opt": optimizer, **arguments})
    assert everything(optimizer) == before
    for call, text in [
        (lambda: ac.SWA(optimizer, start=-1), "SWA: start must be an int >= 0"),
        (lambda: ac.Lookahead(optimizer, k=0), "Lookahead: k must be an int >= 1"),
        (lambda: ac.Lookahead(optimizer, alpha=0.0), r"Lookahead: alpha must be a number in \(0, 1\]"),
    ]:
        with pytest.raises(ValueError, match=text):
            call()
    ema = ac.EMA(optimizer, dtype="float32")
    assert repr(ema) == "EMA(AdamW, decay=0.999, warmup=True, every=1, name='ema')"
    with pytest.raises(ValueError, match="AdamW: there is state of this name already: ema"):
        ac.EMA(optimizer)
