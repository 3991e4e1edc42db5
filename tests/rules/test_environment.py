"""Nothing that adamcore computes depends on the floating-point environment of the calling thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from environments import CALLS, NAMES, environment

pytestmark = pytest.mark.skipif(not NAMES, reason="how to change the environment is known of x86-64 and AArch64")


def same(array: Any) -> Any:
    return array


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_calls_compute_the_same(name: str, call: str) -> None:
    expected = CALLS[call](same, same)
    with environment(name):
        found = CALLS[call](same, same)
    assert found == expected


def test_limits_are_compared_whatever_the_environment() -> None:
    with environment("flush"):
        ac.SGD(np.zeros(2), clip_norm=5e-324)
        with pytest.raises(ValueError, match="max_norm must be a number >= 0"):
            ac.clip_grad_norm_(np.zeros(2), -5e-324)
