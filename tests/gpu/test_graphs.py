"""Steps captured into CUDA graphs: each replay is one more step, with the bits of an eager one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.captured import Captured
from gpu.device import Library, assert_same, bits_of, everything
from helpers import make
from reference import CASES, Case, magnitudes
from storage import BF16, F16, F32, Storage


def test_every_rule(case: Case, library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: make(case, p), F32, rng)
    pair.check()  # a capture is no step
    for _ in range(5):
        pair.again()
        pair.check()


@pytest.mark.parametrize(
    "storage",
    [
        Storage(F16, F16),
        Storage(BF16, BF16, "bfloat16", "remainder"),
        Storage(BF16, BF16, "bfloat16", "stochastic"),
        Storage(F16, F16, "float32", "compensated"),
    ],
    ids=str,
)
def test_storages(storage: Storage, library: Library, rng: np.random.Generator) -> None:
    """Stochastic rounding differs between replays, because its counter is the step count on the device."""
    pair = Captured(library, lambda p: make(CASES[3], p, precision=storage.precision), storage.param, rng)
    for _ in range(5):
        pair.again()
    pair.check()


@pytest.mark.parametrize(
    "options",
    [{"clip_norm": 0.7}, {"clip_norm_per_tensor": 0.3}, {"clip_adaptive": 0.01}, {"clip_value": 0.05}],
    ids=str,
)
def test_clipping(options: dict[str, Any], library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, **options), F32, rng)
    for _ in range(5):
        pair.again()
        pair.check()


def test_rates_that_change(library: Library, rng: np.random.Generator) -> None:
    """`upload` copies the values of the groups. Without it a replay uses the previous ones."""

    def build(params: list[Any]) -> ac.Optimizer:
        return ac.AdamW([{"params": params[:2]}, {"params": params[2:], "lr": 0.01, "weight_decay": 0.1}])

    pair = Captured(library, build, F32, rng)
    for k in range(6):
        for optimizer in (pair.cpu, pair.gpu):
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + k)
            optimizer.param_groups[1]["weight_decay"] = 0.01 * k
        pair.gpu.upload()
        pair.again()
        pair.check()
    pair.gpu.param_groups[0]["lr"] = 1e9
    pair.again()
    pair.check()


def test_schedules(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, lr=lambda step: 0.1 / (1 + step)), F32, rng)
    for _ in range(6):
        pair.gpu.upload()
        pair.again()
        pair.check()


def test_replays_that_are_skipped(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, nonfinite="skip", clip_norm=1.0), F32, rng)
    for k in range(8):
        pair.again(bad=k % 3 == 1)
        pair.check()
    assert pair.gpu.steps["0"] == pair.cpu.steps["0"] == 6


@pytest.mark.parametrize("dtype", [F32, F16], ids=str)
def test_a_scaler_in_a_graph(dtype: Any, library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, clip_norm=1.0), dtype, rng, scaled=True)
    for k in range(30):
        pair.again(bad=k % 7 == 3)
    assert pair.scalers[1].state_dict() == pair.scalers[0].state_dict()
    assert pair.scalers[1].scale != 1024.0
    pair.check()


def test_a_loss_multiplied_in_the_graph(library: Library, rng: np.random.Generator) -> None:
    """Scaling with `device_scale`, in the graph that steps, follows a scale that the replays change."""
    g = (magnitudes(rng, (500,)) * 1e9).astype(F32)
    p, q, there = np.ones(500, F32), library.put(np.ones(500, F32)), library.put(g)
    cpu, gpu = ac.AdamW(p), ac.AdamW(q)
    ours, theirs = (ac.LossScaler(2.0**100, growth_interval=4) for _ in range(2))
    scaled, scale = library.put(g), theirs.device_scale(gpu)

    def step() -> None:
        library.multiply(there, scale, scaled)
        gpu.step(scaled, loss_scale=theirs)

    step()
    replay = library.capture(step)
    for _ in range(60):
        replay()
    with np.errstate(over="ignore"):
        for _ in range(61):
            cpu.step(g * np.float32(ours.scale), loss_scale=ours)
    assert theirs.state_dict() == ours.state_dict()
    assert_same(everything(gpu, library.get), everything(cpu))


def test_eager_steps_between_replays(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, lr=lambda step: 0.1 / (1 + step)), F32, rng)
    for k in range(8):
        if k % 3 == 2:
            pair.write(pair.draw())
            pair.step_cpu()
            pair.step_gpu()
        else:
            pair.gpu.upload()
            pair.again()
        pair.check()


def test_checkpoints_amid_replays(library: Library, rng: np.random.Generator) -> None:
    """A replay continues from loaded state."""
    pair = Captured(library, ac.AdamW, F32, rng)
    pair.again()
    saved, weights = pair.cpu.state_dict(), [p.copy() for p in pair.cpu.param_groups[0]["params"]]
    pair.again()
    pair.gpu.load_state_dict(saved)
    pair.cpu.load_state_dict(saved)
    for p, q, w in zip(pair.cpu.param_groups[0]["params"], pair.gpu.param_groups[0]["params"], weights, strict=True):
        p[...] = w
        pair.library.write(q, w)
    pair.gpu.upload()
    pair.again()
    pair.check()


def test_several_steps_in_one_graph(library: Library, rng: np.random.Generator) -> None:
    p = magnitudes(rng, (5000,)).astype(F32)
    g = magnitudes(rng, (5000,)).astype(F32)
    cpu, gpu = ac.AdamW(here := p.copy(), clip_norm=0.5), ac.AdamW(there := library.put(p), clip_norm=0.5)
    grad = library.put(g)
    gpu.step(grad)

    def steps() -> None:
        for _ in range(3):
            gpu.step(grad)

    replay = library.capture(steps)
    for _ in range(2):
        replay()
    for _ in range(7):
        cpu.step(g)
    assert gpu.steps["0"] == 7
    assert bits_of(library.get(there)) == bits_of(here)
