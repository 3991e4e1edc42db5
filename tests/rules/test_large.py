"""More than 2^31 elements in one array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import adamcore as ac
from pairs import EXHAUSTIVE

SIZE = 2**31 + 2**29 + 1000
"""So large that, with several threads, some of them start beyond 31 bits."""

NEEDED = 13 << 30


def free_memory() -> int:
    """The memory that this process may still use: the system's free memory, limited by its cgroup."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) << 10
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


@pytest.mark.skipif(not EXHAUSTIVE, reason="ADAMCORE_EXHAUSTIVE asks for it: it takes 10 GiB of memory")
@pytest.mark.skipif(
    not Path("/proc/meminfo").exists() or free_memory() < NEEDED, reason="needs 13 GiB of free memory, on Linux"
)
@pytest.mark.parametrize("threads", [1, 4])
def test_more_elements_than_an_int_counts(threads: int) -> None:
    """float16 weights and gradients, 5 GiB each, with SGD, after a pass for the norm."""
    ac.set_num_threads(threads)
    p, g = np.empty(SIZE, np.float16), np.empty(SIZE, np.float16)
    p.fill(2.0)
    g.fill(0.25)
    places = [0, 1, 4095, SIZE // 2, 2**31 - 1, 2**31, 2**31 + 1, SIZE - 65, SIZE - 1]
    for k, place in enumerate(places):
        g[place] = 0.5 + k / 16
    optimizer = ac.SGD(p, lr=1.0, precision=ac.Precision(master=None), nonfinite="raise")
    info = optimizer.step(g)
    assert [float(p[place]) for place in places] == [1.5 - k / 16 for k in range(len(places))]
    for begin in range(0, SIZE, 1 << 20):  # pieces that caches hold
        piece = p[begin : begin + (1 << 20)]
        others = np.count_nonzero(piece.view(np.uint16) != np.float16(1.75).view(np.uint16))
        assert others == sum(begin <= place < begin + piece.size for place in places)
    squares = sum((0.5 + k / 16) ** 2 for k in range(len(places))) + (SIZE - len(places)) * 0.0625
    assert info.grad_norm == pytest.approx(squares**0.5, rel=1e-14)
    g[SIZE - 1] = np.inf
    with pytest.raises(ac.NonFiniteError):
        optimizer.step(g)
    assert float(p[2**31 + 500]) == 1.75
