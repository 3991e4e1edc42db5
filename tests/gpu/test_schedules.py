"""Schedules in captured steps: `upload` brings their next values, and each replay takes those of its clock."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from adamcore.schedules import Cosine, Linear
from gpu.captured import Captured
from gpu.device import CUPY, Library, spin
from storage import F32, F64


def rate(t: float) -> float:
    return 0.1 / (1 + t)


def beta(t: float) -> float:
    return 0.5 + 0.4 * math.sin(t)


def decay(t: float) -> float:
    return 0.01 * (t % 3)


def adamw(params: list[Any]) -> ac.Optimizer:
    """Two groups that share one schedule and have others of their own."""
    first: dict[str, Any] = {"params": params[:2], "betas": (beta, 0.99), "eps": Linear(1e-8, 1e-6, steps=15)}
    second: dict[str, Any] = {"params": params[2:], "betas": (0.9, beta), "weight_decay": decay}
    return ac.AdamW([first, second], lr=rate)


def told(optimizer: ac.Optimizer) -> list[str]:
    """What a look at `completed` warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert isinstance(optimizer.completed, int)
    assert all(each.category is RuntimeWarning and each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


def stopped(schedule: Callable[[float], float], last: int) -> Callable[[float], float]:
    return lambda t: schedule(min(t, last))


@pytest.mark.parametrize("dtype", [F32, (F32, F64, F64, F32, F32)], ids=["one dtype", "two dtypes"])
def test_replays_across_windows(dtype: Any, library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, adamw, dtype, rng)
    for steps in (4, 1, 9, 3):
        pair.gpu.upload(steps)
        for _ in range(steps):
            pair.again()
        pair.check()
    pair.gpu.upload()
    for _ in range(5):
        pair.again()
    pair.check()
    assert told(pair.gpu) == []


def test_every_number_of_sgd(library: Library, rng: np.random.Generator) -> None:
    """The captured step begins the momentum, because nothing was updated before."""

    def build(params: list[Any]) -> ac.Optimizer:
        return ac.SGD(
            params, lr=Cosine(0.1, 0.01, steps=5), momentum=beta, dampening=lambda t: 0.1 / (1 + t), weight_decay=decay
        )

    pair = Captured(library, build, F32, rng)
    pair.gpu.upload(6)
    for _ in range(6):
        pair.again()
        pair.check()


def test_skipped_steps_in_a_window(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, adamw, F32, rng, scaled=True)
    pair.gpu.upload(8)
    for k in range(12):
        pair.again(bad=k % 3 == 1)
        pair.check()
    assert told(pair.gpu) == []
    assert pair.gpu.completed == pair.cpu.completed == 9


def test_replays_beyond_the_last_value(library: Library, rng: np.random.Generator) -> None:
    """They use it again, and each stretch of them is told once."""
    pair = Captured(library, lambda p: ac.AdamW(p, lr=rate, betas=(beta, 0.99)), F32, rng)
    pair.gpu.upload(3)
    for k in range(6):
        if k == 3:
            pair.cpu.param_groups[0].update(lr=stopped(rate, 3), betas=(stopped(beta, 3), 0.99))
        pair.again()
    pair.check()
    (text,) = told(pair.gpu)
    assert text.startswith("AdamW: 3 captured steps came after the last uploaded values of the schedules of ")
    assert "betas[0] and lr" in text
    assert "upload()" in text
    pair.again()
    assert told(pair.gpu) == []  # the same stretch

    pair.cpu.param_groups[0].update(lr=rate, betas=(beta, 0.99))
    for last in (8, 10):  # nobody looks between them
        pair.gpu.upload(1)
        pair.again()
        pair.cpu.param_groups[0].update(lr=stopped(rate, last), betas=(stopped(beta, last), 0.99))
        pair.again()
        pair.cpu.param_groups[0].update(lr=rate, betas=(beta, 0.99))
    pair.gpu.upload(2)
    pair.again()
    pair.check()
    (text,) = told(pair.gpu)
    assert text.startswith("AdamW: 2 captured steps came")
    assert told(pair.gpu) == []


def test_without_an_upload_replays_keep_the_values_of_the_capture(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, lr=rate), F32, rng)
    pair.again()
    pair.check()
    assert told(pair.gpu) == []
    pair.cpu.param_groups[0]["lr"] = stopped(rate, 1)
    pair.again()
    pair.check()
    (text,) = told(pair.gpu)
    assert text.startswith("AdamW: 1 captured step came after the last uploaded values of schedules")


def test_a_schedule_of_many_groups_is_called_once_for_each_value(library: Library, rng: np.random.Generator) -> None:
    calls: list[float] = []

    def called(t: float) -> float:
        calls.append(t)
        return rate(t)

    start = [rng.standard_normal(3).astype(F32) for _ in range(300)]
    here, there = [x.copy() for x in start], [library.put(x) for x in start]
    cpu = ac.SGD([{"params": [x]} for x in here], lr=rate)
    gpu = ac.SGD([{"params": [x]} for x in there], lr=called)
    grads = [library.put(x) for x in start]
    gpu.step(grads)
    replay = library.capture(lambda: gpu.step(grads))
    calls.clear()
    gpu.upload(5)
    assert calls.count(5) == 1
    assert len(calls) <= 6
    for _ in range(3):
        replay()
    for _ in range(4):
        cpu.step(start)
    for x, y in zip(here, there, strict=True):
        assert x.tobytes() == library.get(y).tobytes()


def test_uploads_while_replays_are_queued_cupy(rng: np.random.Generator) -> None:
    """They replace values that the replays before them have not read yet."""
    pair = Captured(CUPY, adamw, F32, rng)
    side = cupy.cuda.Stream(non_blocking=True)
    pair.write(pair.draw())
    cupy.cuda.Device().synchronize()
    spin(5)
    pair.gpu.upload(8)
    for _ in range(8):
        pair.replay()
    with side:
        pair.gpu.upload(300)
        for _ in range(4):
            pair.replay()
    for _ in range(12):
        pair.step_cpu()
    pair.check()


def test_two_graphs_share_the_values(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, adamw, F32, rng)
    pair.gpu.upload(20)
    pair.again()
    first, second = pair.replay, library.capture(pair.step_gpu)
    for k in range(6):
        pair.replay = second if k % 2 else first
        pair.again()
    pair.check()


def test_steps_between_replays(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, adamw, F32, rng)
    pair.gpu.upload(20)
    for k in range(9):
        if k % 3 == 2:
            pair.write(pair.draw())
            pair.step_cpu()
            pair.step_gpu()
        else:
            pair.again()
        pair.check()


def test_numbers_take_the_place_of_schedules_and_back(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, lr=0.1), F32, rng)
    for lr in (rate, 0.05, 0.05, rate, stopped(rate, 2)):
        for optimizer in (pair.cpu, pair.gpu):
            optimizer.param_groups[0]["lr"] = lr
        pair.gpu.upload(4)
        for _ in range(3):
            pair.again()
        pair.check()
    assert told(pair.gpu) == []


def test_a_value_that_needs_another_rule_is_refused(library: Library, rng: np.random.Generator) -> None:
    def momentum(t: float) -> float:
        return 0.9 if t < 5 else 0.0

    def build(params: list[Any]) -> ac.Optimizer:
        return ac.SGD([{"params": params[:2]}, {"params": params[2:], "momentum": momentum}], lr=rate, momentum=0.5)

    pair = Captured(library, build, F32, rng)
    pair.gpu.upload(4)
    pair.again()
    with pytest.raises(ValueError, match=r"momentum.*") as error:
        pair.gpu.upload(4)
    assert "param_groups[1]" in str(error.value)
    assert "5" in str(error.value)
    for _ in range(3):
        pair.again()  # with the values of before
    pair.check()
    assert told(pair.gpu) == []


def test_a_value_out_of_range_is_refused(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, lr=lambda t: 0.1 * (5 - t)), F32, rng)
    pair.gpu.upload(5)
    pair.again()
    with pytest.raises(ValueError, match=r"AdamW: lr must be a finite number >= 0, got -0\.1"):
        pair.gpu.upload(5)
    for _ in range(3):
        pair.again()
    pair.check()


def test_loaded_counts_move_the_window(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, adamw, F32, rng)
    pair.gpu.upload(20)
    pair.again()
    saved, weights = pair.cpu.state_dict(), [p.copy() for g in pair.cpu.param_groups for p in g["params"]]
    for _ in range(4):
        pair.again()
    for optimizer in (pair.cpu, pair.gpu):
        optimizer.load_state_dict(saved)
    for optimizer, write in ((pair.cpu, np.copyto), (pair.gpu, library.write)):
        for p, w in zip((p for g in optimizer.param_groups for p in g["params"]), weights, strict=True):
            write(p, w)
    for _ in range(4):
        pair.again()
    pair.check()
    assert told(pair.gpu) == []


def test_a_capture_brings_schedules_that_are_newer_than_the_upload(library: Library, rng: np.random.Generator) -> None:
    start, g = rng.standard_normal(50).astype(F32), rng.standard_normal(50).astype(F32)
    here, there = [start.copy(), start.copy()], [library.put(start), library.put(start)]
    cpu, gpu = ac.AdamW(here[0], lr=rate, betas=(beta, 0.99)), ac.AdamW(there[0], lr=rate, betas=(beta, 0.99))
    grad = library.put(g)
    gpu.step(grad)
    cpu.step(g)
    gpu.upload(20)
    for optimizer, param in ((cpu, here[1]), (gpu, there[1])):
        optimizer.add_param_group({"params": param, "lr": 0.25})
    gpu.step([grad, grad])
    replay = library.capture(lambda: gpu.step([grad, grad]))
    for _ in range(3):
        replay()
    for _ in range(4):
        cpu.step([g, g])
    assert [library.get(x).tobytes() for x in there] == [x.tobytes() for x in here]
    assert told(gpu) == []


def test_a_capture_brings_numbers_in_place_of_schedules(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, lambda p: ac.AdamW(p, lr=rate), F32, rng)
    pair.gpu.upload(20)
    pair.again()
    for optimizer in (pair.cpu, pair.gpu):
        optimizer.param_groups[0]["lr"] = 0.25
    pair.replay = library.capture(pair.step_gpu)
    pair.again()
    pair.again()
    pair.check()
    assert told(pair.gpu) == []


def test_other_arrays_go_on_with_the_values(library: Library, rng: np.random.Generator) -> None:
    pair = Captured(library, adamw, F32, rng)
    pair.gpu.upload(20)
    pair.again()
    moved = [library.put(library.get(p)) for g in pair.gpu.param_groups for p in g["params"]]
    pair.gpu.rebind([{"params": moved[:2]}, {"params": moved[2:]}])
    pair.write(pair.draw())
    pair.step_cpu()
    pair.step_gpu()
    pair.replay = library.capture(pair.step_gpu)
    for _ in range(4):
        pair.again()
    pair.check()
    assert told(pair.gpu) == []
