"""`upload` on the CPU: it checks its argument, and does nothing else. (tests/gpu/test_schedules.py is about CUDA.)"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac


def called(_: float) -> float:
    raise AssertionError


def make() -> ac.Optimizer:
    optimizer = ac.SGD(np.ones(3), lr=0.5)
    optimizer.param_groups[0]["lr"] = called
    return optimizer


@pytest.mark.parametrize("steps", [0, -1, 2**31, 2**70])
def test_other_ints_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"^SGD\.upload: steps must be an int >= 1 and < 2\*\*31, got {steps}$"):
        make().upload(steps)


@pytest.mark.parametrize("steps", [True, 2.0, "3", None])
def test_other_types_are_refused(steps: Any) -> None:
    with pytest.raises(TypeError, match=r"^SGD\.upload: steps must be an int >= 1"):
        make().upload(steps)


def test_nothing_is_evaluated() -> None:
    optimizer = make()
    optimizer.upload()
    optimizer.upload(steps=np.int64(5))
