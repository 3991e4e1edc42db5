"""Averages of weights on a device: the CPU's bits, whoever decides whether a step counts."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, TORCH, Library, Twins, assert_same, everything
from helpers import make
from pairs import products
from reference import CASES, Case
from storage import BF16, F16, F32, F64, Storage, combinations

SHAPES = [(1037,), (1,), (0,), (), (33, 5), (2, 3, 4), (9001,)]
KINDS: dict[str, Callable[[ac.Optimizer], Any]] = {
    "ema": lambda opt: ac.EMA(opt, 0.9),
    "ema, every 2": lambda opt: ac.EMA(opt, 0.75, warmup=False, every=2),
    "swa": lambda opt: ac.SWA(opt, start=2),
    "lookahead": lambda opt: ac.Lookahead(opt, k=2, alpha=0.25),
}
SOME = [CASES[0], CASES[3], CASES[7], CASES[12]]


def draw(rng: np.random.Generator, dtype: Any) -> list[np.ndarray]:
    return [np.array(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


def attach(twins: Twins, kind: str) -> tuple[Any, Any]:
    return KINDS[kind](twins.cpu), KINDS[kind](twins.gpu)


@products(case=CASES, kind=[*KINDS], dtype=[F32, F64, BF16])
def test_every_rule(case: Case, kind: str, dtype: Any, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: make(case, p), draw(rng, dtype))
    twins.check(twins.step(draw(rng, dtype)))
    cpu, gpu = attach(twins, kind)
    twins.check()
    for missing in (None, 4, None, None):
        grads: list[Any] = draw(rng, dtype)
        if missing:
            grads[missing] = None
        twins.check(twins.step(grads))
        assert gpu.count == cpu.count


@products(case=SOME, storage=combinations(), kind=[*KINDS])
def test_every_storage(case: Case, storage: Storage, kind: str, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: make(case, p, precision=storage.precision), draw(rng, storage.param))
    attach(twins, kind)
    for _ in range(3):
        twins.check(twins.step(draw(rng, storage.grad)))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_are_skipped_do_not_count(kind: str, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: ac.AdamW(p, nonfinite="skip", clip_norm=1.0), draw(rng, F32))
    cpu, gpu = attach(twins, kind)
    for bad in (False, True, True, False, False, True, False):
        grads = draw(rng, F32)
        if bad:
            grads[4][2, 3] = np.inf
        twins.check(twins.step(grads))
    assert gpu.count == cpu.count
    assert cpu.count > 0


def test_steps_that_are_stopped_count(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.Prodigy, draw(rng, F32))
    cpu, gpu = attach(twins, "ema")
    for factor in (0, 0, 1):
        twins.check(twins.step([g * np.float32(factor) for g in draw(rng, F32)]))
    assert gpu.count == cpu.count == 3


def test_a_scaler_on_the_device(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F16))
    attach(twins, "lookahead")
    scalers = ac.LossScaler(64.0, growth_interval=2), ac.LossScaler(64.0, growth_interval=2)
    for factor in (1, np.inf, 1, 1, np.inf, 1):
        with np.errstate(invalid="ignore"):
            grads = [g * np.float16(factor) for g in draw(rng, F16)]
        twins.check(twins.step(grads, scales=scalers))


@pytest.mark.parametrize("library", [CUPY, TORCH], ids=str)
@pytest.mark.parametrize("dtype", [F32, BF16, F16, F64], ids=str)
def test_swap(library: Library, dtype: Any, rng: np.random.Generator) -> None:
    twins = Twins(library, ac.AdamW, draw(rng, dtype))
    cpu, gpu = attach(twins, "ema")
    for _ in range(3):
        twins.check(twins.step(draw(rng, dtype)))
    before = everything(twins.gpu, library.get)

    def both() -> None:
        with cpu.swap(), gpu.swap():
            for mine, theirs in zip(
                twins.gpu.param_groups[0]["params"], twins.cpu.param_groups[0]["params"], strict=True
            ):
                assert library.get(mine).tobytes() == theirs.tobytes()
            with pytest.raises(RuntimeError, match="the parameters hold an average"):
                twins.gpu.step([twins.place(g) for g in draw(rng, dtype)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        both()
    assert_same(everything(twins.gpu, library.get), before)
    twins.check(twins.step(draw(rng, dtype)))


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_and_copied(kind: str, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    attach(twins, kind)
    for _ in range(3):
        twins.check(twins.step(draw(rng, F32)))
    other = Twins(CUPY, ac.AdamW, draw(rng, F32))
    attach(other, kind)
    other.step(draw(rng, F32))
    for mine, theirs in ((other.cpu, twins.cpu), (other.gpu, twins.gpu)):
        mine.load_state_dict(theirs.state_dict())
    for mine, theirs in zip(other.gpu.param_groups[0]["params"], twins.gpu.param_groups[0]["params"], strict=True):
        mine[...] = theirs
    for mine, theirs in zip(other.cpu.param_groups[0]["params"], twins.cpu.param_groups[0]["params"], strict=True):
        mine[...] = theirs
    copies = [copy.deepcopy(twins.gpu), pickle.loads(pickle.dumps(twins.gpu))]  # noqa: S301  (it is our own)
    for _ in range(3):
        grads = draw(rng, F32)
        twins.check(twins.step(grads))
        other.check(other.step(grads))
        for each in copies:
            each.step([twins.place(g) for g in grads])
    expected = everything(twins.gpu, CUPY.get)
    for each in (other.gpu, *copies):
        assert_same(everything(each, CUPY.get), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_other_arrays_and_more_groups(kind: str, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    attach(twins, kind)
    twins.check(twins.step(draw(rng, F32)))
    new = draw(rng, F32)
    twins.cpu.rebind([p.copy() for p in new])
    twins.gpu.rebind([twins.place(p) for p in new])
    twins.check(twins.step(draw(rng, F32)))
    more = rng.normal(size=50).astype(F32)
    twins.cpu.add_param_group({"params": [more.copy()], "lr": 0.1})
    twins.gpu.add_param_group({"params": [twins.place(more)], "lr": 0.1})
    for _ in range(3):
        twins.check(twins.step([*draw(rng, F32), rng.normal(size=50).astype(F32)]))


def test_statistics_and_windows(rng: np.random.Generator) -> None:
    """What statistics describe is the update, before Lookahead moves the weights."""
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    attach(twins, "lookahead")
    for _ in range(4):
        leaf, last = draw(rng, F32), draw(rng, F32)
        twins.cpu.accumulate(leaf)
        twins.gpu.accumulate([twins.place(g) for g in leaf])
        infos = twins.cpu.step(last, stats=True), twins.gpu.step([twins.place(g) for g in last], stats=True)
        twins.check(infos)
        np.testing.assert_equal(infos[1].stats.to_dict(), infos[0].stats.to_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_replays_go_on(kind: str, rng: np.random.Generator) -> None:
    twins = Twins(CUPY, lambda p: ac.AdamW(p, nonfinite="skip"), draw(rng, F32))
    cpu, gpu = attach(twins, kind)
    grads = draw(rng, F32)
    placed = [twins.place(g) for g in grads]
    twins.cpu.step(grads)
    twins.gpu.step(placed)
    replay = CUPY.capture(lambda: twins.gpu.step(placed))
    for bad in (False, True, False, False):
        grads = draw(rng, F32)
        if bad:
            grads[0][7] = np.nan
        for array, values in zip(placed, grads, strict=True):
            CUPY.write(array, values)
        cupy.cuda.Device().synchronize()
        replay()
        twins.cpu.step(grads)
        twins.check()
        assert gpu.count == cpu.count
    with pytest.raises(RuntimeError, match="averages of weights cannot be added after a step has been captured"):
        ac.EMA(twins.gpu, name="late")
    state = twins.cpu.state_dict()
    twins.gpu.load_state_dict(state)
    replay()
    twins.cpu.step(grads)
    twins.check()
    assert gpu.count == cpu.count


def test_swap_and_load_between_replays(rng: np.random.Generator) -> None:
    """Neither changes what the device has counted."""
    twins = Twins(CUPY, ac.AdamW, draw(rng, BF16))
    cpu, gpu = attach(twins, "lookahead")
    ema = ac.EMA(twins.cpu, 0.5), ac.EMA(twins.gpu, 0.5)
    grads = draw(rng, BF16)
    placed = [twins.place(g) for g in grads]
    twins.check((twins.cpu.step(grads), twins.gpu.step(placed)))
    replay = CUPY.capture(lambda: twins.gpu.step(placed))

    def replays(count: int) -> None:
        for _ in range(count):
            replay()
            twins.cpu.step(grads)
        twins.check()
        assert twins.gpu.completed == twins.cpu.completed
        assert (gpu.count, ema[1].count) == (cpu.count, ema[0].count)

    replays(3)
    with ema[0].swap(), ema[1].swap():
        pass
    replays(3)
    twins.gpu.upload()
    replays(2)
    twins.gpu.load_state_dict(twins.cpu.state_dict())
    replays(1)
    twins.check((twins.cpu.step(grads), twins.gpu.step(placed)))
    replays(4)


def test_a_capture_after_a_swap(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    cpu, gpu = attach(twins, "ema")
    grads = draw(rng, F32)
    placed = [twins.place(g) for g in grads]
    twins.check((twins.cpu.step(grads), twins.gpu.step(placed)))
    with cpu.swap(), gpu.swap():
        pass
    replay = CUPY.capture(lambda: twins.gpu.step(placed))
    replay()
    twins.cpu.step(grads)
    twins.check()


def test_a_capture_needs_a_step_with_the_average(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.AdamW, draw(rng, F32))
    placed = [twins.place(g) for g in draw(rng, F32)]
    twins.gpu.step(placed)
    ac.EMA(twins.gpu)
    with pytest.raises(RuntimeError, match="before the capture"):
        CUPY.capture(lambda: twins.gpu.step(placed))
