"""Hyper-parameters that decide what state there is change between steps, on the device as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import Library, Twins, assert_same, everything
from pairs import products
from reference import magnitudes
from storage import BF16, F32, F64

SHAPES = [(1037,), (1,), (0,), (), (33, 5)]
CHANGES = [
    ("SGD", {"dampening": 0.5}, "momentum", (0.0, 0.9, 0.0, 0.5, 0.9)),
    ("SGD", {"weight_decay": 0.25}, "momentum", (0.9, 0.0, 0.0, 0.5, 0.9)),
    ("RMSprop", {"momentum": 0.5}, "centered", (False, True, False, True, True)),
    ("RMSprop", {}, "momentum", (0.0, 0.9, 0.0, 0.5, 0.9)),
    ("AdamW", {}, "amsgrad", (False, True, False, True, True)),
]
GRADIENTS = [{}, {"clip_norm": 1.0}, {"nonfinite": "skip"}]
"""Whether the host or the device computes the constants of a step."""


def draw(rng: np.random.Generator, dtype: Any) -> list[np.ndarray]:
    return [np.array(magnitudes(rng, shape)).astype(dtype) for shape in SHAPES]


def write(twins: Twins, key: str, value: Any) -> None:
    for optimizer in (twins.cpu, twins.gpu):
        optimizer.param_groups[0][key] = value


@products(change=CHANGES, options=GRADIENTS, dtype=[F32, F64, BF16])
def test_bits_of_the_cpu(change: Any, options: Any, dtype: Any, library: Library, rng: np.random.Generator) -> None:
    name, fixed, key, values = change
    first = {key: values[0]}
    twins = Twins(library, lambda p: getattr(ac, name)(p, **fixed, **first, **options), draw(rng, dtype))
    for t, value in enumerate(values):
        write(twins, key, value)
        for missing in (t % 5, None):
            grads: list[Any] = draw(rng, dtype)
            if missing is not None:
                grads[missing] = None
            twins.check(twins.step(grads))
            if t == 1 and options.get("nonfinite"):
                grads[3] = np.full((), np.inf, dtype)
                assert twins.step(grads)[1].skipped
        saved = twins.cpu.state_dict()
        found = twins.gpu.state_dict()
        assert {n: set(s) for n, s in found["state"].items()} == {n: set(s) for n, s in saved["state"].items()}
        if t == 2:  # the CPU's checkpoint goes on on the device
            twins.gpu.load_state_dict(saved)
            twins.check()


@pytest.mark.parametrize("momenta", [(0.0, 0.9), (0.9, 0.0)])
def test_checkpoints_of_other_state_arrays(
    momenta: tuple[float, float], library: Library, rng: np.random.Generator
) -> None:
    made, written = momenta
    twins = Twins(library, lambda p: ac.SGD(p, lr=0.1, momentum=written, dampening=0.5), draw(rng, F32))
    twins.step([None, *draw(rng, F32)[1:]])
    params = [library.put(p) for p in twins.cpu.param_groups[0]["params"]]
    other = ac.SGD(params, lr=0.1, momentum=made, dampening=0.5)
    other.step([library.put(np.zeros(shape, np.float32)) for shape in SHAPES])
    for p, q in zip(params, twins.cpu.param_groups[0]["params"], strict=True):
        library.write(p, q)
    other.load_state_dict(twins.gpu.state_dict())
    twins.gpu = other
    twins.check()
    write(twins, "momentum", 0.5)
    for _ in range(2):
        twins.check(twins.step(draw(rng, F32)))


def test_a_step_that_raises_shows_no_new_state(library: Library, rng: np.random.Generator) -> None:
    twins = Twins(library, lambda p: ac.SGD(p, lr=0.1, dampening=0.5), draw(rng, F32))
    twins.step(draw(rng, F32))
    write(twins, "momentum", 0.9)
    before = everything(twins.gpu, library.get)
    with pytest.raises(ValueError, match=r"grads\[4\]"):
        twins.gpu.step([library.put(g) for g in [*draw(rng, F32)[:4], np.zeros(3, np.float32)]])
    assert_same(everything(twins.gpu, library.get), before)
    twins.check(twins.step(draw(rng, F32)))


def test_captured_steps_have_the_state_that_there_was(library: Library, rng: np.random.Generator) -> None:
    optimizer = ac.SGD([library.put(p) for p in draw(rng, F32)], lr=0.1)
    grads = [library.put(g) for g in draw(rng, F32)]
    optimizer.step(grads)
    optimizer.param_groups[0]["momentum"] = 0.9
    with pytest.raises(RuntimeError, match=r"cannot change while a step is captured .* before the capture"):
        library.capture(lambda: optimizer.step(grads))
    assert list(optimizer.state["0"]) == []
    optimizer.step(grads)
    replay = library.capture(lambda: optimizer.step(grads))
    replay()
    assert optimizer.steps["0"] == 3
    optimizer.param_groups[0]["momentum"] = 0.0
    with pytest.raises(RuntimeError, match="cannot change after a step has been captured"):
        optimizer.step(grads)
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.upload()
    replay()
    assert optimizer.steps["0"] == 4
