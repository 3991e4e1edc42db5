"""More elements than an int can count, and more tensors than a launch has arguments."""

from __future__ import annotations

import math

import cupy
import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, SLOW, Library, Twins
from reference import magnitudes
from storage import BF16, F16, F32

LIMIT = 2**22 if SLOW else 2**31
SIZE = LIMIT + 1000
TENSORS = 2000 if SLOW else 10_000
PLACES = [0, 1, 4095, SIZE // 2, LIMIT - 1, LIMIT, LIMIT + 1, SIZE - 65, SIZE - 1]


def others(p: object) -> list[int]:
    """Count what differs from what the step makes of most elements, piece by piece."""
    pieces = range(0, SIZE, 1 << 28)
    return [int(cupy.count_nonzero(p[begin : begin + (1 << 28)] != np.float16(1.75))) for begin in pieces]


def test_more_elements_than_an_int_counts() -> None:
    """float16 weights and gradients, 4 GiB each, with SGD, after a pass for the norm."""
    p, g = cupy.full(SIZE, 2.0, F16), cupy.full(SIZE, 0.25, F16)
    for k, place in enumerate(PLACES):
        g[place] = 0.5 + k / 16
    optimizer = ac.SGD(p, lr=1.0, precision=ac.Precision(master=None), nonfinite="skip")
    info = optimizer.step(g)
    assert not info.skipped
    assert [float(p[place]) for place in PLACES] == [1.5 - k / 16 for k in range(len(PLACES))]
    pieces = range(0, SIZE, 1 << 28)
    assert others(p) == [sum(begin <= place < begin + (1 << 28) for place in PLACES) for begin in pieces]
    squares = sum((0.5 + k / 16) ** 2 for k in range(len(PLACES))) + (SIZE - len(PLACES)) * 0.0625
    assert info.grad_norm == pytest.approx(math.sqrt(squares), rel=1e-14)
    before = [float(p[place]) for place in PLACES]
    g[SIZE - 1] = np.inf
    assert optimizer.step(g).skipped
    assert [float(p[place]) for place in PLACES] == before
    assert float(p[LIMIT + 500]) == 1.75


def test_large_strides() -> None:
    """Every other element of an array whose offsets do not fit into 32 bits."""
    memory, g = cupy.full(SIZE, 2.0, F16), cupy.full(SIZE // 2, 0.25, F16)
    g[-1] = 0.5
    optimizer = ac.SGD(memory[::2], lr=1.0, precision=ac.Precision(master=None))
    optimizer.step(g)
    assert int(cupy.count_nonzero(memory[1::2] != 2)) == 0
    assert int(cupy.count_nonzero(memory[::2] != np.float16(1.75))) == 1
    assert float(memory[SIZE - 2]) == 1.5


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1.0}, {"clip_norm_per_tensor": 0.1}], ids=str)
def test_thousands_of_tensors(library: Library, options: dict[str, float], rng: np.random.Generator) -> None:
    sizes = [i % 37 + (20_000 if i % 1000 == 0 else 0) for i in range(TENSORS)]
    everything = magnitudes(rng, (sum(sizes),)).astype(F32)
    params = np.split(everything, np.cumsum(sizes)[:-1])
    twins = Twins(library, lambda p: ac.AdamW(p, **options), params)
    for scale in (1.0, -0.5):
        grads = [p * np.float32(scale) for p in params]
        infos = twins.step(list(grads))
        assert repr(infos[0].grad_norm) == repr(infos[1].grad_norm)
    twins.check()


def test_a_thousand_groups(rng: np.random.Generator) -> None:
    """Each group has its own learning rate and step counts."""
    params = [magnitudes(rng, (i % 50 + 1,)).astype(BF16) for i in range(1000)]

    def build(arrays: list[object]) -> ac.Optimizer:
        return ac.AdamW([{"params": [a], "lr": 1e-3 * (1 + k % 17)} for k, a in enumerate(arrays)])

    twins = Twins(CUPY, build, params)
    for t in range(5):
        grads = [p * BF16.type(0.5) if k % (t + 1) == 0 else None for k, p in enumerate(params)]
        twins.step(grads)
    twins.check()
