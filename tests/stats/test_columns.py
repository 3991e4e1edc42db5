"""The columns of statistics, against their definitions in float64 NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, load, make
from reference import CASES, MORE, Case, magnitudes, random_state
from stats_reference import COLUMNS, OF_GRADIENTS, Observed, expected_columns, moments_of, rms
from storage import BF16, F16, F32, F64, PRECISIONS
from storage import weights_of as stored_weights

SHAPES = {"matrix": (33, 5), "vector": (7,), "scalar": (), "empty": (0,), "long": (9001,), "unused": (4,)}


def draw(rng: np.random.Generator, dtype: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(magnitudes(rng, shape), dtype) for name, shape in SHAPES.items()}


def gradients(rng: np.random.Generator, dtype: Any) -> dict[str, Any]:
    grads = {name: np.asarray(g * (rng.random(g.shape) > 0.2), dtype) for name, g in draw(rng, dtype).items()}
    return {**grads, "unused": None}


def state_of(optimizer: ac.Optimizer) -> dict[str, dict[str, np.ndarray]]:
    return {name: {slot: a.copy() for slot, a in optimizer.state[name].items()} for name in optimizer.state}


def require(stats: Any, place: int, expected: dict[str, float]) -> None:
    for column in COLUMNS:
        found, wanted = getattr(stats, column)[place], expected[column]
        # A cosine is a sum of products of both signs, which cancel.
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-14 if column == "cos" else 0, nan_ok=True), column


@pytest.mark.parametrize("rule", [*CASES, *MORE], ids=lambda rule: rule.id)
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_each_column_of_each_rule(rule: Case, dtype: Any, rng: np.random.Generator) -> None:
    """The parameters and their state have the bits that they have without statistics."""
    p = draw(rng, dtype)
    optimizer, plain = make(rule, p), make(rule, {name: a.copy() for name, a in p.items()})
    states = {name: random_state(rule, rng, a) for name, a in p.items()}
    for each in (optimizer, plain):
        load(each, states, 3)
    for t in (4, 5):
        grads = gradients(rng, dtype)
        before, state, numbers = {k: a.copy() for k, a in p.items()}, state_of(optimizer), dict(optimizer.numbers)
        info = optimizer.step(grads, stats=True)
        plain.step(grads)
        assert everything(optimizer) == everything(plain)
        assert info.stats.names == tuple(SHAPES)
        assert info.stats.size.tolist() == [a.size for a in p.values()]
        for place, (name, g) in enumerate(grads.items()):
            if g is None or g.size == 0:
                assert all(np.isnan(getattr(info.stats, column)[place]) for column in COLUMNS)
                continue
            wide = (g.astype(np.float64), before[name].astype(np.float64), p[name].astype(np.float64))
            seen = Observed(*wide, state[name], optimizer.state[name])
            require(info.stats, place, expected_columns(rule, seen, t, numbers, dtype))


@pytest.mark.parametrize("rule", CASES, ids=lambda rule: rule.id)
def test_the_first_step(rule: Case, rng: np.random.Generator) -> None:
    """There is no former first moment to agree with, whatever its memory contains."""
    p = draw(rng, F32)
    optimizer = make(rule, p)
    stats = optimizer.step(gradients(rng, F32), stats=True).stats
    assert np.isnan(stats.cos).all()
    assert stats.update_rms[0] > 0


def lost_by_brute_force(before: np.ndarray, after: np.ndarray, stored: np.ndarray, now: np.ndarray) -> float:
    return float(np.mean((after != before) & (now.astype(np.float64) == stored.astype(np.float64))))


HALF_PRECISION = [(way, param) for way in PRECISIONS for param in (BF16, F16) if way != "remainder" or param == BF16]


@pytest.mark.parametrize(("way", "param"), HALF_PRECISION, ids=str)
@pytest.mark.parametrize("state", ["float32", "bfloat16"])
def test_half_precision(way: str, param: Any, state: str, rng: np.random.Generator) -> None:
    """Weights are those in full precision, as a float32 optimizer computes them from the same numbers."""
    case = next(case for case in CASES if case.id == "adamw")
    precision = ac.Precision(**PRECISIONS[way], state=state)
    p = draw(rng, param)
    optimizer = ac.AdamW(p, precision=precision, **case.options)
    for _ in range(3):
        optimizer.step(gradients(rng, param))
    for t in (4, 5):
        grads = gradients(rng, param)
        stored, old = {k: a.copy() for k, a in p.items()}, state_of(optimizer)
        weights = {k: np.asarray(stored_weights(old[k], a), F32).reshape(a.shape) for k, a in p.items()}
        computed = {k: a.copy() for k, a in weights.items()}
        twin = ac.AdamW(computed, precision=ac.Precision(state=state), **case.options)
        load(twin, {name: {slot: a for slot, a in old[name].items() if slot in case.slots} for name in p}, t - 1)
        twin.step(grads)
        stats = optimizer.step(grads, stats=True).stats
        for place, (name, g) in enumerate(grads.items()):
            if g is None or g.size == 0:
                continue
            lost = lost_by_brute_force(weights[name], computed[name], stored[name], p[name])
            wide = (a.astype(np.float64) for a in (g, weights[name], computed[name]))
            seen = Observed(*wide, old[name], optimizer.state[name], lost)
            require(stats, place, expected_columns(case, seen, t, {}))


def test_a_rate_that_bfloat16_loses(rng: np.random.Generator) -> None:
    w = (1 + rng.random(5000)).astype(BF16)
    optimizer = ac.SGD(w, lr=1e-5, precision=ac.Precision(master=None))
    before = w.copy()
    stats = optimizer.step(np.ones(5000, BF16), stats=["lost", "update_rms"]).stats
    assert stats.lost[0] == 1 == np.mean(w == before)
    assert stats.update_rms[0] == pytest.approx(1e-5, rel=0.05)


@pytest.mark.parametrize("grad", [F16, BF16, F32, F64], ids=str)
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"clip_norm": 1e-3}, {"clip_norm_per_tensor": 1e-3}, {"clip_value": 1e-3}, {"clip_adaptive": 1e-3}],
    ids=str,
)
def test_gradients_are_unscaled_and_not_clipped(
    grad: Any, dtype: Any, options: dict[str, Any], rng: np.random.Generator
) -> None:
    case = next(case for case in CASES if case.id == "adam")
    p = draw(rng, dtype)
    optimizer, plain = ac.Adam(p, **options), ac.Adam({k: a.copy() for k, a in p.items()}, **options)
    for _ in range(2):
        grads = gradients(rng, grad)
        state = state_of(optimizer)
        info = optimizer.step(grads, stats=True, loss_scale=8.0)
        alone = plain.step(grads, loss_scale=8.0)
        assert everything(optimizer) == everything(plain)
        assert info == alone
    for place, (name, g) in enumerate(grads.items()):
        if g is not None and g.size:
            seen = Observed(g.astype(np.float64) / 8, p[name], p[name], state[name], optimizer.state[name])
            expected = expected_columns(case, seen, 2, {})
            for column in (*OF_GRADIENTS, "cos"):
                found = getattr(info.stats, column)[place]
                assert found == pytest.approx(expected[column], rel=1e-12, abs=1e-14 if column == "cos" else 0)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(F16, 1), (BF16, 1), (F32, 1), (F64, 1), (F64, 1e200), (F64, 1e-200)], ids=str
)
def test_the_norm_has_the_bits_of_a_step_that_clips(dtype: Any, scale: float, rng: np.random.Generator) -> None:
    p = draw(rng, dtype)
    factor = np.asarray(scale, dtype)
    grads = {k: None if g is None else np.asarray(g * factor) for k, g in gradients(rng, dtype).items()}
    clipped = {k: a.copy() for k, a in p.items()}
    measured = ac.SGD(clipped, lr=0.0, clip_norm=1.0).step(grads).grad_norm
    info = ac.SGD(p, lr=0.0).step(grads, stats="grad_rms")
    assert info.grad_norm == measured
    both = ac.SGD(clipped, lr=0.0, clip_norm=1.0).step(grads, stats=True)
    assert both.grad_norm == measured
    assert both.stats.grad_rms.tobytes() == info.stats.grad_rms.tobytes()
    for place, (name, g) in enumerate(grads.items()):
        if g is not None and g.size:
            alone = ac.SGD({"g": np.zeros_like(g)}, lr=0.0, clip_norm=1.0).step({"g": g}).grad_norm
            assert info.stats.grad_rms[place] == alone / np.sqrt(g.size), name


def test_a_step_that_is_skipped_has_columns_of_gradients(rng: np.random.Generator) -> None:
    p = draw(rng, F32)
    optimizer = ac.AdamW(p, nonfinite="skip")
    grads = gradients(rng, F32)
    grads["long"][4097] = np.inf
    before = everything(optimizer)
    info = optimizer.step(grads, stats=True)
    assert info.skipped
    assert everything(optimizer) == before
    for place, (name, g) in enumerate(grads.items()):
        for column in COLUMNS:
            value = getattr(info.stats, column)[place]
            if column not in OF_GRADIENTS or g is None or g.size == 0:
                assert np.isnan(value), (name, column)
        if g is not None and g.size:
            assert info.stats.zero[place] == np.mean(g == 0)
            assert info.stats.grad_max[place] == np.max(np.abs(g))
            if name != "long":
                assert info.stats.grad_rms[place] == pytest.approx(rms(g.astype(np.float64)), rel=1e-12)
    assert info.stats.worst("grad_rms", 1) == [("long", np.inf)]


@pytest.mark.parametrize("rule", ["SGD", "LAMB", "Prodigy"])
def test_gradients_that_are_not_finite(rule: str, rng: np.random.Generator) -> None:
    p = draw(rng, F32)
    grads = gradients(rng, F32)
    grads["matrix"][2, 3], grads["long"][4099] = np.nan, -np.inf
    stats = getattr(ac, rule)(p, lr=0.1).step(grads, stats=True).stats
    assert np.isnan([stats.grad_rms[0], stats.grad_max[0], stats.update_rms[0]]).all()
    assert (stats.grad_rms[4], stats.grad_max[4]) == (np.inf, np.inf)
    assert stats.worst("grad_max", 2)[1] == ("long", np.inf)
    assert stats.worst("grad_max", 1)[0][0] == "matrix"


def test_a_step_without_changes(rng: np.random.Generator) -> None:
    """Prodigy does not move while all gradients are 0."""
    p = draw(rng, F32)
    optimizer = ac.Prodigy(p)
    grads = {name: np.zeros_like(a) for name, a in p.items()}
    stats = optimizer.step(grads, stats=True).stats
    for place, (name, a) in enumerate(p.items()):
        if a.size:
            assert stats.update_rms[place] == 0 == stats.ratio[place], name
            assert stats.param_rms[place] == pytest.approx(np.sqrt(np.mean(a.astype(np.float64) ** 2)), rel=1e-12)


def test_a_window_of_accumulation_has_the_mean(rng: np.random.Generator) -> None:
    p = draw(rng, F32)
    optimizer = ac.AdamW(p)
    leaves = [gradients(rng, F32) for _ in range(3)]
    for weight, grads in enumerate(leaves[:2], 1):
        optimizer.accumulate(grads, weight=weight)
    stats = optimizer.step(leaves[2], weight=3, stats=True).stats
    for place, name in enumerate(SHAPES):
        if leaves[0][name] is not None and p[name].size:
            mean = sum(weight * leaf[name].astype(np.float64) for weight, leaf in enumerate(leaves, 1)) / 6
            assert stats.grad_rms[place] == pytest.approx(np.sqrt(np.mean(mean**2)), rel=1e-6)


def test_averages_are_followed_too(rng: np.random.Generator) -> None:
    """Lookahead moves the weights behind the update, which is what statistics describe."""
    p = draw(rng, F32)
    other = {name: a.copy() for name, a in p.items()}
    first, second = ac.AdamW(p), ac.AdamW(other)
    slow = ac.Lookahead(second, k=1, alpha=0.5)
    grads = gradients(rng, F32)
    tables = [optimizer.step(grads, stats=True).stats.to_dict() for optimizer in (first, second)]
    np.testing.assert_equal(tables[0], tables[1])
    assert slow.arrays["long"].tobytes() == other["long"].tobytes() != p["long"].tobytes()


def test_rules_that_follow_each_other(rng: np.random.Generator) -> None:
    """Momentum begins with the third step, so the fourth is the first that has something to agree with."""
    p = draw(rng, F32)
    optimizer = ac.SGD(p, lr=0.01, momentum=lambda t: 0.0 if t < 2 else 0.5)
    has_first = [not np.isnan(optimizer.step(gradients(rng, F32), stats="cos").stats.cos[0]) for _ in range(4)]
    assert has_first == [False, False, False, True]


def test_moments_have_names() -> None:
    """The reference's choice of moments, for the rules that most people use."""
    found = {case.id: moments_of(case, (3,)) for case in CASES}
    assert found["adamw"] == ("exp_avg", "exp_avg_sq")
    assert found["adamw-amsgrad"] == ("exp_avg", "max_exp_avg_sq")
    assert found["sgd"] == (None, None)
