"""Rules with sums on the device: shapes of sums, treated gradients, skipped and stopped steps, numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.captured import Captured
from gpu.device import CUPY, Library, Twins
from pairs import products
from reference import magnitudes
from storage import BF16, F16, F32, F64

RULES: dict[str, Any] = {
    "LAMB": lambda p, **o: ac.LAMB(p, lr=0.1, **o),
    "LARS": lambda p, **o: ac.LARS(p, lr=0.1, momentum=0.9, weight_decay=0.01, **o),
    "NovoGrad": lambda p, **o: ac.NovoGrad(p, lr=0.1, amsgrad=True, **o),
    "Adafactor": lambda p, **o: ac.Adafactor(p, lr=0.1, weight_decay=0.01, **o),
    "Prodigy": lambda p, **o: ac.Prodigy(p, d0=0.01, **o),
}
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "columns": [(2, 4095), (2, 4096), (3, 4097), (1, 8200), (0, 4), (4, 0)],
    "rows": [(63, 33), (64, 32), (65, 33), (129, 40), (4200, 3), (300, 1)],
    "matrices": [(5, 3, 3), (500, 3, 3), (2, 65, 40), (2, 3, 4, 5), (3, 1, 7), (1, 1)],
    "vectors": [(4097,), (), (1,), (40_000,), (70, 70)],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "norm": {"clip_norm": 0.5},
    "tensor": {"clip_norm_per_tensor": 0.5},
    "units": {"clip_adaptive": 0.05},
    "value": {"clip_value": 0.125},
    "random": {"precision": ac.Precision(master=None, rounding="stochastic", state="bfloat16")},
    "remainder": {"precision": ac.Precision(master="remainder")},
}


def drawn(rng: np.random.Generator, shapes: list[tuple[int, ...]], dtype: Any) -> list[np.ndarray]:
    return [np.array(magnitudes(rng, shape)).astype(dtype) for shape in shapes]


@products(rule=list(RULES), shapes=list(SHAPES), dtype=[F32, F64, F16])
def test_shapes(rule: str, shapes: str, dtype: Any, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, RULES[rule], drawn(rng, SHAPES[shapes], dtype))
    for step in range(3):
        grads: list[Any] = drawn(rng, SHAPES[shapes], dtype)
        if step == 1:
            grads[0] = None
        twins.check(twins.step(grads))


@products(rule=list(RULES), options=list(OPTIONS), order=["C", "F"])
def test_treatment_and_layouts(rule: str, options: str, order: str, library: Library, rng: np.random.Generator) -> None:
    """Elements are counted in C order, whatever the order in memory."""
    dtype = BF16 if "precision" in OPTIONS[options] else F32
    shapes = [(70, 90), (5, 7, 9), (300,)]

    def place(array: np.ndarray) -> Any:
        if order == "C" or array.ndim < 2:
            return library.put(array)
        axes = tuple(range(array.ndim))[::-1]
        return library.transpose(library.put(array.transpose(axes)), axes)

    twins = Twins(library, lambda p: RULES[rule](p, **OPTIONS[options]), drawn(rng, shapes, dtype), place)
    for _ in range(3):
        twins.check(twins.step(drawn(rng, shapes, dtype)))


@pytest.mark.parametrize("rule", RULES)
def test_a_step_without_gradients_is_followed_by_one_with(
    rule: str, library: Library, rng: np.random.Generator
) -> None:
    shapes = [(70, 90), (300,)]
    twins = Twins(library, RULES[rule], drawn(rng, shapes, F32))
    for has_grads in (True, False, False, True):
        twins.check(twins.step(drawn(rng, shapes, F32) if has_grads else [None, None]))


@pytest.mark.parametrize("rule", RULES)
def test_skipped_steps_change_nothing(rule: str, library: Library, rng: np.random.Generator) -> None:
    shapes = [(70, 90), (3, 3), (300,)]
    twins = Twins(library, lambda p: RULES[rule](p, nonfinite="skip"), drawn(rng, shapes, F32))
    for step in range(4):
        grads = drawn(rng, shapes, F32)
        if step % 2:
            grads[1][0, 0] = np.nan
        infos = twins.step(grads)
        assert infos[1].skipped == bool(step % 2)
        twins.check(infos)


def test_prodigy_stops_where_gradients_are_zero(library: Library, rng: np.random.Generator) -> None:
    """The sum that d is divided by is 0: parameters and numbers stay, and steps are counted."""
    shapes = [(70, 90), (300,)]
    twins = Twins(library, lambda p: ac.Prodigy(p, weight_decay=0.1), drawn(rng, shapes, F32))
    for is_zero in (True, True, False, False):
        grads = drawn(rng, shapes, F32)
        twins.check(twins.step([0 * g for g in grads] if is_zero else grads))
    assert twins.gpu.numbers["k"] == 2


def test_a_group_of_prodigy_may_rest(library: Library, rng: np.random.Generator) -> None:
    shapes = [(70, 90), (300,), (40,)]

    def build(params: list[Any]) -> ac.Optimizer:
        return ac.Prodigy([{"params": params[:1], "lr": 0.0}, {"params": params[1:]}], d0=0.01)

    twins = Twins(library, build, [p.astype(t) for p, t in zip(drawn(rng, shapes, F64), (F32, F64, F32), strict=True)])
    for step in range(5):
        for optimizer in (twins.cpu, twins.gpu):
            optimizer.param_groups[0]["lr"] = 1.0 if step == 3 else 0.0
        twins.check(twins.step(drawn(rng, shapes, F32)))


@pytest.mark.parametrize("rule", RULES)
def test_replays_that_are_skipped(rule: str, library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, RULES[rule], F32, rng, scaled=True)
    for k in range(6):
        pair.again(bad=k % 3 == 1)
        pair.check()


def test_numbers_come_with_checkpoints(library: Library, rng: np.random.Generator) -> None:
    shapes = [(70, 90), (300,)]
    params = drawn(rng, shapes, F32)
    twins = Twins(library, RULES["Prodigy"], params)
    for _ in range(3):
        twins.step(drawn(rng, shapes, F32))
    other = Twins(library, RULES["Prodigy"], [np.array(p) for p in twins.cpu.param_groups[0]["params"]])
    other.cpu.load_state_dict(twins.gpu.state_dict())
    other.gpu.load_state_dict(twins.cpu.state_dict())
    other.check()
    assert dict(other.gpu.numbers) == dict(twins.gpu.numbers) != dict(RULES["Prodigy"](params).numbers)
    other.check(other.step(drawn(rng, shapes, F32)))
