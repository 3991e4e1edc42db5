"""The device computes the CPU's bits: every rule, every storage, sizes, groups, schedules, checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, TORCH, Library, Twins, assert_same, bits_of, everything
from helpers import load, make
from pairs import products
from reference import CASES, FUNCTIONS, Case, magnitudes, random_state
from storage import BF16, DTYPES, F16, F32, F64, Storage, combinations

SHAPES = [(1037,), (1,), (0,), (), (33, 5), (2, 3, 4), (4097,)]
SOME = [CASES[3], CASES[7], CASES[12]]


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.array(magnitudes(rng, shape)).astype(dtype)


def run(
    twins: Twins, shapes: list[tuple[int, ...]], grad: Any, rng: np.random.Generator, steps: int = 4, **options: Any
) -> None:
    """Several steps, one of them with missing gradients, and a comparison after each."""
    for t in range(steps):
        grads: list[np.ndarray | None] = [numbers(rng, shape, grad) for shape in shapes]
        if t == 1:
            grads[::3] = [None] * len(grads[::3])
        infos = twins.step(grads, **options)
        twins.check(infos)


@products(case=CASES, storage=combinations())
def test_every_rule_and_storage(case: Case, storage: Storage, rng: np.random.Generator) -> None:
    params = [numbers(rng, shape, storage.param) for shape in SHAPES]
    twins = Twins(CUPY, lambda p: make(case, p, precision=storage.precision), params)
    run(twins, SHAPES, storage.grad, rng, steps=3)


@products(case=SOME, storage=combinations())
def test_tensors_of_torch(case: Case, storage: Storage, rng: np.random.Generator) -> None:
    shapes = [(257,), (), (0, 3), (5, 3)]
    params = [numbers(rng, shape, storage.param) for shape in shapes]
    twins = Twins(TORCH, lambda p: make(case, p, precision=storage.precision), params)
    run(twins, shapes, storage.grad, rng, steps=2)


@products(param=DTYPES, grad=DTYPES, offset=[1, 2, 3, 5])
def test_odd_alignment(param: Any, grad: Any, offset: int, library: Library, rng: np.random.Generator) -> None:
    """Views that start anywhere, so that parameter, gradient and state are misaligned against each other."""
    shapes = [(n,) for n in (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 1023, 4099)]
    params = [numbers(rng, shape, param) for shape in shapes]
    twins = Twins(library, lambda p: make(CASES[3], p), params, lambda a: library.shifted(a, offset))
    run(twins, shapes, grad, rng, steps=3)


@pytest.mark.parametrize("size", [255, 256, 257, 1024, 16_383, 16_384, 16_385, 150_001, 1_000_003])
def test_sizes(size: int, rng: np.random.Generator) -> None:
    for case, storage in (
        (CASES[3], Storage(F32, F32)),
        (CASES[4], Storage(BF16, BF16, "bfloat16", "remainder")),
        (CASES[8], Storage(BF16, BF16, "float32", "stochastic")),
        (CASES[12], Storage(F16, F16, "float32", "compensated")),
        (CASES[14], Storage(F64, F64)),
    ):
        params = [numbers(rng, (size,), storage.param)]
        twins = Twins(CUPY, lambda p, c=case, s=storage: make(c, p, precision=s.precision), params)
        run(twins, [(size,)] * 1, storage.grad, rng, steps=1)
        twins.check(twins.step([numbers(rng, (size,), storage.grad)]))


def in_groups(params: list[Any], **options: Any) -> ac.Optimizer:
    """Three groups with different hyper-parameters and step counts."""
    groups = [
        {"params": params[:2], "weight_decay": 0.1},
        {"params": params[2:3], "lr": 0.3, "maximize": True},
        {"params": params[3:], "betas": (0.5, 0.75), "eps": 1e-3},
    ]
    return ac.AdamW(groups, **options)


def test_groups(library: Library, rng: np.random.Generator) -> None:
    params = [numbers(rng, shape, F32) for shape in SHAPES]
    run(Twins(library, in_groups, params), SHAPES, F32, rng, steps=8)


def test_dtypes_side_by_side(library: Library, rng: np.random.Generator) -> None:
    """Parameters and gradients of every type in one call."""
    dtypes = [F32, F16, BF16, F64, F32, BF16, F16]
    params = [numbers(rng, shape, dtype) for shape, dtype in zip(SHAPES, dtypes, strict=True)]
    twins = Twins(library, in_groups, params)
    for _ in range(3):
        grads = [numbers(rng, s, d) for s, d in zip(SHAPES, dtypes[::-1], strict=True)]
        twins.check(twins.step(grads))


def test_hyper_parameters_and_schedules(library: Library, rng: np.random.Generator) -> None:
    params = [numbers(rng, shape, F32) for shape in SHAPES]
    twins = Twins(library, lambda p: in_groups(p, lr=lambda step: 0.1 / (1 + step)), params)
    for t in range(6):
        for optimizer in (twins.cpu, twins.gpu):
            optimizer.param_groups[1]["lr"] = 0.01 * t
            optimizer.param_groups[2]["betas"] = (0.9, 0.9 + 0.01 * t)
        twins.check(twins.step([numbers(rng, shape, F32) for shape in SHAPES]))


def test_groups_that_come_later(library: Library, rng: np.random.Generator) -> None:
    params = [numbers(rng, shape, F32) for shape in SHAPES]
    twins = Twins(library, ac.AdamW, params[:3])
    twins.step([numbers(rng, p.shape, F32) for p in params[:3]])
    twins.cpu.add_param_group({"params": [p.copy() for p in params[3:]], "lr": 0.1})
    twins.gpu.add_param_group({"params": [library.put(p) for p in params[3:]], "lr": 0.1})
    run(twins, SHAPES, F32, rng)


@pytest.mark.parametrize("done", [2**24, 2**31 - 1, 2**40])
def test_far_along(case: Case, done: int, rng: np.random.Generator) -> None:
    p = numbers(rng, (300,), F32)
    state = random_state(case, rng, p)
    twins = Twins(CUPY, lambda params: make(case, params), [p])
    for optimizer in (twins.cpu, twins.gpu):
        load(optimizer, {"0": dict(state)}, done)
    run(twins, [(300,)], F32, rng)


@pytest.mark.parametrize("storage", [Storage(F32, F32), Storage(BF16, BF16, "bfloat16", "remainder")], ids=str)
def test_checkpoints_cross_over(case: Case, storage: Storage, library: Library, rng: np.random.Generator) -> None:
    """One engine resumes from what the other has saved. `state_dict` contains NumPy arrays for both."""
    params = [numbers(rng, shape, storage.param) for shape in SHAPES]
    twins = Twins(library, lambda p: make(case, p, precision=storage.precision), params)
    run(twins, SHAPES, storage.grad, rng, steps=2)
    saved = twins.gpu.state_dict()
    arrays = [a for slots in saved["state"].values() for slot, a in slots.items() if slot != "step"]
    assert all(isinstance(a, np.ndarray) for a in arrays)
    resumed = Twins(library, lambda p: make(case, p, precision=storage.precision), twins.cpu.param_groups[0]["params"])
    resumed.gpu.load_state_dict(twins.cpu.state_dict())
    resumed.cpu.load_state_dict(saved)
    resumed.check()
    run(resumed, SHAPES, storage.grad, rng, steps=2)


def test_checkpoints_of_device_arrays(library: Library, rng: np.random.Generator) -> None:
    params = [numbers(rng, shape, F32) for shape in SHAPES]
    twins = Twins(library, ac.AdamW, params)
    run(twins, SHAPES, F32, rng, steps=2)
    saved = twins.gpu.state_dict()
    for slots in saved["state"].values():
        slots.update({slot: library.put(a) for slot, a in slots.items() if slot != "step"})
    other = ac.AdamW([library.put(p) for p in twins.cpu.param_groups[0]["params"]])
    other.load_state_dict(saved)
    assert_same(everything(other, library.get), everything(twins.cpu))


@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.id)
def test_functional(case: Case, library: Library, rng: np.random.Generator) -> None:
    update = getattr(ac.functional, case.optimizer.lower())
    for param, grad in ((F32, F32), (F64, F32), (BF16, F16)):
        p, g = numbers(rng, (1037,), param), numbers(rng, (1037,), grad)
        storage, slots = Storage(param, grad), case.slots_of(p.shape)
        drawn = random_state(case, rng, p.astype(F64))
        state = [a.astype(storage.slot_dtype(slots[k])) for k, a in drawn.items()]
        there = [library.put(a) for a in (p, g, *state)]
        for t in (1, 2):
            update(p, g, *state, t=t, **case.options)
            update(*there, t=t, **case.options)
        for found, expected in zip(there, (p, g, *state), strict=True):
            assert bits_of(library.get(found)) == bits_of(expected)


def test_extreme_numbers(case: Case, rng: np.random.Generator) -> None:
    """Subnormals, zeros, infinities, overflow: the device's division and root are the CPU's there, too."""
    special = np.array(
        [0.0, -0.0, 1e-45, -1e-45, 1e-39, 1.1754944e-38, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, 1e-20]
    )
    grid = [a.ravel().astype(F32) for a in np.meshgrid(special, special)]
    twins = Twins(CUPY, lambda p: make(case, p), [grid[0], numbers(rng, (4096,), F32)])
    wild = (rng.standard_normal(4096) * 10.0 ** rng.integers(-44, 38, 4096)).astype(F32)
    with np.errstate(all="ignore"):
        for _ in range(3):
            twins.check(twins.step([grid[1], wild]))
