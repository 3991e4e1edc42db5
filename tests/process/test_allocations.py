"""A step allocates nothing after the first one. A preloaded library counts calls of operator new."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, os, sys
import numpy as np
import adamcore as ac

count = ctypes.CDLL(os.environ["LD_PRELOAD"]).fail_at
count.restype = ctypes.c_long
shapes = [(1000,), (7, 30), (5, 4, 6), (), (40_000,)] * 10
kinds = [{}, {"clip_norm": 1.0}, {"clip_norm_per_tensor": 1.0}, {"clip_adaptive": 0.1}, {"clip_value": 0.1},
         {"nonfinite": "skip"}]
for kind in kinds:
    for order in "CF":
        params = [np.zeros(s, np.float32, order=order) for s in shapes]
        grads = [[np.ones(s, np.float32, order=o) for s in shapes] for o in (order, order)]
        optimizer = ac.Adam(params, **kind)
        for g in grads:
            optimizer.step(g)
        count(0)
        for k in range(10):
            optimizer.step(grads[k % 2])
        print(kind, order, count(0))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD is Linux's")
def test_steps_do_not_allocate(failing_new: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "LD_PRELOAD": str(failing_new)},
        capture_output=True,
        text=True,
        check=True,
    )
    counted = done.stdout.splitlines()
    assert len(counted) == 12
    assert [line for line in counted if not line.endswith(" 0")] == []
