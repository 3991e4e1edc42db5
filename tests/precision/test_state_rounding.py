"""Half-precision state: rounded with random numbers of its own, and squares that never become zero."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from helpers import everything, load, make
from reference import CASES, Case, State, magnitudes, random_state
from storage import BF16, F16, F32, HALVES, Storage, bits_of, encode_state, stored_state

SEED = 2**40 + 7


def as_stored(case: Case, state: State, dtype: Any) -> State:
    """Return a tensor's state in the types of an optimizer whose state has this one."""
    slots, storage = case.slots_of((1,)), Storage(F32, F32, str(np.dtype(dtype)))
    return {k: a.astype(storage.slot_dtype(slots[k])) if k in slots else a for k, a in state.items()}


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_state_is_rounded_by_its_numbers(case: Case, dtype: np.dtype, rounding: Any, rng: np.random.Generator) -> None:
    """Against the scheme by NumPy's hand; what is rounded is what a step with float32 state computes from the same."""
    n, name = 1037, "layer.weight"
    p = {name: magnitudes(rng, (n,)).astype(np.float32)}
    precision = ac.Precision(state=str(dtype), state_rounding=rounding, seed=SEED)
    optimizer = make(case, p, precision=precision)
    squares, start = case.squares((n,)), p[name].copy()
    for t in (1, 2, 2**20):
        p[name][...] = start  # a sum over the tensor may have made it NaN
        state = as_stored(case, random_state(case, rng, p[name]), dtype)
        for array in state.values():
            if array.dtype == dtype:
                array[5:9] = [0, np.inf, 60000, 6e-8 if dtype == F16 else 3.38e38]
        load(optimizer, {name: state}, t - 1)
        exact = {name: p[name].copy()}
        reference = make(case, exact)
        load(reference, {name: as_stored(case, state, np.float32)}, t - 1)
        g = {name: magnitudes(rng, (n,)) * 10.0 ** rng.integers(-6, 2, n)}
        g[name][9:12] = [0, 1e-12, 1e30]
        with np.errstate(over="ignore", invalid="ignore"):
            optimizer.step(g)
            reference.step(g)
            for slot, array in enumerate(case.names((n,))):
                wide = reference.state[name][array]
                if state[array].dtype != dtype:
                    assert np.array_equal(optimizer.state[name][array], wide, equal_nan=True), array
                    continue
                expected = stored_state(wide, dtype, array in squares, rounding, SEED, t, name, slot)
                found = optimizer.state[name][array]
                numbers = ~np.isnan(wide)
                assert np.array_equal(bits_of(found)[numbers], bits_of(expected)[numbers]), array
                assert np.all(np.isnan(found.astype(np.float32)[~numbers]))
        assert case.reads_stored_state or np.array_equal(p[name], exact[name], equal_nan=True)


def test_rules_say_which_state_is_never_negative() -> None:
    squares = ("exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum", "row_var", "col_var", "variance")
    for rule in _core.rules().values():
        assert all(isinstance(slot, str) for slot in rule["slots"])
        assert rule["nonnegative"] == [slot for slot in rule["slots"] if slot in squares]


@pytest.mark.parametrize(("dtype", "within"), [("bfloat16", 0.02), ("float16", 0.05)])
def test_averages_go_on_falling(dtype: Any, within: float) -> None:
    """To nearest, a change of a thousandth is lost in bfloat16: 3000 zero gradients left the average unchanged."""
    n = 4096
    runs = {}
    for state in ("float32", dtype):
        p = np.ones(n, np.float32)
        optimizer = ac.AdamW(p, precision=ac.Precision(state=state))
        draws = np.random.default_rng(1)
        for _ in range(200):
            optimizer.step(draws.standard_normal(n).astype(np.float32))
        for _ in range(3000):
            optimizer.step(np.zeros(n, np.float32))
        runs[state] = optimizer.state["0"]["exp_avg_sq"].astype(np.float64)
    ratio = runs[dtype] / runs["float32"]
    assert abs(ratio.mean() - 1) < within
    assert abs(np.median(ratio) - 1) < within
    # An element by itself: 3000 roundings of up to half a unit, each by chance.
    assert ratio.std() < (0.2 if dtype == "bfloat16" else 0.1)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_averages_are_right_on_average(dtype: np.dtype) -> None:
    """First moments of a steady gradient, which is between two numbers, and decaying ones, subnormal for float16."""
    n, steps, seeds = 1 << 14, 30, range(4)
    for g0 in (1.0, -1e-4, 3e-6):
        found = []
        for seed in seeds:
            optimizer = ac.Adam(np.zeros(n, np.float32), precision=ac.Precision(state=str(dtype), seed=seed))
            for t in range(steps):
                optimizer.step(np.full(n, g0 if t < 20 else 0.0, np.float32))
            found.append(optimizer.state["0"]["exp_avg"].astype(np.float64))
        exact = np.float64(np.float32(g0)) * (1 - 0.9**20) * 0.9**10
        unit = max(abs(exact) * 2.0 ** (-10 if dtype == F16 else -7), 2.0**-24 if dtype == F16 else 0)
        # The variance of a rounding is at most a fourth of a unit's square; a step keeps 0.81 of it. Six deviations.
        deviation = unit * np.sqrt(0.25 / (1 - 0.81)) * 2 / np.sqrt(n * len(seeds))
        assert abs(np.mean(found) - exact) < 6 * deviation


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "RMSprop", "Adagrad"])
@pytest.mark.parametrize("small", [1e-3, 1e-4, 1e-7])
def test_small_gradients_take_no_large_steps(optimizer: str, dtype: Any, rounding: Any, small: float) -> None:
    """A square that became zero left eps to divide by: -46 after the second step, and on.

    Where float16 holds a gradient's square for more than it is, steps are smaller than with float32 state; where a sum
    of squares grows by less than its last place, they shrink later.
    """
    options = {"lr": 1e-3} | ({"momentum": 0.9} if optimizer == "RMSprop" else {})
    for grads in ([small] + [0.0] * 50, [small] * 50, [0.0, small] * 25):
        ways = {}
        for state in ("float32", dtype):
            p = np.ones(70, np.float32)
            precision = ac.Precision(state=state, state_rounding=rounding)
            opt = getattr(ac, optimizer)(p, **options, precision=precision)
            ways[state] = np.zeros(2)
            for g in grads:
                before = p.copy()
                opt.step(np.full(70, g, np.float32))
                ways[state] += [np.abs(p - before).max(), np.abs(p - 1).max()]
        assert np.all(ways[dtype] <= 2 * ways["float32"] + [1e-3, 1e-2])


def test_squares_stay_above_zero(rng: np.random.Generator) -> None:
    for case in CASES:
        for dtype in HALVES:
            for rounding in ("nearest", "stochastic"):
                optimizer = make(
                    case, np.ones(500, np.float32), precision=ac.Precision(state=str(dtype), state_rounding=rounding)
                )
                squares = case.squares((500,))
                for scale in (1e-3, 1e-5, 1e-10, 0.0, 0.0):
                    optimizer.step((scale * rng.choice([-1, 1], 500)).astype(np.float32))
                    assert all(np.all(optimizer.state["0"][slot].astype(np.float32) > 0) for slot in squares)


def test_what_squares_begin_with_is_not_zero_either() -> None:
    tiny = 2.0**-24
    optimizer = ac.Adagrad(
        np.ones(3, np.float32), initial_accumulator_value=1e-9, precision=ac.Precision(state="float16")
    )
    assert optimizer.state["0"]["sum"].tolist() == [tiny] * 3
    optimizer = ac.Adagrad(np.ones(3, np.float32), precision=ac.Precision(state="float16"))
    assert optimizer.state["0"]["sum"].tolist() == [0] * 3


def test_nearest_has_the_bits_of_the_encoding(case: Case, rng: np.random.Generator) -> None:
    """State of versions before this option existed: the casts of NumPy and ml_dtypes."""
    p = magnitudes(rng, (300,)).astype(np.float32)
    q = p.copy()
    for dtype in HALVES:
        optimizer = make(case, p, precision=ac.Precision(state=str(dtype), state_rounding="nearest"))
        state = as_stored(case, random_state(case, rng, p), dtype)
        load(optimizer, {"0": state}, 4)
        q[...] = p
        reference = make(case, q)
        load(reference, {"0": as_stored(case, state, np.float32)}, 4)
        g = magnitudes(rng, p.shape).astype(np.float32)
        optimizer.step(g)
        reference.step(g)
        for slot in case.names(p.shape):
            cast = reference.state["0"][slot].astype(state[slot].dtype)
            if slot in case.squares(p.shape) and cast.dtype == F16:
                cast[cast == 0] = np.finfo(np.float16).smallest_subnormal
            assert optimizer.state["0"][slot].tobytes() == cast.tobytes()


def run(state: str, seed: int = 0, name: str = "w", first: int = 1, **options: Any) -> np.ndarray:
    p = {name: np.ones(3000, np.float32)}
    optimizer = ac.Adam(p, precision=ac.Precision(state=state, seed=seed, **options))
    load(optimizer, {name: {}}, first - 1)
    optimizer.step({name: np.full(3000, 1.2345, np.float32)})
    return optimizer.state[name]["exp_avg"].astype(np.float64)


@pytest.mark.parametrize("state", ["bfloat16", "float16"])
def test_numbers_differ_by_seed_step_name_and_element(state: str) -> None:
    runs = [run(state), run(state, 1), run(state, 2**32), run(state, 2**63), run(state, name="v"), run(state, first=2)]
    assert all(np.array_equal(run(state), runs[0]) for _ in range(2))
    ups = [each == each.max() for each in runs]
    for i, a in enumerate(ups):
        assert 0 < a.mean() < 1
        for b in (*ups[:i], np.roll(a, 256)):
            expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
            assert abs((a == b).mean() - expected) < 0.12
    # Within a block errors cancel: each block's mean is right to less than a unit's 64th.
    exact = float(np.float32(1.2345)) * 0.1
    unit = 2.0 ** (-11 if state == "bfloat16" else -14)
    blocks = runs[0][: 3000 // 256 * 256].reshape(-1, 256).mean(axis=1)
    assert np.abs(blocks - exact).max() < unit / 64


def test_weights_and_slots_have_numbers_of_their_own() -> None:
    """If two arrays shared random numbers, their errors would be correlated."""
    n = 1 << 17  # a block's numbers for two arrays differ by one key: blocks are what counts
    p = np.zeros(n, BF16)
    precision = ac.Precision(master=None, rounding="stochastic", state="bfloat16")
    optimizer = ac.Adam(p, lr=1.003, betas=(0.5, 0.5), eps=0, precision=precision)
    optimizer.step(np.full(n, 1.003, np.float32))
    arrays = [p, optimizer.state["0"]["exp_avg"], optimizer.state["0"]["exp_avg_sq"]]
    ups = [np.abs(a.astype(np.float64)) == np.abs(a.astype(np.float64)).max() for a in arrays]
    for i, a in enumerate(ups):
        assert 0 < a.mean() < 1
        for b in ups[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.2


def test_state_in_float32_is_not_concerned(case: Case, rng: np.random.Generator) -> None:
    start = magnitudes(rng, (700,)).astype(BF16)
    results = []
    for rounding in ("nearest", "stochastic"):
        optimizer = make(case, start.copy(), precision=ac.Precision(state_rounding=rounding))
        draws = np.random.default_rng(5)
        for _ in range(3):
            optimizer.step(magnitudes(draws, (700,)).astype(BF16))
        results.append(everything(optimizer))
    assert results[0] == results[1]


@pytest.mark.parametrize("state", ["float32", "bfloat16"])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_checkpoints_of_before_there_was_a_choice_load(state: Any, rounding: Any) -> None:
    p = np.ones(3, np.float32)
    optimizer = ac.AdamW(p, precision=ac.Precision(state=state, state_rounding=rounding))
    optimizer.step(p.copy())
    saved = optimizer.state_dict()
    assert saved["precision"]["state_rounding"] == rounding
    before = everything(optimizer)
    del saved["precision"]["state_rounding"]
    optimizer.load_state_dict(saved)
    assert everything(optimizer) == before
    del saved["precision"]["seed"]
    with pytest.raises(ValueError, match=r"state_dict\['precision'\]: 'seed' is missing"):
        optimizer.load_state_dict(saved)
    saved = {**optimizer.state_dict()}
    saved["precision"] = {**saved["precision"], "state_rounding": "up"}
    with pytest.raises(ValueError, match=r"state_dict\['precision'\]: state_rounding is 'up'"):
        optimizer.load_state_dict(saved)


def test_precision_shows_and_replaces_it() -> None:
    assert "state_rounding='stochastic'" in repr(ac.Precision())
    assert dataclasses.replace(ac.Precision(), state_rounding="nearest") == ac.Precision(state_rounding="nearest")


def test_functional_rounds_to_nearest() -> None:
    """A function knows no seed and no name, and its squares do not become zero either."""
    p, g = np.ones(600, np.float32), np.full(600, 1.2345e-4, np.float32)
    m, v = np.zeros(600, F16), np.zeros(600, F16)
    ac.functional.adam(p, g, m, v, t=1)
    assert m.tolist() == [float(np.float16(np.float32(1.2345e-4) * np.float32(0.1)))] * 600
    assert v.tolist() == [2.0**-24] * 600
    assert Storage(F32, F32, "float16").precision.state_rounding == "stochastic"
    assert encode_state(np.float32([0.5]), F16, np.uint32([7])).tolist() == [0.5]
