"""Views with any strides on the device: the CPU's bits, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, TORCH, Library, Twins, bits_of
from helpers import make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, F32
from views import OPTIONS, VIEWS

# torch has no negative strides.
OF_TORCH = ["whole", "transposed", "steps", "column", "block"]
LAYOUTS = [(CUPY, view) for view in VIEWS] + [(TORCH, view) for view in OF_TORCH]


class Strided:
    """The same view of the same memory on both sides."""

    def __init__(self, library: Library, view: str, memory: np.ndarray) -> None:
        self.library = library
        self.memory, self.there = memory, library.put(memory)
        self.cpu, self.gpu = VIEWS[view](self.memory), VIEWS[view](self.there)

    def check(self) -> None:
        """Check that all memory is the same, outside the view too."""
        assert bits_of(self.library.get(self.there)) == bits_of(self.memory)


@products(case=[CASES[5], CASES[8], CASES[12]], layout=LAYOUTS, options=OPTIONS)
def test_views(case: Case, layout: tuple[Library, str], options: str, rng: np.random.Generator) -> None:
    """Parameter and gradient strided, or only one of them."""
    library, view = layout
    dtype = BF16 if "precision" in OPTIONS[options] else F32
    param = Strided(library, view, magnitudes(rng, (61, 53)).astype(dtype))
    cpu, gpu = make(case, param.cpu, **OPTIONS[options]), make(case, param.gpu, **OPTIONS[options])
    dense = make(case, library.put(np.array(param.cpu)), **OPTIONS[options])
    for k in range(3):
        grad = Strided(library, view, magnitudes(rng, (61, 53)).astype(dtype))
        contiguous = library.put(np.array(grad.cpu))
        infos = cpu.step(grad.cpu), gpu.step(contiguous if k == 1 else grad.gpu), dense.step(grad.gpu)
        assert len({repr(info.grad_norm) for info in infos}) == 1
        grad.check()
        param.check()
        for slot, array in cpu.state["0"].items():
            assert bits_of(library.get(gpu.state["0"][slot])) == bits_of(array), slot
            assert bits_of(library.get(dense.state["0"][slot])) == bits_of(array), slot


@pytest.mark.parametrize(("library", "view"), LAYOUTS, ids=str)
def test_norms_and_clipping_of_views(library: Library, view: str, rng: np.random.Generator) -> None:
    grad = Strided(library, view, magnitudes(rng, (61, 53)).astype(F32))
    assert ac.global_norm(grad.gpu) == ac.global_norm(grad.cpu)
    assert ac.clip_grad_norm_(grad.gpu, 0.5) == ac.clip_grad_norm_(grad.cpu, 0.5)
    grad.check()
    ac.clip_grad_value_(grad.gpu, 1e-3)
    ac.clip_grad_value_(grad.cpu, 1e-3)
    grad.check()


@pytest.mark.parametrize(
    ("dtype", "options"),
    [(F32, {}), (F32, {"state": "bfloat16"}), (BF16, {}), (BF16, {"master": None, "rounding": "compensated"})],
    ids=str,
)
def test_tiles_of_which_the_head_leaves_little_or_nothing(dtype: np.dtype, options: dict[str, Any]) -> None:
    """Elements before the first aligned one are taken from the last tile."""
    rng = np.random.default_rng(3)
    sizes = [tiles * 2048 + rest for tiles in (1, 2, 4) for rest in (0, 1, 2, 3, 4, 7, 8)]
    for offset in (1, 2, 3, 5, 7):
        twins = Twins(
            CUPY,
            lambda p: ac.AdamW(p, lr=0.1, precision=ac.Precision(**options)),
            [magnitudes(rng, (size,)).astype(dtype) for size in sizes],
            lambda array, offset=offset: CUPY.shifted(array, offset),
        )
        for _ in range(2):
            twins.step([magnitudes(rng, (size,)).astype(dtype) for size in sizes])
        twins.check()


def test_broadcast_gradients(library: Library) -> None:
    row = np.arange(20, dtype=F32)
    p, q = np.ones((30, 20), F32), library.put(np.ones((30, 20), F32))
    ac.AdamW(p).step(np.broadcast_to(row, (30, 20)))
    ac.AdamW(q).step(library.broadcast(library.put(row), (30, 20)))
    assert bits_of(library.get(q)) == bits_of(p)


def test_interleaved_parameters(library: Library, rng: np.random.Generator) -> None:
    """Columns of one matrix are parameters that are interleaved and share nothing."""
    memory = magnitudes(rng, (40, 6)).astype(F32)
    there = library.put(memory)
    cpu, gpu = (ac.AdamW([m[:, k] for k in range(5)]) for m in (memory, there))
    for _ in range(2):
        grads = magnitudes(rng, (5, 40)).astype(F32)
        cpu.step(list(grads))
        gpu.step(list(library.put(grads)))
        assert bits_of(library.get(there)) == bits_of(memory)
    with pytest.raises(ValueError, match=r"params\[1\]: shares memory with params\[0\]"):
        ac.SGD([there[::2], there[::3]])


@pytest.mark.parametrize("order", [(2, 0, 1), (3, 1, 0, 2), (4, 0, 2, 1, 3)], ids=str)
def test_views_of_many_dimensions(library: Library, order: tuple[int, ...], rng: np.random.Generator) -> None:
    shape = (3, 4, 5, 2, 3)[: len(order)]

    def turned(array: np.ndarray) -> object:
        memory = np.ascontiguousarray(array.transpose(np.argsort(order)))
        return library.transpose(library.put(memory), order)

    twins = Twins(library, ac.AdamW, [magnitudes(rng, shape).astype(F32).transpose(order)], turned)
    for _ in range(3):
        twins.check(twins.step([magnitudes(rng, shape).astype(F32).transpose(order)]))
