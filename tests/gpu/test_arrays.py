"""What counts as a CUDA array, and what raises an error that names it, before anything has changed."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
import pytest
import torch

import adamcore as ac
from gpu.device import TORCH, Library, bits_of, everything
from reference import magnitudes
from storage import F16, F32


class Interface:
    """A producer that has the CUDA array interface and nothing else."""

    def __init__(self, array: Any, **changed: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "version": 3, **changed}


class Dlpack:
    """A producer that has DLPack and nothing else."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("producer", [Interface, Dlpack])
@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.5}], ids=str)
def test_any_producer(producer: Any, clip: dict[str, float], library: Library, rng: np.random.Generator) -> None:
    """As parameters and as gradients, strided ones too."""
    memory = magnitudes(rng, (30, 40)).astype(F32)
    grads = [magnitudes(rng, (40, 15)).astype(F32) for _ in range(3)]
    there = library.put(memory)
    here = memory.copy()
    cpu, gpu = ac.AdamW(here[::2].T, **clip), ac.AdamW(producer(library.transpose(there[::2], (1, 0))), **clip)
    for g in grads:
        infos = cpu.step(g), gpu.step(producer(library.put(g)))
        assert infos[0].grad_norm == infos[1].grad_norm
    assert bits_of(library.get(there)) == bits_of(here)
    assert gpu.steps["0"] == 3
    saved = gpu.state_dict()["state"]["0"]
    assert bits_of(saved["exp_avg"]) == bits_of(cpu.state["0"]["exp_avg"])


@pytest.mark.torch
def test_bfloat16_through_dlpack(rng: np.random.Generator) -> None:
    from storage import BF16

    p, g = magnitudes(rng, (300,)).astype(BF16), magnitudes(rng, (300,)).astype(BF16)
    there = TORCH.put(p)
    cpu, gpu = ac.AdamW(p), ac.AdamW(Dlpack(there))
    cpu.step(g)
    gpu.step(Dlpack(TORCH.put(g)))
    assert bits_of(TORCH.get(there)) == bits_of(p)


def refused(optimizer: ac.Optimizer, library: Library, error: Any, match: str, grads: Any, **options: Any) -> None:
    before = everything(optimizer, library.get)
    with pytest.raises(error, match=match):
        optimizer.step(grads, **options)
    assert everything(optimizer, library.get) == before


def test_mixed_arrays_are_named(library: Library) -> None:
    here, there = np.ones(3, F32), library.put(np.ones(3, F32))
    either = (TypeError, ValueError)
    for params in ({"a": here, "b": there}, {"a": there, "b": here}):
        with pytest.raises(either, match=r"params\['b'\]"):
            ac.AdamW(params)
    optimizer = ac.AdamW({"a": there, "b": library.put(np.ones(3, F32))})
    refused(optimizer, library, either, r"grads\['b'\]", {"a": there * 2, "b": here})
    with pytest.raises(either, match=r"param_groups\[1\]\['params'\]\['c'\]|\['c'\]"):
        optimizer.add_param_group({"params": {"c": here}})
    with pytest.raises(either, match=r"grads\['a'\]"):
        ac.AdamW({"a": here}).step({"a": there})
    with pytest.raises(either, match=r"grads\[1\]"):
        ac.global_norm([there, here])
    with pytest.raises(either, match="exp_avg"):
        ac.functional.adam(there, there * 1, np.zeros(3, F32), np.zeros(3, F32), t=1)
    assert bits_of(here) == bits_of(np.ones(3, F32))


def test_what_does_not_fit_is_named(library: Library) -> None:
    p = {"a": library.put(np.ones(5, F32)), "b": library.put(np.ones((2, 3), F32))}
    optimizer = ac.AdamW(p)
    good = {name: a * 1 for name, a in p.items()}
    refused(optimizer, library, ValueError, r"grads\['b'\].*shape", {**good, "b": good["a"]})
    refused(optimizer, library, TypeError, r"grads\['a'\].*dtype", {**good, "a": library.put(np.ones(5, np.int32))})
    refused(optimizer, library, ValueError, r"grads\['b'\]: shares memory with params\['b'\]", {**good, "b": p["b"]})
    refused(optimizer, library, (TypeError, ValueError), "loss_scale", good, loss_scale=-1.0)
    with pytest.raises(ValueError, match=r"params\[1\]: shares memory with params\[0\]"):
        ac.AdamW([p["a"], p["a"][1:]])
    with pytest.raises(TypeError, match=r"params\[0\].*dtype"):
        ac.AdamW([library.put(np.ones(5, np.int32))])
    with pytest.raises(TypeError, match=r"grads\['a'\]"):
        optimizer.step({**good, "a": [1.0] * 5})


def test_read_only_and_masked_interfaces() -> None:
    array = cupy.ones(8, F32)
    frozen = Interface(array, data=(array.data.ptr, True))
    with pytest.raises(ValueError, match=r"params\['p'\].*read-only"):
        ac.AdamW({"p": frozen})
    ac.AdamW(cupy.ones(8, F32)).step(frozen)  # a gradient is only read
    masked = Interface(array, mask=array)
    with pytest.raises((TypeError, ValueError), match=r"grads.*mask"):
        ac.AdamW(cupy.ones(8, F32)).step(masked)


def test_misaligned_addresses_are_refused() -> None:
    """A device cannot read a float at an odd address."""
    memory = cupy.zeros(64, np.uint8)
    crooked = Interface(memory, data=(memory.data.ptr + 1, False), typestr="<f4", shape=(8,), strides=None)
    with pytest.raises(ValueError, match=r"params\['p'\].*align"):
        ac.AdamW({"p": crooked})


def test_arrays_of_two_devices() -> None:
    """Where there is one device, only an array that claims to be on another."""

    class Elsewhere(Dlpack):
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 1)

    others: list[Any] = [Elsewhere(cupy.ones(3, F32))]
    if cupy.cuda.runtime.getDeviceCount() > 1:
        with cupy.cuda.Device(1):
            others.append(cupy.ones(3, F32))
    for other in others:
        with pytest.raises(ValueError, match=r"params\['b'\]: .* device 1"):
            ac.AdamW({"a": cupy.ones(3, F32), "b": other})
        optimizer = ac.AdamW(cupy.ones(3, F32))
        with pytest.raises(ValueError, match=r"grads: .* device 1"):
            optimizer.step(other)


def test_one_gradient_for_two_parameters(library: Library) -> None:
    p = [library.put(np.ones(30, F16)) for _ in range(2)]
    g = library.put(np.full(30, 0.5, F16))
    ac.SGD(p, lr=1.0).step([g, g])
    assert all(np.all(library.get(a) == 0.5) for a in p)


@pytest.mark.torch
def test_arrays_over_host_memory() -> None:
    """This is not about CuPy's pinned and managed memory. A tensor on the CPU is a CPU array, or raises an error."""
    tensor = torch.ones(3)
    with pytest.raises((TypeError, ValueError), match="grads"):
        ac.AdamW(cupy.ones(3, F32)).step(tensor)


def test_repr_and_param_groups_keep_the_arrays(library: Library) -> None:
    p = library.put(np.ones(3, F32))
    optimizer = ac.AdamW({"p": p})
    assert optimizer.param_groups[0]["params"][0] is p
    assert "AdamW" in repr(optimizer)
