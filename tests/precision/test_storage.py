"""Every combination of types for parameters, gradients, state and weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from helpers import everything, load, make, ulp
from pairs import products
from reference import CASES, FUNCTIONS, Case, magnitudes, random_state
from reference.slots import StoredState
from reference.sums import recorded, replayed
from storage import BF16, DTYPES, F16, F32, F64, HALVES, Storage, bits_of, combinations, toward, weights_of

SMALLEST = {F16: 2.0**-24, BF16: 2.0**-133}
NAMES = ("float32", "bfloat16", "float16")


def through(grad: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The value of a gradient after it has been stored in a parameter of zeros."""
    p = np.zeros(grad.shape, dtype)
    ac.functional.sgd(p, grad, t=1, lr=1.0, maximize=True)
    return p


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_every_half_decodes_exactly(dtype: np.dtype, isa: str) -> None:  # noqa: ARG001
    halves = np.arange(65536, dtype=np.uint16).view(dtype)
    with np.errstate(invalid="ignore"):  # ml_dtypes' own cast of signalling NaN
        expected = halves.astype(np.float64)
    for target in (F32, F64):
        decoded = through(halves, target).astype(np.float64)
        assert np.array_equal(decoded, expected, equal_nan=True)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_encoding_equals_numpy_and_ml_dtypes(dtype: np.dtype, isa: str, rng: np.random.Generator) -> None:  # noqa: ARG001
    """Numbers next to every boundary between two halves, and random bits. (tests/cpp goes through all 2^32.)"""
    halves = np.arange(65536, dtype=np.uint16).view(dtype).astype(np.float32)
    halves = halves[np.isfinite(halves)]
    halves.sort()
    middles = (halves[1:].astype(np.float64) + halves[:-1]) / 2
    middles = np.append(middles, [65520.0, -65520.0, 3.3961775e38]).astype(np.float32)
    near = [np.nextafter(middles, np.float32(s * np.inf)) for s in (-1, 1)]
    x = np.concatenate([halves, middles, *near, rng.integers(0, 2**32, 10**6, np.uint32).view(np.float32)])
    x = x[x != 0]  # -0.0 becomes 0.0 on its way through this test, not in storage
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(dtype)
    stored = through(x, dtype)
    is_nan = np.isnan(x)
    assert np.array_equal(bits_of(stored)[~is_nan], bits_of(expected)[~is_nan])
    assert np.all(np.isnan(stored[is_nan].astype(np.float32)))


def check_one_step(case: Case, storage: Storage, rng: np.random.Generator, size: int = 1037, t: int = 3) -> None:
    """One step against the float64 reference, which meets the same rounded inputs and whose results are rounded alike.

    An update in float32 may be off by what tests/rules/test_rules.py allows; whatever lies in that range is rounded to
    the type of storage, and what is stored must lie between the ends, or next to them if it is rounded at random.
    """
    p = magnitudes(rng, (size,)).astype(storage.param)
    g = magnitudes(rng, (size,)).astype(storage.grad)
    slots = case.slots_of(p.shape)
    types = {slot: storage.slot_dtype(slots[slot]) for slot in slots}
    squares = case.squares(p.shape)
    state = {k: a.astype(types.get(k, F64)) for k, a in random_state(case, rng, p.astype(np.float64)).items()}
    for slot in squares:
        if types[slot] in HALVES:  # as adamcore leaves it
            state[slot] = np.maximum(state[slot], np.asarray(SMALLEST[storage.state_dtype], storage.state_dtype))
    optimizer = make(case, p0 := p.copy(), precision=storage.precision)
    kept = optimizer.state["0"]
    extras = {k: a.copy() for k, a in kept.items() if k not in slots}
    if "compensation" in extras:  # as after earlier steps: less than half a unit
        extras["compensation"] = (rng.uniform(-0.4, 0.4, size) * ulp(p, storage.param)).astype(storage.param)
    load(optimizer, {"0": {**state, **extras}}, t - 1)
    before = weights_of(optimizer.state["0"], p0)
    if storage.compute_dtype is np.float32:
        before = before.astype(np.float32).astype(np.float64)

    wide_g = g.astype(storage.compute_dtype).astype(np.float64)
    expected_state = {k: a.astype(np.float64) for k, a in state.items()}
    numbers = {k: a for k, a in expected_state.items() if k not in slots}
    terms_state = {k: np.abs(a) if k in slots else a for k, a in expected_state.items()}
    dtype = storage.compute_dtype
    with recorded() as sums:
        expected = case.step(before, wide_g, expected_state, t, dtype=dtype)
    with replayed(sums):
        terms = case.step(np.abs(before), np.abs(wide_g), terms_state, t, dtype=dtype, maximize=False)
    optimizer.step(g)
    if case.reads_stored_state:
        stored = {slot: kept[slot].astype(np.float64) for slot in slots}
        with replayed(sums):
            expected = case.step(before, wide_g, StoredState(stored | numbers), t, dtype=dtype)
        stored = StoredState({slot: np.abs(a) for slot, a in stored.items()} | numbers)
        with replayed(sums):
            terms = case.step(np.abs(before), np.abs(wide_g), stored, t, dtype=dtype, maximize=False)

    compute, more = storage.compute_dtype, 1 if storage.compute_dtype is np.float32 else 4
    with np.errstate(over="ignore"):
        for slot, dtype in types.items():
            if slots[slot].shape == "number":
                assert kept[slot][()] == pytest.approx(expected_state[slot][()], rel=1e-12)
                continue
            error = more * error_of_state(case, slot, state[slot], terms_state[slot], compute)
            stored = kept[slot].astype(np.float64)
            low, high = expected_state[slot] - error, expected_state[slot] + error
            if dtype in HALVES and storage.state_rounding == "stochastic":
                low, high = (toward(end, dtype, sign) for end, sign in ((low, -1), (high, 1)))
            else:
                low, high = (end.astype(dtype).astype(np.float64) for end in (low, high))
            if dtype in HALVES and slot in squares:
                high = np.maximum(high, SMALLEST[dtype])
                assert np.all((stored > 0) | (expected_state[slot] == 0)), slot
            assert np.all((low <= stored) & (stored <= high)), slot

        change = np.maximum(np.abs(np.abs(before) - terms), np.abs(before - expected))
        scale = np.maximum(np.abs(before), np.abs(expected))
        error = more * error_of_weights(scale, change, compute)
        low, high = expected - error, expected + error
        check_weights(storage, optimizer.state["0"], p0, low, high)
    assert np.any(p0 != p)
    assert optimizer.steps["0"] == t


def error_of_weights(size: np.ndarray, change: np.ndarray, compute: type) -> np.ndarray:
    return 2 * ulp(size, compute) + 4 * ulp(change, compute)


def error_of_state(case: Case, slot: str, before: np.ndarray, terms: np.ndarray, compute: type) -> np.ndarray:
    """How far a state array may be from the reference, given the magnitudes of all terms."""
    if case.slots_of(before.shape)[slot].starts_as_param:
        size = np.abs(before.astype(np.float64))
        return error_of_weights(size, np.abs(size - terms), compute)
    return (3 if slot == "momentum_buffer" else 2) * ulp(terms, compute)


def check_weights(storage: Storage, kept: dict, p: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """What is stored for weights between `low` and `high` agrees with the storage scheme."""
    stored = p.astype(np.float64)
    if "master" in kept or "remainder" in kept:
        weights = weights_of(kept, p)
        assert np.all((low <= weights) & (weights <= high))
        assert np.array_equal(bits_of(p), bits_of(weights.astype(np.float32).astype(storage.param)))
    elif storage.param in HALVES and storage.weights == "stochastic":
        assert np.all((toward(low, storage.param, -1) <= stored) & (stored <= toward(high, storage.param, 1)))
    else:
        assert np.all(low.astype(storage.param).astype(np.float64) <= stored)
        assert np.all(stored <= high.astype(storage.param).astype(np.float64))
    if "compensation" in kept:
        lost = kept["compensation"].astype(np.float64)
        unit = ulp(lost, storage.param)
        assert np.all((low - stored - unit <= lost) & (lost <= high - stored + unit))


@products(case=CASES, storage=combinations())
def test_one_step(case: Case, storage: Storage, rng: np.random.Generator) -> None:
    check_one_step(case, storage, rng)


@products(
    case=[CASES[3], CASES[7], CASES[12]],
    storage=[s for s in combinations() if s.param in HALVES and s.grad != F64],
    size=[1, 255, 256, 257, 5000],
)
def test_sizes(case: Case, storage: Storage, size: int, rng: np.random.Generator) -> None:
    p = [magnitudes(rng, (size,)).astype(storage.param) for _ in range(2)]
    whole, parts = (make(case, a, precision=storage.precision) for a in p)
    del parts
    whole.step(magnitudes(rng, (size,)).astype(storage.grad))
    check_one_step(case, storage, rng, size=size if size > 1 else 33)


EXACT = [
    Storage(param, grad, state, weights)
    for param, grad, state, weights in itertools.product(
        HALVES, (F16, BF16, F32), NAMES, ("master", "remainder", "stochastic", "compensated")
    )
    if (weights != "remainder" or param == BF16) and (state != "float16" or grad == F32)
]
EXACT += [Storage(F32, grad) for grad in DTYPES]
EXACT += [
    Storage(F32, F32, state, state_rounding=rounding)
    for state in ("bfloat16", "float16")
    for rounding in ("nearest", "stochastic")
]


def run(case: Case, storage: Storage, sizes: list[int], *, together: bool = True) -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    params = {f"p{i}": magnitudes(rng, (n,)).astype(storage.param) for i, n in enumerate(sizes)}
    grads = [{k: magnitudes(rng, p.shape).astype(storage.grad) for k, p in params.items()} for _ in range(3)]
    sets = [params] if together else [{name: p} for name, p in reversed(params.items())]
    result = {}
    for each in sets:
        optimizer = make(case, each, precision=storage.precision)
        for g in grads:
            optimizer.step({name: g[name] for name in each})
        result.update(everything(optimizer))
    return result


@products(case=[CASES[3], CASES[8], CASES[13]], storage=EXACT)
def test_bits_do_not_depend_on_isa_threads_or_grouping(case: Case, storage: Storage) -> None:
    sizes = [1, 300, 0, 4097, 150_001, 64]
    before = _core.isa()
    results = []
    for isa in _core.isas():
        _core.set_isa(isa)
        for threads in (1, 3):
            ac.set_num_threads(threads)
            results.append(run(case, storage, sizes))
    _core.set_isa(before)
    results.append(run(case, storage, sizes, together=False))
    assert all(result == results[0] for result in results)


def test_state_takes_the_memory_that_it_says() -> None:
    p = np.zeros(4096, BF16)
    sizes = {
        (master, rounding, state): sum(
            a.nbytes
            for a in ac.AdamW(p.copy(), precision=ac.Precision(master=master, rounding=rounding, state=state))
            .state["0"]
            .values()
        )
        / p.size
        for master, rounding in (
            ("float32", "nearest"),
            ("remainder", "nearest"),
            (None, "compensated"),
            (None, "nearest"),
        )
        for state in ("float32", "bfloat16")
    }
    assert list(sizes.values()) == [12, 8, 10.125, 6.125, 10, 6, 8, 4]


def test_wide_gradients_are_rounded_to_float32() -> None:
    g = np.full(300, 1 + 2.0**-40)
    p, q = np.zeros(300, np.float32), np.zeros(300, np.float32)
    ac.SGD(p, lr=1.0).step(g)
    ac.SGD(q, lr=1.0).step(g.astype(np.float32))
    assert p.tobytes() == q.tobytes()


def test_zero_gradients_in_float16_stay_finite(case: Case) -> None:
    """eps does not become zero, because it is not stored in half precision."""
    for state in ("float32", "float16", "bfloat16"):
        p = np.ones(300, np.float16)
        optimizer = make(case, p, precision=ac.Precision(state=state))
        for _ in range(5):
            optimizer.step(np.zeros(300, np.float16))
        assert np.all(np.isfinite(p.astype(np.float32)))


@pytest.mark.parametrize("state", ["float32", "bfloat16", "float16"])
def test_averages_of_squares_are_never_negative(case: Case, state: str, rng: np.random.Generator) -> None:
    p = np.ones(1000, np.float16)
    optimizer = make(case, p, precision=ac.Precision(state=state))
    squares = [optimizer.state["0"][slot] for slot in case.squares(p.shape)]
    for _ in range(200):
        optimizer.step(magnitudes(rng, p.shape).astype(np.float16))
        assert all(np.all(a.astype(np.float32) >= 0) for a in squares)


@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.id)
def test_functional_takes_every_storage(case: Case, rng: np.random.Generator) -> None:
    update = getattr(ac.functional, case.optimizer.lower())
    for param, grad, state in itertools.product((F16, BF16, F32), DTYPES, (F16, BF16, F32)):
        p = magnitudes(rng, (400,)).astype(param)
        q, g = p.copy(), magnitudes(rng, (400,)).astype(grad)
        precision = ac.Precision(master=None, state=str(state), state_rounding="nearest")
        optimizer = make(case, p, precision=precision)
        optimizer.step(g)
        storage, slots = Storage(param, grad, str(state)), case.slots_of(q.shape)
        initial = case.initial_state(q.astype(np.float64))
        arrays = [a.astype(storage.slot_dtype(slots[k])) for k, a in initial.items()]
        update(q, g, *arrays, t=1, **case.options)
        assert p.tobytes() == q.tobytes()
        assert [a.tobytes() for a in arrays] == [a.tobytes() for a in optimizer.state["0"].values()]


def test_state_dict_keeps_types_and_resumes(case: Case, rng: np.random.Generator) -> None:
    for param, weights, state in itertools.product(
        HALVES, ("master", "compensated", "stochastic"), ("float32", "bfloat16", "float16")
    ):
        storage = Storage(param, param, state, weights)
        start = magnitudes(rng, (700,)).astype(param)
        grads = [magnitudes(rng, start.shape).astype(param) for _ in range(6)]
        p, q = start.copy(), start.copy()
        straight, first = (make(case, a, precision=storage.precision) for a in (p, q))
        for g in grads:
            straight.step(g)
        for g in grads[:3]:
            first.step(g)
        second = make(case, q, precision=storage.precision)
        second.load_state_dict(first.state_dict())
        for g in grads[3:]:
            second.step(g)
        assert everything(straight) == everything(second)
