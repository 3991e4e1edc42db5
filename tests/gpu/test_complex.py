"""Complex arrays on the device are updated as on the CPU, as pairs of real numbers."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from gpu.device import bits_of
from gpu.test_arrays import Dlpack, Interface


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("producer", [lambda a: a, Interface, Dlpack])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5}, {"clip_adaptive": 0.1}], ids=str)
def test_steps_are_the_cpus(producer: Any, dtype: type, options: dict[str, float], rng: np.random.Generator) -> None:
    here = random(rng, (6, 5), dtype)
    there = cupy.asarray(here)
    cpu, gpu = ac.AdamW(here[::2].T, **options), ac.AdamW(producer(there[::2].T), **options)
    for _ in range(3):
        g = random(rng, (5, 3), dtype)
        cpu.step(g)
        gpu.step(producer(cupy.asarray(g)))
    assert bits_of(there.get()) == bits_of(here)
    saved, expected = gpu.state_dict()["state"]["0"], cpu.state["0"]
    for slot, array in expected.items():
        assert (saved[slot].dtype, saved[slot].shape) == (np.dtype(dtype), (5, 3))
        assert saved[slot].tolist() == array.tolist()
    shown = gpu.state["0"]["exp_avg"]
    assert (str(shown.dtype), tuple(shown.shape)) == (np.dtype(dtype).name, (5, 3))
    gpu.load_state_dict(cpu.state_dict())
    with pytest.raises(TypeError, match="grads: dtype float32 does not match params, which is complex"):
        gpu.step(producer(cupy.asarray(np.ones((5, 3), np.float32))))
    with pytest.raises(ValueError, match=r"grads: shape \(3, 5\) does not match params, which has shape \(5, 3\)"):
        gpu.step(producer(cupy.asarray(random(rng, (3, 5), dtype))))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_functions_are_the_cpus(dtype: type, rng: np.random.Generator) -> None:
    arrays = [random(rng, (7,), dtype), random(rng, (7,), dtype), *(np.zeros(7, dtype) for _ in range(2))]
    there = [cupy.asarray(a) for a in arrays]
    ac.functional.adam(*arrays, t=1)
    ac.functional.adam(*there, t=1)
    assert bits_of(there[0].get()) == bits_of(arrays[0])
    assert ac.global_norm([there[1]]) == ac.global_norm([arrays[1]])
    ac.clip_grad_norm_([arrays[1]], 0.5)
    ac.clip_grad_norm_([there[1]], 0.5)
    assert bits_of(there[1].get()) == bits_of(arrays[1])
