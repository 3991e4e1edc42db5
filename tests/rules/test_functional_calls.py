"""Updates of plain arrays take one native call. It does exactly what the general path does, errors included."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import functional
from adamcore._arrays.update import run_rule
from helpers import bits
from pairs import EXHAUSTIVE

Arrays = list[Any]


def python_calls(f: Callable[[], Any]) -> list[str]:
    """The Python functions that `f` calls."""
    seen: list[str] = []

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    f()
    sys.setprofile(note)
    try:
        f()
    finally:
        sys.setprofile(None)
    return seen[1:]  # without f


@pytest.mark.parametrize("count", [None, 0, 1, 2, 30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_plain_arrays_take_one_call(count: int | None, dtype: type) -> None:
    state = np.float64 if dtype == np.float64 else np.float32

    def arrays(of: type) -> Any:
        return np.ones(5, of) if count is None else [np.ones(5, of) for _ in range(count)]

    p, g, m, v = arrays(dtype), arrays(dtype), arrays(state), arrays(state)
    assert python_calls(lambda: functional.adam(p, g, m, v, t=3)) == ["adam"]
    assert python_calls(lambda: functional.adamw(p, g, exp_avg_sq=v, exp_avg=m, t=3, lr=1)) == ["adamw"]
    assert python_calls(lambda: functional.sgd(p, g, m, t=3, momentum=0.9, nesterov=True)) == ["sgd"]
    assert python_calls(lambda: functional.rmsprop(p, g, v, t=3, lr=np.float64(0.1))) == ["rmsprop"]
    assert python_calls(lambda: functional.adagrad(p, g, v, t=3, maximize=True)) == ["adagrad"]
    if count is None:
        assert python_calls(lambda: ac.adam_update(p, g, m, v, 3)) == ["adam_update"]


class General(np.ndarray):
    """Not plain, so that it takes the general path."""


def cut(rng: np.random.Generator, buffer: np.ndarray[Any, Any], i: int, kind: str) -> np.ndarray[Any, Any]:
    """An array of six elements: its own memory, or a view of `buffer`, which another one may share."""
    at = 8 * i + (int(rng.integers(-3, 3)) if kind == "near" else 0)
    if kind in ("far", "near"):
        return buffer[at : at + 6]
    if kind == "strided":
        return buffer[at : at + 12 : 2]
    dtype = {"half": np.float16, "double": np.float64}.get(kind, np.float32)
    array = buffer[at : at + 6].astype(dtype)
    if kind in ("matrix", "fortran"):
        array = array.reshape(2, 3, order="F" if kind == "fortran" else "C")
    array.setflags(write=kind != "read-only")
    return array


KINDS = ("own", "own", "own", "far", "far", "near", "strided", "fortran", "matrix", "read-only", "half", "double")


def problem(seed: int) -> tuple[Arrays, Any, dict[str, Any]]:
    """Lists of parameters, gradients and two moments; numbers of the update; hyper-parameters. Often invalid."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    buffer = rng.uniform(0.5, 1, 8 * 4 * count + 16).astype(np.float32)
    usual = str(rng.choice(["own", "far", "matrix", "fortran"]))
    rare = float(rng.choice([0.0, 0.0, 0.1]))
    lists = [
        [
            cut(rng, buffer, 1 + 4 * i + k, str(rng.choice(KINDS)) if rng.random() < rare else usual)
            for i in range(count)
        ]
        for k in range(4)
    ]
    if rng.random() < 0.05:
        lists[int(rng.integers(4))].pop()
    t = [int(x) for x in rng.integers(0 if rng.random() < 0.1 else 1, 2000, count)]
    betas = rng.choice([0.9, 0.99, 1.0], 2, p=[0.5, 0.49, 0.01])
    hyper = {
        "lr": float(rng.choice([0.1, 0.0, -1.0], p=[0.8, 0.15, 0.05])),
        "betas": (float(betas[0]), float(betas[1])),
    }
    return lists, t if rng.random() < 0.5 else t[0], hyper


def outcome(update: Callable[..., None], seed: int) -> tuple[Any, list[bytes]]:
    lists, t, hyper = problem(seed)
    error = None
    try:
        update(*lists, t, hyper)
    except (TypeError, ValueError) as raised:
        error = (type(raised), str(raised))
    return error, [bits(*arrays) for arrays in lists]


def general(p: Arrays, g: Arrays, m: Arrays, v: Arrays, t: Any, hyper: dict[str, Any]) -> None:
    every = {"eps": 1e-8, "weight_decay": 0.0, "amsgrad": False, "maximize": False, **hyper}
    run_rule("adam", ac.Adam._rule, p, g, (m, v), {}, t, every)


def fast(p: Arrays, g: Arrays, m: Arrays, v: Arrays, t: Any, hyper: dict[str, Any]) -> None:
    functional.adam(p, g, m, v, t=t, **hyper)


@pytest.mark.parametrize("block", range(20 if EXHAUSTIVE else 4))
def test_one_call_does_what_the_general_path_does(block: int) -> None:
    errors = 0
    for seed in range(100 * block, 100 * block + 100):
        expected = outcome(general, seed)
        assert outcome(fast, seed) == expected, seed
        errors += expected[0] is not None
    assert 5 < errors < 95


@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("owned", [True, False])
def test_lists_that_share_memory_are_refused(count: int, owned: bool, unchanged: Callable[..., None]) -> None:
    def arrays() -> list[Any]:
        if owned:
            return [np.ones(6) for _ in range(count)]
        buffer = np.ones(6 * count)
        return [buffer[6 * i : 6 * i + 6] for i in range(count)]

    p, g, m, v = (arrays() for _ in range(4))
    functional.adam(p, [g[0]] * count, m, v, t=1)  # gradients are only read
    for bad, match in [
        ((p, g, m, [*v[:-1], m[0]]), rf"exp_avg_sq\[{count - 1}\]: shares memory with exp_avg\[0\]"),
        ((p, g, m, [*v[:-1], v[0]]), rf"exp_avg_sq\[{count - 1}\]: shares memory with exp_avg_sq\[0\]"),
        ((p, [*g[:-1], p[0]], m, v), rf"g\[{count - 1}\]: shares memory with p\[0\]"),
        ((p, [*g[:-1], v[1][:]], m, v), rf"g\[{count - 1}\]: shares memory with exp_avg_sq\[1\]"),
    ]:
        unchanged(ValueError, match, [*p, *g, *m, *v], lambda bad=bad: functional.adam(*bad, t=1))


def test_a_general_array_gets_the_same_bits() -> None:
    p, q, g, m, v, n, u = (np.full(9, x) for x in (1.0, 1.0, 0.3, 0.0, 0.0, 0.0, 0.0))
    for t in range(1, 30):
        functional.adam(p, g, m, v, t=t)
        functional.adam(q.view(General), g, n, u, t=t)
    assert bits(p, m, v) == bits(q, n, u)


def test_numbers_of_all_kinds() -> None:
    def updated(**options: Any) -> bytes:
        p, g, b = np.ones(3), np.full(3, 0.3), np.full(3, 0.1)
        functional.sgd(p, g, b, **options)
        return bits(p, b)

    expected = updated(t=2, lr=1.0, momentum=0.5, nesterov=True)
    for lr in (1, True, np.float32(1), np.float64(1), np.int64(1), np.array(1.0)):
        assert updated(t=2, lr=lr, momentum=0.5, nesterov=True) == expected
    for t in (np.int64(2), np.array(2), [2], (2,)):
        assert updated(t=t, lr=1.0, momentum=0.5, nesterov=True) == expected
    for nesterov in (1, np.True_):
        assert updated(t=2, lr=1.0, momentum=np.float32(0.5), nesterov=nesterov) == expected
