"""State follows from the descriptions of slots: shapes, types, first values, and what checkpoints may have."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from helpers import everything
from reference import CASES, Case
from storage import BF16, F16, F32, F64

SHAPES = [(3, 5), (2, 3, 4), (2, 1, 3, 4), (7,), ()]
MATRICES = [shape for shape in SHAPES if len(shape) > 1]

# One for each rule, whatever its hyper-parameters are.
RULES = {type(opt)._rule(case.hyper): case for case in CASES for opt in [getattr(ac, case.optimizer)(np.ones(3))]}


def arrays(dtype: np.dtype, shapes: list[tuple[int, ...]] = SHAPES, order: str = "C") -> dict[str, np.ndarray]:
    return {f"p{i}": np.asarray(np.full(shape, 1.5, dtype), order=order) for i, shape in enumerate(shapes)}


def expected(rule: str, p: np.ndarray, state: str) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """The shape and the type of each of a rule's slots."""
    rules = _core.rules()
    description = rules[rules[rule]["for_vectors"] if p.ndim < 2 else rule]["state"]
    compute = F64 if p.dtype == F64 else F32
    stored = compute if compute == F64 else {"float32": F32, "float16": F16, "bfloat16": BF16}[state]
    shapes = {
        "elements": lambda: p.shape,
        "rows": lambda: (*p.shape[:-1], 1),
        "columns": lambda: (*p.shape[:-2], 1, p.shape[-1]),
        "number": tuple,
    }
    return {
        name: (
            shapes[slot["shape"]](),
            F64 if slot["shape"] == "number" else compute if slot["is_full"] else stored,
        )
        for name, slot in description.items()
    }


@pytest.mark.parametrize("case", RULES.values(), ids=list(RULES))
@pytest.mark.parametrize(
    ("dtype", "state"), [(F32, "float32"), (F64, "float32"), (BF16, "bfloat16"), (F16, "float16")], ids=str
)
def test_arrays_are_what_descriptions_say(case: Case, dtype: np.dtype, state: str) -> None:
    """To the byte, and in C order where the rule sums."""
    optimizer_type = getattr(ac, case.optimizer)
    rule = optimizer_type._rule(case.hyper)
    for order in "CF":
        params = arrays(dtype, order=order)
        optimizer = optimizer_type(params, precision=ac.Precision(state=state), **case.options)
        for name, p in params.items():
            found = optimizer.state[name]
            beside = {"master": (p.shape, F32)} if dtype in (F16, BF16) else {}
            wanted = {**expected(rule, p, state), **beside}
            assert {slot: (a.shape, a.dtype) for slot, a in found.items()} == wanted
            assert list(found) == list(wanted)
            bytes_of_all = sum(math.prod(shape) * kind.itemsize for shape, kind in wanted.values())
            assert sum(a.nbytes for a in found.values()) == bytes_of_all
            if _core.rules()[rule]["passes"]:
                assert all(a.flags.c_contiguous for a in found.values())


def test_matrices_and_vectors_of_a_group_have_their_own_state() -> None:
    """And what belongs to one kind is not in the other, in copies and checkpoints neither."""
    params = arrays(F32)
    optimizer = ac.Adafactor(params)
    for name, p in params.items():
        for slot, array in optimizer.state[name].items():
            array[...] = np.arange(array.size).reshape(array.shape) + len(slot)
        assert set(optimizer.state[name]) == ({"row_var", "col_var"} if p.ndim > 1 else {"variance"})
    before = everything(optimizer)
    saved = optimizer.state_dict()
    assert all("begun" not in state for state in saved["state"].values())
    assert everything(copy.deepcopy(optimizer)) == before
    other = ac.Adafactor(arrays(F32))
    other.load_state_dict(saved)
    assert everything(other) == before


def test_parameters_without_elements_have_numbers_alone() -> None:
    params = {"a": np.ones((0, 3)), "b": np.ones((3, 0)), "c": np.ones(0)}
    for optimizer in (ac.Adafactor(params), ac.NovoGrad(params), ac.Prodigy(params)):
        sizes = {array.size for name in params for array in optimizer.state[name].values() if array.ndim > 0}
        assert sizes == {0}
        assert everything(copy.deepcopy(optimizer)) == everything(optimizer)
    assert ac.NovoGrad(params).state["b"]["exp_avg_sq"].shape == ()


@pytest.mark.parametrize("dtype", [F32, F64, F16, BF16], ids=str)
def test_a_slot_starts_as_the_parameter(dtype: np.dtype, rng: np.random.Generator) -> None:
    """In full, whatever the layout of the parameter and the precision of other state."""
    whole = rng.standard_normal((6, 8, 5)).astype(dtype)
    for p in (whole, whole[::2, ::-1], whole.T):
        precision = ac.Precision() if dtype == F64 else ac.Precision(state="bfloat16")
        optimizer = ac.Prodigy(p, precision=precision)
        first = optimizer.state["0"]["p0"]
        assert first.dtype == (F64 if dtype == F64 else F32)
        assert np.array_equal(first, p.astype(first.dtype))


def edits(optimizer: ac.Optimizer, name: str, slot: str) -> list[tuple[Any, type[Exception], str]]:
    """What cannot be loaded in the place of a state array, and what the message says."""
    array = optimizer.state[name][slot]
    other = F32 if array.dtype == F64 else F64
    nan, negative = array.copy(), array.copy()
    nan[...], negative[...] = np.nan, -1
    return [
        (array.astype(other), TypeError, f"dtype {other} does not match the optimizer's, which is {array.dtype}"),
        (array[None], ValueError, "does not match the optimizer's, which is "),
        (nan, ValueError, "there is NaN in it"),
        (negative, ValueError, "there are numbers below 0"),
    ]


@pytest.mark.parametrize(("name", "slot"), [("p0", "row_var"), ("p1", "col_var"), ("p3", "variance")])
def test_checkpoints_of_factored_state_are_checked(name: str, slot: str) -> None:
    optimizer = ac.Adafactor(arrays(F32))
    before = everything(optimizer)
    for value, error, message in edits(optimizer, name, slot):
        saved = optimizer.state_dict()
        saved["state"]["p0"]["row_var"] += 1
        saved["state"][name][slot] = value
        with pytest.raises(error, match=rf"state_dict\['state'\]\['{name}'\]\['{slot}'\]: .*{message}"):
            optimizer.load_state_dict(saved)
        assert everything(optimizer) == before


def test_checkpoints_of_numbers_are_checked() -> None:
    optimizer = ac.NovoGrad(arrays(F32))
    before = everything(optimizer)
    for value, error, message in edits(optimizer, "p4", "exp_avg_sq"):
        saved = optimizer.state_dict()
        saved["state"]["p0"]["exp_avg"] += 1
        saved["state"]["p4"]["exp_avg_sq"] = value
        with pytest.raises(error, match=rf"state_dict\['state'\]\['p4'\]\['exp_avg_sq'\]: .*{message}"):
            optimizer.load_state_dict(saved)
        assert everything(optimizer) == before


def test_state_of_the_other_kind_is_refused() -> None:
    optimizer = ac.Adafactor(arrays(F32))
    for name, slot in (("p0", "variance"), ("p3", "row_var")):
        saved = optimizer.state_dict()
        saved["state"][name][slot] = np.zeros(np.shape(saved["state"]["p0"]["row_var"]), F32)
        with pytest.raises(ValueError, match=rf"state_dict\['state'\]\['{name}'\]: '{slot}' is not in the optimizer"):
            optimizer.load_state_dict(saved)


@pytest.mark.parametrize("form", [dict, list])
def test_complex_parameters_have_no_rows_and_columns(form: type) -> None:
    """Nothing of the group is added."""
    optimizer = ac.Adafactor({"w": np.ones((2, 3))})
    before = everything(optimizer)
    for bad in (np.ones((2, 3), np.complex64), np.ones(3, np.complex128)):
        named = {"a": np.ones((4, 4)), "b": bad}
        given = named if form is dict else list(named.values())
        with pytest.raises(
            TypeError, match=r"(\['b'\]|\[1\]): dtype complex.* is not supported by Adafactor, which averages"
        ):
            optimizer.add_param_group({"params": given})
        assert everything(optimizer) == before
        assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("optimizer_type", [ac.Adafactor, ac.NovoGrad, ac.Prodigy])
def test_rebinding_converts_what_has_another_type(optimizer_type: Any, rng: np.random.Generator) -> None:
    """Numbers stay as they are."""
    optimizer = optimizer_type(arrays(F32))
    for state in optimizer.state.values():
        for array in state.values():
            array[...] = rng.standard_normal(array.shape) ** 2
    before = {name: {slot: a.copy() for slot, a in state.items()} for name, state in optimizer.state.items()}
    numbers = dict(optimizer.numbers)
    optimizer.rebind(arrays(F64))
    for name, state in optimizer.state.items():
        assert list(state) == list(before[name])
        for slot, array in state.items():
            assert array.dtype == F64
            assert array.shape == before[name][slot].shape
            assert np.array_equal(array, before[name][slot].astype(F64))
    assert dict(optimizer.numbers) == numbers
    optimizer.rebind(arrays(F32, order="F"))
    assert all(np.array_equal(a, before[name][slot]) for name, s in optimizer.state.items() for slot, a in s.items())


def test_a_number_begins_when_it_is_needed(rng: np.random.Generator) -> None:
    """AMSGrad's largest norm; what there was stays, also in a checkpoint that was saved before."""
    params = arrays(F32)
    optimizer = ac.NovoGrad(params)
    optimizer.step({name: rng.standard_normal(p.shape).astype(F32) for name, p in params.items()})
    without = optimizer.state_dict()
    optimizer.param_groups[0]["amsgrad"] = True
    norms = {name: float(state["exp_avg_sq"]) for name, state in optimizer.state.items()}
    optimizer.step({name: np.zeros_like(p) for name, p in params.items()})
    for name, state in optimizer.state.items():
        assert state["max_exp_avg_sq"].shape == ()
        assert state["exp_avg_sq"] == 0.98 * norms[name]
        assert state["max_exp_avg_sq"] == state["exp_avg_sq"]
    optimizer.load_state_dict(without)
    assert all("max_exp_avg_sq" not in state for state in optimizer.state.values())
