"""A device that fails: calls raise errors, destroying objects is safe, and what was not started can be tried again."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from adamcore import _cuda

N = 300


def array(value: float = 1.0) -> Any:
    return cupy.asarray(np.full(N, value, np.float32))


def calls(opt: ac.Optimizer, g: Any, scaler: ac.LossScaler) -> dict[str, Callable[[], Any]]:
    return {
        "step": lambda: opt.step(g),
        "scaled step": lambda: opt.step(g, loss_scale=scaler),
        "steps": lambda: opt.steps["0"],
        "upload": lambda: opt.upload(),  # noqa: PLW0108  (there may be no optimizer yet)
        "scale": lambda: scaler.scale,
        "global_norm": lambda: ac.global_norm(g),
        "clip_grad_norm_": lambda: ac.clip_grad_norm_(g, 0.1),
        "clip_grad_value_": lambda: ac.clip_grad_value_(g, 0.1),
        "functional": lambda: ac.functional.sgd(g, array(), t=1),
        "add_param_group": lambda: opt.add_param_group({"params": {"b": array()}}),
        "another optimizer": lambda: ac.AdamW(array()),
    }


@pytest.mark.parametrize("call", calls(None, None, None))
def test_after_a_sticky_error_calls_raise_and_nothing_terminates(call: str) -> None:
    opt, g, scaler = ac.AdamW(array(), nonfinite="skip"), array(0.5), ac.LossScaler(1.0)
    info = opt.step(g)
    opt.step(g, loss_scale=scaler)
    cupy.cuda.Device().synchronize()
    made = calls(opt, g, scaler)[call]
    _cuda.inject_fault("any", 1, sticky=True)
    try:
        with pytest.raises(RuntimeError, match="CUDA"):
            made()
        with pytest.raises(RuntimeError, match="CUDA"):
            assert info.skipped is None
        del opt, info, scaler, made
        gc.collect()
    finally:
        _cuda.clear_faults()


def test_any_allocation_may_fail_when_an_optimizer_is_made_and_stepped() -> None:
    """A call that raised has changed nothing: the same call, repeated, gives the CPU's bits."""
    here = np.ones(N, np.float32)
    twin = ac.AdamW(here, clip_norm=0.5)
    for _ in range(2):
        twin.step(np.full(N, 0.5, np.float32))
    nth, has_failed = 0, True
    while has_failed:
        nth += 1
        p, g = array(), array(0.5)
        cupy.cuda.Device().synchronize()
        _cuda.inject_fault("allocate", nth)
        opt = insist(lambda p=p: ac.AdamW(p, clip_norm=0.5))
        for _ in range(2):
            insist(lambda opt=opt, g=g: opt.step(g))
        has_failed = _cuda.clear_faults()
        assert p.host.tobytes() == here.tobytes()
        assert opt.steps["0"] == 2
    assert nth > 3


def insist(call: Callable[[], Any]) -> Any:
    """Make a call, and make it again if it fails."""
    try:
        return call()
    except (RuntimeError, MemoryError):
        return call()
