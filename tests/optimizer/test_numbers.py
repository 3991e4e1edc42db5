"""Numbers of the whole optimizer: read-only, saved, loaded as a whole, and what groups share because of them."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything

FIRST = {"d": 1e-6, "d_max": 1e-6, "d_numerator": 0.0, "k": 0.0}
LATER = {"d": 0.25, "d_max": 0.5, "d_numerator": -3.0, "k": 12.0}


def prodigy(**options: Any) -> ac.Prodigy:
    return ac.Prodigy([{"params": {"w": np.ones((2, 3))}}, {"params": {"b": np.ones(3)}}], **options)


def with_numbers(optimizer: ac.Optimizer, numbers: dict[str, Any]) -> dict[str, Any]:
    return {**optimizer.state_dict(), "numbers": numbers}


def test_numbers_start_from_the_first_group() -> None:
    assert dict(prodigy().numbers) == FIRST
    assert dict(prodigy(d0=0.5).numbers) == {**FIRST, "d": 0.5, "d_max": 0.5}
    assert dict(ac.AdamW(np.ones(3)).numbers) == {}
    assert all(type(number) is float for number in prodigy().numbers.values())


def test_numbers_are_not_written_to() -> None:
    optimizer = prodigy()
    with pytest.raises(TypeError, match="does not support item assignment"):
        optimizer.numbers["d"] = 1.0  # type: ignore[index]
    with pytest.raises(AttributeError, match="Prodigy: numbers cannot be replaced: load_state_dict sets them"):
        optimizer.numbers = LATER  # type: ignore[misc]
    assert dict(optimizer.numbers) == FIRST


def test_numbers_are_saved_and_loaded() -> None:
    optimizer = prodigy()
    optimizer.load_state_dict(with_numbers(optimizer, LATER))
    assert dict(optimizer.numbers) == LATER
    saved = optimizer.state_dict()
    assert saved["numbers"] == LATER
    other = prodigy()
    other.load_state_dict(saved)
    assert dict(other.numbers) == LATER
    other = prodigy()
    other.load_state_dict(saved, strict=False)
    assert dict(other.numbers) == LATER


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        ({}, ValueError, r"state_dict\['numbers'\]: 'd' is missing \(and 3 more\)"),
        ({**LATER, "e": 1.0}, ValueError, r"state_dict\['numbers'\]: 'e' is not in the optimizer"),
        ({**LATER, "k": math.nan}, ValueError, r"state_dict\['numbers'\]\['k'\]: expected a finite number, got nan"),
        ({**LATER, "k": math.inf}, ValueError, r"state_dict\['numbers'\]\['k'\]: expected a finite number, got inf"),
        ({**LATER, "d": "1"}, TypeError, r"state_dict\['numbers'\]\['d'\]: expected a finite number, got '1'"),
        ({**LATER, "d": None}, TypeError, r"state_dict\['numbers'\]\['d'\]: expected a finite number, got None"),
        ([1.0], TypeError, r"state_dict\['numbers'\]: expected a dict, got"),
    ],
)
def test_a_checkpoint_with_wrong_numbers_changes_nothing(numbers: Any, error: type[Exception], message: str) -> None:
    optimizer = prodigy()
    before = everything(optimizer)
    saved = with_numbers(optimizer, numbers)
    saved["state"]["w"]["s"] += 1
    saved["param_groups"][0]["eps"] = 0.5
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(saved)
    assert everything(optimizer) == before
    assert optimizer.param_groups[0]["eps"] == 1e-8


def test_wrong_state_leaves_the_numbers() -> None:
    optimizer = prodigy()
    saved = with_numbers(optimizer, LATER)
    saved["state"]["b"]["p0"] = np.zeros(4)
    with pytest.raises(ValueError, match=r"\['b'\]\['p0'\]: shape"):
        optimizer.load_state_dict(saved)
    assert dict(optimizer.numbers) == FIRST


def test_optimizers_without_numbers_refuse_them() -> None:
    optimizer = ac.AdamW(np.ones(3))
    with pytest.raises(ValueError, match=r"state_dict\['numbers'\]: 'd' is not in the optimizer"):
        optimizer.load_state_dict(with_numbers(optimizer, LATER))


def pickled(optimizer: ac.Optimizer) -> Any:
    return pickle.loads(pickle.dumps(optimizer))  # noqa: S301


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_copies_have_the_numbers(copied: Callable[[Any], Any]) -> None:
    """Also where one group's rate is a schedule, which is not called, and another's the number that it gives."""
    optimizer = prodigy(lr=0.5)
    optimizer.load_state_dict(with_numbers(optimizer, LATER))
    optimizer.param_groups[0]["lr"] = ac.schedules.Constant(0.5)
    other = copied(optimizer)
    assert everything(other) == everything(optimizer)
    assert dict(other.numbers) == LATER


def test_numbers_stay_with_other_arrays() -> None:
    optimizer = prodigy()
    optimizer.load_state_dict(with_numbers(optimizer, LATER))
    optimizer.rebind([{"params": {"w": np.zeros((2, 3))}}, {"params": {"b": np.zeros(3)}}])
    assert dict(optimizer.numbers) == LATER
    assert np.all(optimizer.state["w"]["p0"] == 1)


SHARED = [
    ("betas", (0.8, 0.999), r"betas\[0\] must be the same in all groups, got 0\.9 in param_groups\[0\] and 0\.8"),
    ("betas", (0.9, 0.99), r"betas\[1\] must be the same in all groups"),
    ("beta3", 0.5, r"beta3 must be the same in all groups, got None in param_groups\[0\] and 0\.5"),
    ("use_bias_correction", True, r"use_bias_correction must be the same in all groups, got False .* and True"),
    ("d0", 1e-5, "d0 must be the same in all groups"),
    ("d_coef", 2.0, "d_coef must be the same in all groups"),
    ("growth_rate", 1.5, r"growth_rate must be the same in all groups, got inf in param_groups\[0\] and 1\.5"),
    ("lr", 0.5, r"lr must be the same in all groups, or 0, got 1\.0 in param_groups\[0\] and 0\.5"),
]


@pytest.mark.parametrize(("key", "value", "message"), SHARED, ids=[key for key, *_ in SHARED])
def test_groups_share_what_the_numbers_depend_on(key: str, value: Any, message: str) -> None:
    optimizer = prodigy()
    before = everything(optimizer)
    with pytest.raises(
        ValueError, match=f"Prodigy: {message} in param_groups\\[2\\]" if ", got" in message else message
    ):
        optimizer.add_param_group({"params": {"c": np.ones(2)}, key: value})
    assert everything(optimizer) == before
    assert len(optimizer.param_groups) == 2
    optimizer.param_groups[1][key] = value
    for _ in range(2):
        with pytest.raises(ValueError, match=f"Prodigy: {message}"):
            optimizer.step({"w": np.ones((2, 3)), "b": None})
        assert everything(optimizer) == before
        assert optimizer.completed == 0


@pytest.mark.parametrize("key", ["eps", "weight_decay"])
def test_groups_have_the_rest_for_themselves(key: str) -> None:
    optimizer = prodigy()
    optimizer.add_param_group({"params": {"c": np.ones(2)}, key: 0.5})
    optimizer.add_param_group({"params": {"d": np.ones(2)}, "lr": 0.0, "decouple": False})
    assert len(optimizer.param_groups) == 4


def test_schedules_may_not_make_groups_disagree() -> None:
    """Nor do groups whose schedules give the same."""
    optimizer = prodigy(lr=ac.schedules.Linear(1.0, 0.0, steps=4))
    optimizer.param_groups[1]["lr"] = ac.schedules.Constant(1.0)
    saved = {**optimizer.state_dict(), "completed": 1}
    optimizer.load_state_dict(saved)
    with pytest.raises(ValueError, match=r"lr must be the same in all groups, or 0, got 0\.75 .* and 1\.0"):
        optimizer.step({"w": np.ones((2, 3)), "b": None})
    with pytest.raises(ValueError, match=r"lr must be the same in all groups, or 0, got 0\.75 .* and 1\.0"):
        optimizer.add_param_group({"params": {"c": np.ones(2)}, "lr": 1.0})


def test_old_copies_have_no_numbers() -> None:
    """Pickles of earlier versions lack the entry."""
    optimizer = ac.AdamW(np.ones(3))
    state = optimizer.__reduce_ex__(2)[2]
    del state["numbers"]
    other = ac.AdamW.__new__(ac.AdamW)
    other.__setstate__(copy.deepcopy(state))
    assert everything(other) == everything(optimizer)


def grads(optimizer: ac.Optimizer, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(state["p0"].shape) for name, state in optimizer.state.items()}


def test_training_goes_on_from_what_was_saved(rng: np.random.Generator) -> None:
    optimizer = prodigy(d_coef=100.0)
    for _ in range(4):
        optimizer.step(grads(optimizer, rng))
    assert optimizer.numbers["k"] == 4
    assert optimizer.numbers["d"] > FIRST["d"]
    other, third = prodigy(d_coef=100.0), copy.deepcopy(optimizer)
    other.load_state_dict(optimizer.state_dict())
    for mine, yours in zip(other.param_groups, optimizer.param_groups, strict=True):
        for p, q in zip(mine["params"], yours["params"], strict=True):
            p[...] = q
    for _ in range(3):
        given = grads(optimizer, rng)
        for each in (optimizer, other, third):
            each.step(given)
        assert everything(optimizer) == everything(other) == everything(third)


def test_skipped_steps_leave_the_numbers(rng: np.random.Generator) -> None:
    optimizer = prodigy(nonfinite="skip")
    optimizer.step(grads(optimizer, rng))
    before = everything(optimizer)
    bad = grads(optimizer, rng)
    bad["b"][1] = np.nan
    assert optimizer.step(bad).skipped
    assert everything(optimizer) == before


def test_a_group_whose_rate_is_0_rests(rng: np.random.Generator) -> None:
    """Nothing of it changes, nor do its gradients count."""
    optimizer, apart = prodigy(), ac.Prodigy({"w": np.ones((2, 3))})
    optimizer.param_groups[1]["lr"] = 0.0
    before = {slot: array.copy() for slot, array in optimizer.state["b"].items()}
    for _ in range(3):
        given = grads(optimizer, rng)
        optimizer.step(given)
        apart.step({"w": given["w"]})
    assert all(np.array_equal(array, before[slot]) for slot, array in optimizer.state["b"].items())
    assert np.all(optimizer.param_groups[1]["params"][0] == 1)
    assert dict(optimizer.numbers) == dict(apart.numbers)
    assert optimizer.steps == {"w": 3, "b": 3}
