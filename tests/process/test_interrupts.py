"""Signals at any moment: an interrupted call has done everything, or has changed nothing."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timers"),
    # A signal may come while somebody's finalizer runs.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TRIES = int(os.environ.get("ADAMCORE_INTERRUPTIONS", "60"))
N = 1500


class Interruption(BaseException):
    """Raised by the handler."""


@pytest.fixture(autouse=True)
def _handler(without_collections: None) -> Iterator[None]:
    del without_collections

    def interrupt(*_: object) -> None:
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupted(call: Callable[[], Any], seconds: float) -> bool:
    """Call, and interrupt the call after that time. Return whether it was interrupted."""
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
        call()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Interruption:
        return True
    return False


def moments(make: Callable[[], Callable[[], Any]]) -> Iterator[tuple[float, Callable[[], Any]]]:
    """Moments during a call and shortly after, with what is to be called; the call's time is measured as it goes."""
    chance = random.Random(7)  # noqa: S311
    took = 1e-3
    for _ in range(TRIES):
        call = make()
        begin = time.perf_counter()
        yield took * chance.uniform(0.0, 1.3), call
        took = 0.8 * took + 0.2 * min(max(time.perf_counter() - begin, 1e-4), 1.0)


def arrays(value: float = 0.0) -> dict[str, np.ndarray]:
    return {f"p{i}": np.full(20, value, np.float32) for i in range(N)}


def plateau(observed: int) -> schedules.ReduceOnPlateau:
    one = schedules.ReduceOnPlateau(0.5, patience=0)
    for step in range(observed):
        one.observe(1.0, step=step)
    return one


def test_load_state_dict() -> None:
    params = arrays()
    old = ac.Adam(params, lr=0.125, weight_decay=plateau(2))
    old.step(arrays(1.0))
    saved = old.state_dict()
    optimizers: list[ac.Optimizer] = []

    def make() -> Callable[[], None]:
        optimizers[:] = [ac.Adam(params, lr=0.5, weight_decay=plateau(0))]
        return lambda: optimizers[0].load_state_dict(saved)

    hits = 0
    for seconds, call in moments(make):
        hits += interrupted(call, seconds)
        opt = optimizers[0]
        done = opt.steps["p0"]
        assert set(opt.steps.values()) == {done}
        assert opt.param_groups[0]["lr"] == (0.125 if done else 0.5)
        assert all(opt.state[name]["exp_avg"][7] == (np.float32(0.1) if done else 0) for name in ("p0", f"p{N - 1}"))
        assert opt.state_dict()["completed"] == done
        assert opt.param_groups[0]["weight_decay"](5) == (0.05 if done else 0.5), "what was observed comes along"
    assert hits > TRIES / 20


def test_add_param_group() -> None:
    more = {f"q{i}": np.zeros(1, np.float32) for i in range(N)}
    optimizers: list[ac.Optimizer] = []

    def make() -> Callable[[], None]:
        optimizers[:] = [ac.SGD({"w": np.zeros(3, np.float32)}, lr=1.0)]
        return lambda: optimizers[0].add_param_group({"params": more})

    hits = 0
    for seconds, call in moments(make):
        hits += interrupted(call, seconds)
        opt = optimizers[0]
        added = len(opt.param_groups) - 1
        assert len(opt.steps) == len(opt.state) == 1 + added * N
        grads = {"w": np.ones(3, np.float32), **dict.fromkeys(more if added else ())}
        opt.step(grads)
        assert opt.param_groups[0]["params"][0][0] == -1
        if not added:
            opt.add_param_group({"params": more})
            assert len(opt.steps) == 1 + N
    assert hits > TRIES / 20


def test_rebind() -> None:
    opt = ac.SGD(arrays(), lr=1.0, momentum=1.0)
    grads, hits = arrays(1.0), 0
    opt.step(grads)

    def rebind() -> None:
        opt.rebind({name: a.copy() for name, a in zip(opt.steps, opt.param_groups[0]["params"], strict=True)})

    for seconds, call in moments(lambda: rebind):
        hits += interrupted(call, seconds)
        found = opt.param_groups[0]["params"]
        assert len({float(a[0]) for a in found}) == 1
        before = float(found[0][0])
        opt.step(grads)
        assert all(a is b for a, b in zip(opt.param_groups[0]["params"], found, strict=True))
        assert {float(a[0]) for a in found} == {before - float(opt.state["p0"]["momentum_buffer"][0])}
    assert hits > TRIES / 20


def test_state_dict() -> None:
    params = arrays()
    opt = ac.Adam(params)
    grads = arrays(1.0)
    opt.step(grads)
    expected = opt.state_dict()
    hits = 0
    for seconds, call in moments(lambda: opt.state_dict):
        hits += interrupted(call, seconds)
    found = opt.state_dict()
    assert hits > TRIES / 20
    assert found["param_groups"] == expected["param_groups"]
    for name, slots in expected["state"].items():
        assert all(np.array_equal(found["state"][name][slot], value) for slot, value in slots.items())
    opt.step(grads)
    assert set(opt.steps.values()) == {2}


def test_step() -> None:
    """All parameters have been updated as often as their counts say."""
    params = arrays()
    opt = ac.SGD(params, lr=1.0)
    grads = {name: np.ones(20, np.float32)[::-1] for name in params}  # walked in another order: looked at one by one
    for seconds, call in moments(lambda: lambda: opt.step(grads)):
        interrupted(call, seconds)
        done = set(opt.steps.values())
        assert len(done) == 1
        assert {-float(p[0]) for p in params.values()} == {float(*done)}
