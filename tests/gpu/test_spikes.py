"""`SpikeGuard` on a device: the CPU's decisions, bits and history."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, Library, Twins
from reference import magnitudes
from spikes import noise, with_spikes
from storage import BF16, F16, F32

SHAPES = [(300,), (70, 60), (), (0, 3)]
SPIKES = {20: 60.0, 21: 60.0, 22: 60.0, 23: 60.0, 40: 1e3}


def guards_of(twins: Twins) -> tuple[ac.SpikeGuard, ac.SpikeGuard]:
    return twins.cpu.options["clip_norm"], twins.gpu.options["clip_norm"]


def gradients(rng: np.random.Generator, norm: float, dtype: Any = F32) -> list[np.ndarray]:
    wide = [np.asarray(rng.standard_normal(s)) for s in SHAPES]
    size = math.sqrt(sum(float(np.sum(g**2)) for g in wide))
    return [np.asarray(g * (norm / size)).astype(dtype) for g in wide]


@pytest.mark.parametrize("action", ["clip", "skip"])
@pytest.mark.parametrize("look", ["each step", "at the end"])
def test_decisions_and_bits(action: Any, look: str, library: Library, rng: np.random.Generator) -> None:
    def build(params: Any) -> ac.Optimizer:
        guard = ac.SpikeGuard(window=24, action=action)
        rate = ac.schedules.Linear(1e-2, 1e-4, steps=50)
        groups = [{"params": params[:2]}, {"params": params[2:], "maximize": True}]
        return ac.AdamW(groups, lr=rate, clip_norm=guard, nonfinite="skip")

    twins = Twins(library, build, [np.asarray(magnitudes(rng, s), F32) for s in SHAPES])
    infos = []
    for i, norm in enumerate(with_spikes(noise(60), SPIKES)):
        grads: list[Any] = gradients(rng, norm)
        if i % 7 == 3:
            grads[0] = None
        if i in (10, 21, 50):
            grads[1][3, 4] = (math.inf, math.nan)[i % 2]
        infos.append(twins.step(grads))
        if look == "each step":
            assert infos[-1][1] == infos[-1][0] or i in (10, 21, 50)
            cpu, gpu = guards_of(twins)
            assert (gpu.limit, gpu.history) == (cpu.limit, cpu.history)
    assert [repr(gpu) for _, gpu in infos] == [repr(cpu) for cpu, _ in infos]
    assert [i for i, (_, gpu) in enumerate(infos) if gpu.spike] == [20, 22, 23, 40]
    assert [gpu.skipped for _, gpu in infos].count(True) == 3 + (4 if action == "skip" else 0)
    cpu, gpu = guards_of(twins)
    assert gpu.to_dict() == cpu.to_dict()
    assert twins.gpu.state_dict()["guards"] == twins.cpu.state_dict()["guards"]
    assert twins.gpu.completed == twins.cpu.completed
    twins.check()


@pytest.mark.parametrize("dtype", [F16, BF16], ids=str)
@pytest.mark.parametrize("case", ["LAMB", "Prodigy", "Adafactor"])
def test_with_scalers_half_precision_and_passes(dtype: Any, case: str, rng: np.random.Generator) -> None:
    def build(params: Any) -> ac.Optimizer:
        return getattr(ac, case)(params, clip_norm=ac.SpikeGuard(window=16, action="skip", max_skips=1))

    twins = Twins(CUPY, build, [np.asarray(magnitudes(rng, s)).astype(dtype) for s in SHAPES])
    scalers = [ac.LossScaler(4.0, growth_interval=4) for _ in range(2)]
    infos = []
    for i, norm in enumerate(with_spikes(noise(30), {18: 100.0, 19: 100.0, 25: 100.0})):
        grads = gradients(rng, norm * scalers[0].scale, dtype)
        if i == 22:
            grads[0][5] = math.inf
        infos.append(twins.step(grads, scales=(scalers[0], scalers[1])))
    assert [repr(gpu) for _, gpu in infos] == [repr(cpu) for cpu, _ in infos]
    assert {i for i, (_, gpu) in enumerate(infos) if gpu.skipped} >= {18, 22, 25}
    assert scalers[1].state_dict() == scalers[0].state_dict()
    twins.check()


def test_many_tensors(rng: np.random.Generator) -> None:
    """So many that their norms are examined by several blocks."""
    twins = Twins(CUPY, lambda p: ac.SGD(p, lr=0.1, clip_norm=ac.SpikeGuard(window=4)), [np.ones(3, F32)] * 600)
    for i in range(8):
        grads = [rng.standard_normal(3).astype(F32) * (50 if i == 6 else 1) for _ in range(600)]
        infos = twins.step(grads)
        assert infos[1].spike == infos[0].spike == (i == 6)
        twins.check(infos)


def test_checkpoints_and_copies(library: Library, rng: np.random.Generator) -> None:
    """What a guard remembers goes from the device to the CPU and back, the step that is under way included."""

    def build(params: Any) -> ac.Optimizer:
        return ac.AdamW(params, clip_norm=ac.SpikeGuard(window=16))

    twins = Twins(library, build, [np.ones(s, F32) for s in SHAPES])
    for norm in noise(20):
        twins.step(gradients(rng, norm))
    cpu, gpu = guards_of(twins)
    saved = twins.gpu.state_dict()
    twins.step(gradients(rng, 1.0))
    twins.cpu.load_state_dict(saved)
    twins.gpu.load_state_dict(saved)
    assert gpu.history == cpu.history == tuple(saved["guards"]["clip_norm"]["state"]["norms"])
    twins.step(gradients(rng, 1.0))
    assert copy.deepcopy(gpu).history == cpu.history
    twins.step(gradients(rng, 1.0))
    twins.gpu.rebind([library.put(np.ones(s, F32)) for s in SHAPES])
    assert gpu.history == cpu.history
    twins.step(gradients(rng, 1.0))
    assert gpu.history == cpu.history


def test_raise_is_for_gradients_that_are_not_finite(library: Library) -> None:
    optimizer = ac.SGD(library.put(np.zeros(2)), clip_norm=ac.SpikeGuard(window=2, action="skip"), nonfinite="raise")
    for _ in range(2):
        optimizer.step(library.put(np.ones(2)))
    assert optimizer.step(library.put(np.full(2, 1e3))).spike
    with pytest.raises(ac.NonFiniteError, match="there are values that are not finite"):
        optimizer.step(library.put(np.array([1.0, math.nan])))


def test_a_guard_cannot_be_captured(library: Library) -> None:
    param, grad = library.put(np.zeros(2)), library.put(np.ones(2))
    optimizer = ac.SGD(param, clip_norm=ac.SpikeGuard())
    optimizer.step(grad)
    with pytest.raises(RuntimeError, match="a step with a SpikeGuard cannot be captured into a CUDA graph"):
        library.capture(lambda: optimizer.step(grad))
    optimizer.step(grad)
    assert optimizer.completed == 2
