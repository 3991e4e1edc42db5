"""The same bits for every instruction set, number of threads, grouping and alignment."""

from __future__ import annotations

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from helpers import everything, load, make
from pairs import products
from reference import APART, CASES, ELEMENTWISE, Case, magnitudes, random_state

VECTORS = [(n,) for n in (1, 5, 0, 100, 33, 4097, 170_001, 16, 64, 31)]
SHAPES = [*VECTORS, (), (7, 11), (3, 130, 67), (2, 9000)]
STEPS = 3
FLOATS = [np.float32, np.float64]


def inputs(case: Case, dtype: type) -> tuple[dict, dict, list[dict]]:
    rng = np.random.default_rng(7)
    params = {f"p{i}": np.asarray(magnitudes(rng, shape), dtype) for i, shape in enumerate(SHAPES)}
    states = {name: random_state(case, rng, p) for name, p in params.items()}
    grads = [{name: np.asarray(magnitudes(rng, p.shape), dtype) for name, p in params.items()} for _ in range(STEPS)]
    return params, states, grads


def at_offset(array: np.ndarray, offset: int) -> np.ndarray:
    """A copy that begins `offset` elements past a cache line."""
    buffer = np.zeros(array.size + offset + 64, array.dtype)
    begin = -buffer.ctypes.data // array.itemsize % (64 // array.itemsize) + offset
    copy = buffer[begin : begin + array.size].reshape(array.shape)
    copy[...] = array
    return copy


def run(case: Case, dtype: type, *, offset: int = 0, grad_offset: int = 0) -> dict[str, bytes]:
    params, states, grads = inputs(case, dtype)
    optimizer = make(case, {name: at_offset(p, offset) for name, p in params.items()})
    load(optimizer, states, 5)
    for each in grads:
        optimizer.step({name: at_offset(g, grad_offset) for name, g in each.items()})
    return everything(optimizer)


@pytest.fixture
def expected(case: Case, dtype: type) -> dict[str, bytes]:
    before = _core.isa()
    _core.set_isa("baseline")
    ac.set_num_threads(1)
    result = run(case, dtype)
    _core.set_isa(before)
    return result


@products(case=CASES, dtype=FLOATS, isa=_core.isas(), threads=[1, 2, 5])
def test_isa_and_threads(case: Case, dtype: type, expected: dict, isa: str, threads: int) -> None:  # noqa: ARG001
    ac.set_num_threads(threads)
    assert run(case, dtype) == expected


@products(case=CASES, dtype=FLOATS, isa=_core.isas(), offsets=[(1, 0), (0, 3), (5, 2), (7, 7)])
def test_alignment(case: Case, dtype: type, expected: dict, isa: str, offsets: tuple[int, int]) -> None:  # noqa: ARG001
    assert run(case, dtype, offset=offsets[0], grad_offset=offsets[1]) == expected


@pytest.mark.parametrize("case", APART, ids=lambda case: case.id)
def test_one_call_per_tensor(case: Case, dtype: type, expected: dict) -> None:
    params, states, grads = inputs(case, dtype)
    result = {}
    for name, p in params.items():
        optimizer = make(case, {name: p})
        load(optimizer, {name: states[name]}, 5)
        for each in grads:
            optimizer.step({name: each[name]})
        result.update(everything(optimizer))
    assert result == expected


def test_groups(case: Case, dtype: type, expected: dict) -> None:
    """The same tensors in three groups, and in another order, which sums over all tensors depend on."""
    params, states, grads = inputs(case, dtype)
    names = list(params)
    parts = [names[:4], names[4:5], names[5:]] if case.is_joint else [names[k::3] for k in (2, 0, 1)]
    groups = [{"params": {name: params[name] for name in part}} for part in parts]
    optimizer = make(case, groups)
    load(optimizer, states, 5)
    for each in grads:
        optimizer.step(each)
    assert everything(optimizer) == expected


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.id)
def test_one_flat_array(case: Case, dtype: type, expected: dict) -> None:
    """All tensors end to end in one."""
    params, states, grads = inputs(case, dtype)
    flat = np.concatenate([p.ravel() for p in params.values()])
    optimizer = make(case, flat)
    slots = {slot: np.concatenate([states[name][slot].ravel() for name in params]) for slot in case.slots}
    load(optimizer, {"0": slots}, 5)
    for each in grads:
        optimizer.step(np.concatenate([g.ravel() for g in each.values()]))
    assert flat.tobytes() == b"".join(expected[name] for name in params)
    for slot in case.slots:
        whole = optimizer.state["0"][slot].tobytes()
        assert whole == b"".join(expected[f"{name}.{slot}"] for name in params)


def test_fortran_order(case: Case, rng: np.random.Generator) -> None:
    c = magnitudes(rng, (37, 53)).astype(np.float32)
    f = np.asfortranarray(c)
    in_c, in_f = make(case, c), make(case, f)
    for _ in range(STEPS):
        g = magnitudes(rng, c.shape).astype(np.float32)
        in_c.step(g)
        in_f.step(np.asfortranarray(g))
    assert np.array_equal(c, f)
    for slot, array in in_c.state["0"].items():
        assert np.array_equal(array, in_f.state["0"][slot])


def test_floating_point_environment_of_the_caller_does_not_matter() -> None:
    """Other libraries turn subnormals off for their threads; a thread with DAZ and FTZ set gets the same bits."""
    import ctypes
    import platform

    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("MXCSR is x86's; tests/cpp holds the same of others")
    libm = ctypes.CDLL("libm.so.6")
    saved = (ctypes.c_char * 32)()
    flushing = (ctypes.c_char * 32)()
    assert libm.fegetenv(saved) == 0
    flushing[:] = saved[:]
    mxcsr = int.from_bytes(bytes(flushing[28:32]), "little") | 0x8040
    flushing[28:32] = mxcsr.to_bytes(4, "little")

    start, grad = np.full(100, 1e-40, np.float32), np.full(100, 5e-41, np.float32)
    one = np.ones(1, np.float32)

    def step() -> bytes:
        p = start.copy()
        ac.SGD(p, lr=1.0).step(grad)
        return p.tobytes()

    expected = step()
    libm.fesetenv(flushing)
    try:
        flushes_before = (start[:1] * one).tobytes() == bytes(4)
        flushed = step()
        flushes_after = (start[:1] * one).tobytes() == bytes(4)
    finally:
        libm.fesetenv(saved)
    assert flushes_before, "subnormals are flushed in this thread"
    assert flushes_after, "and the step leaves it so"
    assert flushed == expected
