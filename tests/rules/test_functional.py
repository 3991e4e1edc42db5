"""Updates of plain arrays equal those of an optimizer, and bad input raises an error."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest

import adamcore as ac
from adamcore import functional, optimizers
from adamcore._parts.options import PRESETS
from helpers import bits, make
from reference import CASES, FUNCTIONS, Case, magnitudes


@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.id)
def test_equals_the_optimizer(case: Case, dtype: type, rng: np.random.Generator) -> None:
    p, q = (np.array(magnitudes(np.random.default_rng(1), (7, 11)), dtype) for _ in range(2))
    optimizer = make(case, p)
    update = getattr(functional, case.optimizer.lower())
    slots = case.slots_of(q.shape)
    state = [a.astype(a.dtype if slots[k].shape == "number" else dtype) for k, a in case.initial_state(q).items()]
    for t in range(1, 6):
        g = magnitudes(rng, p.shape).astype(dtype)
        optimizer.step(g)
        assert update(q, g, *state, t=t, **case.options) is None
    assert bits(p, *optimizer.state["0"].values()) == bits(q, *state)


GARBAGE = (np.nan, np.inf, -np.inf, 1e38, -1.0)


@pytest.mark.parametrize("options", [{}, {"dampening": 0.3}, {"nesterov": True}, {"weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_buffer_that_has_not_been_made_is_not_read(dtype: type, garbage: float, options: dict) -> None:
    """In the first update the gradient becomes the buffer, as in PyTorch."""
    for storage in (dtype, np.float16):
        state = np.float64 if storage == np.float64 else np.float32
        g = np.linspace(-1, 1, 77).astype(storage)
        p, q, buffer, zero = (
            np.ones(77, storage),
            np.ones(77, storage),
            np.full(77, garbage, state),
            np.zeros(77, state),
        )
        for t in (1, 2):
            functional.sgd(p, g, buffer, t=t, lr=0.1, momentum=0.9, **options)
            functional.sgd(q, g, zero, t=t, lr=0.1, momentum=0.9, **options)
        assert np.array_equal(p, q)
        assert np.array_equal(buffer, zero)


@pytest.mark.parametrize("shapes", [[(3,), (0,), (70,), ()], [(40, 50), (2, 3), (5, 1, 4), (2, 2)]], ids=str)
@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.id)
def test_lists_of_arrays(case: Case, shapes: list[tuple[int, ...]], rng: np.random.Generator) -> None:
    p = [np.array(magnitudes(rng, s)) for s in shapes]
    g = [np.array(magnitudes(rng, s)) for s in shapes]
    t = [1, 5, 100, 2]
    slots = case.slots_of(shapes[0]).values()
    state = [[np.asarray(np.abs(magnitudes(rng, slot.shape_for(s)))) for s in shapes] for slot in slots]
    alone = [a.copy() for a in p]
    state_alone = [[a.copy() for a in slot] for slot in state]
    update = getattr(functional, case.optimizer.lower())
    update(p, g, *state, t=t, **case.options)
    for i in range(len(shapes)):
        update(alone[i], g[i], *(slot[i] for slot in state_alone), t=t[i], **case.options)
    assert bits(*p) == bits(*alone)
    assert [bits(*s) for s in state] == [bits(*s) for s in state_alone]


def test_state_by_name() -> None:
    p, q, g = np.ones(5), np.ones(5), np.ones(5)
    m, v = np.zeros(5), np.zeros(5)
    functional.adamw(p, g, exp_avg_sq=v, exp_avg=m, t=1)
    functional.adamw(q, g, np.zeros(5), np.zeros(5), t=1)
    assert bits(p) == bits(q)
    assert np.allclose(m, 0.1)


def test_every_optimizer_has_its_function() -> None:
    without = {case.optimizer for case in CASES if case not in FUNCTIONS}
    assert not any(hasattr(functional, name.lower()) for name in without)
    for name in set(optimizers.__all__) - without:
        function = getattr(functional, name.lower())
        given = inspect.signature(getattr(ac, name)).parameters
        shown = inspect.signature(function).parameters
        assert list(shown)[:4] == ["p", "g", "state", "t"]
        assert {k: v.default for k, v in shown.items() if k in given} == {
            k: v.default for k, v in given.items() if k != "params" and k not in PRESETS
        }
        assert name.lower() in dir(functional)
        assert name in function.__doc__
    with pytest.raises(AttributeError, match="no attribute 'adamx'"):
        _ = functional.adamx


def test_adam_update_is_adam(rng: np.random.Generator, dtype: type) -> None:
    theta, m, v = rng.standard_normal(100).astype(dtype), np.zeros(100, dtype), np.zeros(100, dtype)
    p = theta.copy()
    optimizer = ac.Adam(p, lr=0.01, betas=(0.8, 0.99), eps=1e-6)
    for t in range(1, 4):
        g = rng.standard_normal(100).astype(dtype)
        result = ac.adam_update(theta, g, m, v, t, alpha=0.01, beta1=0.8, beta2=0.99, eps=1e-6)
        assert [a is b for a, b in zip(result, (theta, m, v), strict=True)] == [True] * 3
        optimizer.step(g)
    assert bits(theta, m, v) == bits(p, *optimizer.state["0"].values())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"alpha": -1.0}, "adam_update: alpha must be"),
        ({"beta1": 1.0}, "adam_update: beta1 must be"),
        ({"beta2": float("nan")}, "adam_update: beta2 must be"),
        ({"eps": -1.0}, "adam_update: eps must be"),
        ({"t": 0}, "adam_update: t must be the number of this update, from 1 to .*, got 0"),
    ],
)
def test_adam_update_refuses_by_its_own_names(options: dict, match: str, unchanged: Callable[..., None]) -> None:
    arrays = [np.ones(3) for _ in range(4)]
    unchanged(ValueError, match, arrays, lambda: ac.adam_update(*arrays, **{"t": 1, **options}))


BAD = [
    (lambda a: a.update(v=np.ones(4)), ValueError, r"v: shape \(4,\) does not match theta"),
    (lambda a: a.update(v=np.ones(3, "f4")), TypeError, "v: dtype float32 does not match theta, which is float64"),
    (lambda a: a.update(m=[0.0, 0.0, 0.0]), TypeError, "m must be one array, as theta is, got a list of 3"),
    (lambda a: a.update(v=a["m"]), ValueError, "v: shares memory with m"),
    (lambda a: a.update(grad=a["theta"]), ValueError, "grad: shares memory with theta"),
    (lambda a: a.update(grad=a["v"][:]), ValueError, "grad: shares memory with v"),
    (lambda a: a.update(theta=np.broadcast_to(1.0, 3)), ValueError, "theta: .*read-only"),
    (lambda a: a["v"].setflags(write=False), ValueError, "v: .*read-only"),
    (lambda a: a.update(t=1.5), TypeError, "integer"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad[2])
def test_bad_arrays_change_nothing(bad: tuple, unchanged: Callable[..., None]) -> None:
    apply, error, match = bad
    arguments = {"theta": np.ones(3), "grad": np.ones(3), "m": np.ones(3), "v": np.ones(3), "t": 1}
    apply(arguments)
    arrays = [a for a in arguments.values() if isinstance(a, np.ndarray)]
    unchanged(error, match, arrays, lambda: ac.adam_update(**arguments))


def test_bad_list_changes_nothing(unchanged: Callable[..., None]) -> None:
    p, g, m, v = ([np.ones(3), np.ones(4)] for _ in range(4))
    arrays = [*p, *m, *v]
    for bad, match in [
        ((p, g, m, [v[0]]), "exp_avg_sq must be a list of 2 arrays, as p is, got a list of 1"),
        ((p, g[0], m, v), "g must be a list of 2 arrays, as p is, got ndarray"),
        ((p, g, m), "the state array 'exp_avg_sq' is missing"),
        ((p, g, m, v, v), "expected 2 state arrays"),
    ]:
        unchanged(TypeError, match, arrays, lambda bad=bad: functional.adam(*bad, t=1))
    unchanged(ValueError, r"exp_avg_sq\[1\]: shape", arrays, lambda: functional.adam(p, g, m, [v[0], v[0].copy()], t=1))
    unchanged(ValueError, "t has 3 numbers for 2 arrays", arrays, lambda: functional.adam(p, g, m, v, t=[1, 2, 3]))
    unchanged(
        TypeError,
        "unexpected keyword argument 'momentum'",
        arrays,
        lambda: functional.adam(p, g, m, v, t=1, momentum=1),
    )


def test_a_schedule_has_no_place_here() -> None:
    with pytest.raises((TypeError, ValueError), match="lr"):
        functional.sgd(np.ones(3), np.ones(3), t=1, lr="fast")
    assert CASES
