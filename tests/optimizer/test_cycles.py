"""The garbage collector sees what an optimizer refers to, so nothing stays forever."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules


class Param(np.ndarray):
    """An array that can have attributes."""


def make() -> Param:
    return np.zeros(1000, np.float32).view(Param)


def hook() -> Param:
    p = make()
    p.opt = ac.AdamW(p)
    p.opt.step(np.ones(1000, np.float32))
    return p


def hook_in_a_container() -> Param:
    p = make()
    params = {"w": p}
    p.opt = ac.AdamW([{"params": params}])
    params["opt"] = p.opt
    return p


def schedule() -> Param:
    p = make()

    class Schedule:
        opt: Any = None

        def __call__(self, step: int) -> float:  # noqa: ARG002
            return 0.1

    rate = Schedule()
    rate.opt = ac.SGD(p, lr=rate)
    p.rate = rate
    return p


class Holding(schedules.Schedule):
    """A schedule that refers to an optimizer."""

    def __init__(self, holder: list[Any]) -> None:
        self.holder = holder

    def __call__(self, t: Any) -> Any:  # noqa: ARG002
        return 0.1


def nested_schedule() -> Param:
    """The optimizer is held by a part of a schedule, which native code calls."""
    p = make()
    holder: list[Any] = []
    nested = schedules.Warmup(2 * Holding(holder), steps=3)
    opt = ac.AdamW(p, lr=nested, betas=(nested, 0.999))
    opt.step(np.ones(1000, np.float32))
    holder.append(opt)
    return p


def lender() -> Param:
    """The parameter is another library's array, which holds the optimizer."""
    p = make()

    class Lender:
        opt: Any = None

        def __dlpack__(self, **options: Any) -> Any:
            return np.asarray(p).__dlpack__(**{**options, "max_version": (1, 0)})

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    lent = Lender()
    lent.opt = ac.SGD(lent, lr=0.1)
    lent.opt.step(np.ones(1000, np.float32))
    p.lent = lent
    return p


@pytest.mark.parametrize("cycle", [hook, hook_in_a_container, schedule, nested_schedule, lender])
def test_a_cycle_through_a_parameter_is_collected(cycle: Callable[[], Param]) -> None:
    seen = weakref.ref(cycle())
    gc.collect()
    gc.collect()
    assert seen() is None


def test_an_optimizer_that_is_used_when_it_is_collected() -> None:
    """Its own finalizer runs first. Code that still has the native part then finds it empty."""
    kept: list[Any] = []

    class Last:
        def __init__(self, core: Any) -> None:
            self.core = core

        def __del__(self) -> None:
            kept.append((len(self.core), self.core.completed))

    p = make()
    p.opt = ac.SGD(p, lr=0.1)
    p.last = Last(p.opt._native)
    seen = weakref.ref(p)
    del p
    gc.collect()
    gc.collect()
    assert seen() is None
    assert kept == [(1, 0)]
