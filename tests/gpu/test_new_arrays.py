"""Gradients in other arrays in each step, as backpropagation makes them: held against what the last ones were like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import pytest
import torch

import adamcore as ac
from gpu.device import CUPY, TORCH, Library, bits_of, everything
from reference import magnitudes
from storage import F16, F32, F64

SHAPES = [(30, 20), (65,), (), (0, 3), (1, 7)]
WARM = 4
"""Steps after which a gradient that is passed each time is recognised."""

FORMS: dict[str, Callable[[Library, np.ndarray], Any]] = {
    "dense": lambda library, g: library.put(g),
    "transposed": lambda library, g: library.transpose(library.put(g.T.copy()), tuple(range(g.ndim))[::-1]),
    "shifted": lambda library, g: library.shifted(g, 3),
    "float64": lambda library, g: library.put(g.astype(F64)),
    "float16": lambda library, g: library.put(g.astype(F16)),
}


@pytest.mark.parametrize("form", [*FORMS, "one after another", "torch and CuPy in turn"])
def test_new_arrays_in_each_step(form: str, library: Library, rng: np.random.Generator) -> None:
    here = [np.array(magnitudes(rng, shape), F32) for shape in SHAPES]
    params = [library.put(p) for p in here]
    cpu, gpu = ac.AdamW(here), ac.AdamW(params)
    makes = list(FORMS.values())
    for t in range(8):
        make = FORMS.get(form, makes[t % len(makes)])
        values: list[Any] = [np.array(magnitudes(rng, shape), F16).astype(F32) for shape in SHAPES]
        of = (CUPY, TORCH)[t % 2] if form == "torch and CuPy in turn" else library
        grads = [make(of, g) for g in values]
        if t == 4:
            values[1] = grads[1] = None
        cpu.step(values)
        gpu.step(grads)
    assert everything(gpu, library.get) == everything(cpu)
    assert gpu.steps == cpu.steps


def test_the_same_arrays_and_then_others(library: Library) -> None:
    p, g = library.put(np.zeros(50, F32)), library.put(np.ones(50, F32))
    opt = ac.SGD({"p": p}, lr=1.0)
    for _ in range(WARM):
        opt.step({"p": g})
    library.write(g, np.full(50, 2, F32))
    opt.step({"p": g})
    opt.step({"p": library.put(np.full(50, 3, F32))})
    opt.step({"p": None})
    opt.step({"p": g})
    assert bits_of(library.get(p)) == bits_of(np.full(50, -WARM - 7, F32))


def unfit_tensors() -> list[tuple[Any, type[Exception], str]]:
    return [
        (torch.ones(8), TypeError, "not on a CUDA device"),
        (torch._neg_view(torch.ones(8, device="cuda")), ValueError, "negatives of its elements"),
    ]


@pytest.mark.parametrize("warm", [0, WARM], ids=["first", "later"])
@pytest.mark.parametrize("anew", [False, True], ids=["the same", "new"])
def test_unfit_arrays_are_refused_by_name(anew: bool, warm: int, library: Library) -> None:
    whole = library.put(np.zeros(64, F32))
    params = {"p": whole[8:16], "q": library.put(np.zeros(8, F32))}
    opt = ac.SGD(params, lr=1.0, momentum=0.9)
    good = library.put(np.ones(8, F32))
    for _ in range(warm):
        opt.step(dict.fromkeys("pq", good * 1 if anew else good))
    before = everything(opt, library.get)
    for bad, error, match in (
        (params["p"], ValueError, "shares memory with"),
        (whole[1:9], ValueError, "shares memory with"),
        (whole[15:23], ValueError, "shares memory with"),
        (opt.state["q"]["momentum_buffer"], ValueError, "shares memory with"),
        (library.put(np.ones(9, F32)), ValueError, r"shape \(9,\) does not match"),
        (library.put(np.ones(8, np.int32)), TypeError, "dtype int32"),
        (np.ones(8, F32), TypeError, "not on a CUDA device|expected a CUDA array"),
        *(unfit_tensors() if library is TORCH else ()),
    ):
        for _ in range(2):
            with pytest.raises(error, match=rf"^grads\['q'\]: .*({match})"):
                opt.step({"p": good * 1 if anew else good, "q": bad})
    assert everything(opt, library.get) == before
    for fit in (whole[:8], whole[16:24], good):
        opt.step({"p": good, "q": fit})


def test_a_negative_torch_view_of_the_last_gradient() -> None:
    p, g = torch.zeros(30, device="cuda"), torch.ones(30, device="cuda")
    opt = ac.SGD([p], lr=1.0)
    for _ in range(WARM):
        opt.step([g])
    with pytest.raises(ValueError, match=r"^grads\[0\]: .*negatives of its elements"):
        opt.step([torch._neg_view(g)])
    opt.step([g])
    assert bits_of(TORCH.get(p)) == bits_of(np.full(30, -WARM - 1, F32))


def test_streams_are_asked_once_in_a_step(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    params = [library.put(np.zeros(5, F32)) for _ in range(20)]
    opt = ac.SGD(params, lr=1.0)
    grads = [[library.put(np.ones(5, F32)) for _ in params] for _ in range(3)]
    opt.step(grads[0])
    asked = []
    functions = [(cupy.cuda, "get_current_stream"), *([(torch.cuda, "current_stream")] if library is TORCH else [])]
    for module, name in functions:
        real = getattr(module, name)

        def ask(*arguments: Any, real: Any = real) -> Any:
            asked.append(arguments)
            return real(*arguments)

        monkeypatch.setattr(module, name, ask)
    for new in grads[1:]:
        asked.clear()
        opt.step(new)
        assert len(asked) <= 1
