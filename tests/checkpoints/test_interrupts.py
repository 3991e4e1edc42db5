"""Interrupts while something is saved or loaded: the old file or the new one, everything loaded or nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from files import whole
from interruptions import interrupt_everywhere

# Python itself closes a file that it has just opened, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MOST = 120


def make(value: float) -> tuple[np.ndarray, ac.Optimizer]:
    w = np.full(9, value)
    optimizer = ac.Adam({"w": w})
    optimizer.step({"w": np.full(9, value)})
    return w, optimizer


@pytest.mark.parametrize("background", [False, True])
def test_save(tmp_path: Path, background: bool) -> None:
    path = tmp_path / "run"
    _, optimizer = make(1.0)
    _, other = make(2.0)
    _, target = make(3.0)
    versions = iter(range(10_000))
    seen: list[int] = []

    def save(version: int) -> None:
        handle = ac.save(path, optimizer, extra=version, other=other, background=background)
        if handle is not None:
            handle.wait()

    def prepare() -> Callable[[], Any]:
        seen.append(next(versions))
        return partial(save, seen[-1])

    def check() -> None:
        found = ac.load(path, target, strict=False)
        assert found in seen[-2:] or found == seen[0]
        if not background:
            assert [each.name for each in tmp_path.iterdir()] == ["run"]
        assert whole(target) == whole(optimizer)
        seen[:] = [found]
        for each in (optimizer, other):
            each.step({"w": np.ones(9)})
        ac.save(path, optimizer, extra=found)

    assert interrupt_everywhere(prepare, check, MOST) > MOST // 2


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "run"
    w, optimizer = make(1.0)
    _, other = make(2.0)
    array, scaler = np.arange(3.0), ac.LossScaler(4.0)
    ac.save(path, optimizer, other=other, array=array, scaler=scaler)

    def everything() -> Any:
        return whole(optimizer), whole(other), array.tolist(), scaler.state_dict()

    loaded = everything()
    changed: list[Any] = []

    def prepare() -> Callable[[], Any]:
        optimizer.step({"w": np.cos(w)})
        other.step({"w": np.ones(9)})
        other.param_groups[0]["lr"] = 0.5
        array[:] += 1
        scaler.scale = 8.0 if scaler.scale == 16.0 else 16.0
        changed[:] = [everything()]
        return partial(ac.load, path, optimizer, other=other, array=array, scaler=scaler)

    def check() -> None:
        assert everything() in (loaded, changed[0])

    assert interrupt_everywhere(prepare, check, MOST) > MOST // 2


def test_swap() -> None:
    """The weights are where they were, whenever the interrupt comes."""
    w, optimizer = make(1.0)
    ema = ac.EMA(optimizer, decay=0.5)
    optimizer.step({"w": np.ones(9)})
    before = w.copy()

    def swap() -> None:
        with ema.swap():
            optimizer.options["clip_norm"]

    def prepare() -> Callable[[], Any]:
        return swap

    def check() -> None:
        assert np.array_equal(w, before)
        optimizer.state_dict()

    assert interrupt_everywhere(prepare, check, 1000) > 3


def test_modes_of_schedule_free() -> None:
    w = np.linspace(-1, 1, 9)
    optimizer = ac.ScheduleFreeAdamW({"w": w})
    for _ in range(3):
        optimizer.step({"w": np.cos(w)})
    optimizer.eval()
    average = w.copy()
    optimizer.train()
    points = w.copy()

    def prepare() -> Callable[[], Any]:
        optimizer.train()
        return optimizer.eval

    def check() -> None:
        assert np.allclose(w, points if optimizer.mode == "train" else average, rtol=1e-12)

    assert not np.allclose(points, average)
    assert interrupt_everywhere(prepare, check, 1000) > 10
