"""What is computed for the device, on the host or there, equals what the CPU computes in an ordinary environment."""

from __future__ import annotations

import pytest

from environments import CALLS, NAMES, environment
from gpu.device import CUPY, with_one_nan


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_calls_compute_the_same(name: str, call: str) -> None:
    expected = CALLS[call](lambda a: a.copy(), with_one_nan)
    with environment(name):
        found = CALLS[call](CUPY.put, lambda a: with_one_nan(CUPY.get(a)))
    assert found == expected
