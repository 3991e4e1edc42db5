"""Schedules in the place of hyper-parameters: any callable, for every number, of every rule, in every group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, make
from reference import CASES, Case

STEPS = 6


def numbers_of(case: Case) -> list[tuple[str, int]]:
    """The hyper-parameters of a case that are numbers: their keys, and the places in a tuple or -1."""
    found = []
    for key, value in make(case, np.ones(2)).defaults.items():
        if isinstance(value, tuple):
            found += [(key, i) for i in range(len(value))]
        elif not isinstance(value, bool):
            found.append((key, -1))
    return found


def with_value(optimizer: ac.Optimizer, key: str, place: int, value: Any) -> Any:
    """The value of a hyper-parameter with another number, or a schedule, in one place."""
    if place < 0:
        return value
    items = list(optimizer.param_groups[0][key])
    items[place] = value
    return tuple(items)


PLACES = [(case, key, place) for case in CASES for key, place in numbers_of(case)]


@pytest.mark.parametrize(("case", "key", "place"), PLACES, ids=lambda x: getattr(x, "id", None) or str(x))
def test_every_number_takes_a_schedule(case: Case, key: str, place: int, rng: np.random.Generator) -> None:
    """A schedule gives the bits of numbers that are written before each step."""
    usual = make(case, np.ones(2)).param_groups[0][key]
    base = (usual[place] if place >= 0 else usual) or (0.0 if case.options.get("nesterov") else 0.125)
    way = 1 if base >= 1 else -1  # some numbers are less than 1, some are not
    values = [base * (1 + way * t / 16) for t in range(STEPS)]
    asked: list[int] = []

    def schedule(t: int) -> float:
        asked.append(t)
        return values[t]

    start = [rng.standard_normal(5), rng.standard_normal((3, 2))]
    grads = [[rng.standard_normal(p.shape) for p in start] for _ in range(STEPS)]
    found = []
    for scheduled in (True, False):
        optimizer = make(case, [p.copy() for p in start])
        group = optimizer.param_groups[0]
        group[key] = with_value(optimizer, key, place, values[0])
        optimizer = make(case, [p.copy() for p in start], **{key: group[key]})
        group = optimizer.param_groups[0]
        if scheduled:
            group[key] = with_value(optimizer, key, place, schedule)
        for t, g in enumerate(grads):
            if not scheduled:
                group[key] = with_value(optimizer, key, place, values[t])
            optimizer.step(g)
        found.append(everything(optimizer))
    assert found[0] == found[1]
    is_read = bool(asked)  # SGD without momentum does not read dampening
    assert asked == list(range(STEPS)) or (not is_read and key == "dampening")


def test_a_schedule_in_the_constructor_is_asked_for_each_step() -> None:
    asked: list[int] = []

    def beta(t: int) -> float:
        asked.append(t)
        return 0.5

    optimizer = ac.AdamW(np.ones(3), betas=(beta, 0.9), weight_decay=lambda _: 0.5)
    for _ in range(3):
        optimizer.step(np.ones(3))
    assert asked == [0, 0, 1, 2], "once when the optimizer is made, which checks the value, and once a step"


def test_a_schedule_is_called_once_for_all_groups_that_share_it() -> None:
    asked: list[int] = []

    def shared(t: int) -> float:
        asked.append(t)
        return 0.25 / (1 + t)

    params = [np.ones(3) for _ in range(4)]
    optimizer = ac.SGD([{"params": p} for p in params], lr=shared, momentum=shared, weight_decay=lambda _: 0.0)
    asked.clear()
    grads = [np.ones(3)] * 4
    for _ in range(3):
        optimizer.step(grads)
    assert asked == [0, 1, 2]
    optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step(grads)
    optimizer.param_groups[1]["lr"] = shared
    optimizer.step(grads)
    assert asked == [0, 1, 2, 3, 4]
    assert np.array_equal(params[0], params[3])
    assert not np.array_equal(params[0], params[1])


def test_each_group_has_its_own(rng: np.random.Generator) -> None:
    params = [rng.standard_normal(4) for _ in range(3)]
    rates: list[Callable[[int], float]] = [lambda t: 0.1 / (1 + t), lambda t: 0.01 * t, lambda _: 0.5]
    alone = [p.copy() for p in params]
    together = ac.SGD([{"params": p, "lr": rate} for p, rate in zip(params, rates, strict=True)])
    separate = [ac.SGD(p, lr=rate) for p, rate in zip(alone, rates, strict=True)]
    for _ in range(4):
        grads = [rng.standard_normal(4) for _ in range(3)]
        together.step(grads)
        for optimizer, g in zip(separate, grads, strict=True):
            optimizer.step(g)
    assert [p.tobytes() for p in params] == [p.tobytes() for p in alone]


class Complex(ac.schedules.Schedule):
    def __call__(self, t: Any) -> Any:
        return np.complex64(0.1 + t) if t else 0.1


BAD: list[tuple[str, Any, type, str]] = [
    ("lr", lambda t: 0.1 - t, ValueError, r"lr must be .*, got -0.9 from its schedule, <function .*after 1 completed"),
    ("eps", lambda t: 0.1 if t == 0 else float("nan"), ValueError, r"eps must be .*, got nan from its schedule"),
    ("weight_decay", lambda t: None if t else 0.0, TypeError, r"weight_decay must be .*, got None from its schedule"),
    ("betas", (0.9, lambda t: 0.5 + t), ValueError, r"betas\[1\] must be .*, got 1.5 from its schedule"),
    ("betas", (lambda t: "0.9" if t else 0.9, 0.9), TypeError, r"betas\[0\] must be .*, got '0.9' from its schedule"),
    ("lr", lambda t: np.complex64(0.1 + t), TypeError, r"lr must be .*, got .*1.1.*from its schedule"),
    ("lr", 1 * Complex(), TypeError, r"^Complex must return a number, got .*1.*j"),
    ("eps", np.complex128(0.1), TypeError, r"eps must be .*, got "),
    ("betas", (lambda: 0.9, 0.9), TypeError, r"betas\[0\] must be a number, or a schedule, .* with one number"),
    ("betas", lambda _: (0.9, 0.9), TypeError, r"betas must be a tuple of 2 numbers, got <function"),
]


@pytest.mark.parametrize(("key", "value", "error", "match"), BAD, ids=[f"{i}-{row[0]}" for i, row in enumerate(BAD)])
def test_values_out_of_range_change_nothing(key: str, value: Any, error: type, match: str) -> None:
    p, q = np.ones(3), np.full(2, 5.0)
    optimizer = ac.AdamW([{"params": p}, {"params": q}])
    grads = [np.ones(3), np.ones(2)]
    optimizer.step(grads)
    optimizer.param_groups[1][key] = value
    before = everything(optimizer)
    for _ in range(2):
        with pytest.raises(error, match=match if match[0] == "^" else rf"^AdamW: {match}.*\(in param_groups\[1\]\)$"):
            optimizer.step(grads)
        assert everything(optimizer) == before
        assert optimizer.completed == 1
    with pytest.raises(error, match=match):
        optimizer.current(1)
    optimizer.param_groups[1][key] = optimizer.param_groups[0][key]
    optimizer.step(grads)
    assert optimizer.completed == 2


def test_current_and_completed() -> None:
    optimizer = ac.SGD(
        [{"params": np.ones(3), "name": "a"}, {"params": np.ones(3), "lr": 0.5}],
        lr=lambda t: 1.0 / (1 + t),
        momentum=lambda t: 0.25 * t,
        nesterov=False,
    )
    assert optimizer.completed == 0
    optimizer.step([np.ones(3)] * 2)
    optimizer.step([None, None])
    assert optimizer.completed == 2
    expected = dict(lr=1 / 3, momentum=0.5, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False)
    assert optimizer.current() == expected
    assert optimizer.current(1) == optimizer.current(-1) == {**expected, "lr": 0.5}
    assert list(optimizer.current()) == list(optimizer.defaults)
    with pytest.raises(IndexError, match="SGD: there is no group 2; there are 2"):
        optimizer.current(2)
    adam = ac.AdamW(np.ones(3), betas=(lambda _: 0.5, 0.75))
    assert adam.current()["betas"] == (0.5, 0.75)
    adam.step(np.array([np.inf, 1, 1]), loss_scale=2.0)
    assert adam.completed == 0, "a skipped step does not advance the clock"


def test_momentum_that_a_schedule_turns_on_and_off(rng: np.random.Generator) -> None:
    """0 selects the rule without momentum, as if it were written to the group."""
    values = [0.0, 0.0, 0.9, 0.5, 0.0, 0.8]
    for options in ({"dampening": 0.5}, {"nesterov": True}, {"weight_decay": 0.25}):
        ours, theirs = rng.standard_normal(5), np.zeros(5)
        theirs[:] = ours
        start = 0.9 if "nesterov" in options else 0.0
        plain = ac.SGD(theirs, momentum=start, **options)
        scheduled = ac.SGD(ours, momentum=start, **options)
        scheduled.param_groups[0]["momentum"] = lambda t: values[t]
        for value in values:
            g = rng.standard_normal(5)
            plain.param_groups[0]["momentum"] = value
            plain.step(g)
            scheduled.step(g)
            assert everything(scheduled) == everything(plain)


@pytest.mark.skipif(not hasattr(ValueError, "add_note"), reason="notes came with Python 3.11")
@pytest.mark.parametrize("nested", [False, True])
def test_an_error_in_a_schedule_says_which_one(nested: bool) -> None:
    class Broken(ac.schedules.Schedule):
        def __call__(self, t: Any) -> Any:
            return 0.1 / (1 - t)

    optimizer = ac.AdamW([{"params": np.ones(2)}, {"params": np.ones(2)}], betas=(0.9, 0.9))
    optimizer.param_groups[1]["betas"] = (0.9, 1 * Broken() if nested else Broken())
    optimizer.step([np.ones(2)] * 2)
    with pytest.raises(ZeroDivisionError) as caught:
        optimizer.step([np.ones(2)] * 2)
    (note,) = caught.value.__notes__  # type: ignore[attr-defined]
    assert note.startswith("AdamW: raised by the schedule of betas[1], ")
    assert note.endswith(", after 1 completed steps (in param_groups[1])")
    assert "Broken()" in note


def test_a_new_optimizer_refuses_what_its_schedules_give_at_first() -> None:
    with pytest.raises(ValueError, match=r"SGD: momentum must be .*, got -1.0 from its schedule"):
        ac.SGD(np.ones(3), momentum=lambda _: -1.0)
    with pytest.raises(ValueError, match="nesterov needs momentum > 0"):
        ac.SGD(np.ones(3), momentum=0.0, nesterov=True, lr=lambda _: 0.5)


@pytest.mark.parametrize("function", ["adam", "sgd"])
def test_functions_take_numbers(function: str) -> None:
    arrays = [np.ones(3) for _ in range(4 if function == "adam" else 2)]
    call = getattr(ac.functional, function)
    with pytest.raises(TypeError, match=r"weight_decay must be a number here, got a schedule; call it"):
        call(*arrays, t=1, weight_decay=lambda _: 0.1)
    if function == "adam":
        with pytest.raises(TypeError, match=r"betas\[1\] must be a number here, got a schedule; call it"):
            call(*arrays, t=1, betas=(0.9, lambda _: 0.9))
    assert all(np.all(a == 1) for a in arrays)
