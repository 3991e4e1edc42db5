"""Steps, replays, loss scales and checkpoints run one after the other, whatever streams they are queued on."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from adamcore import _cuda

N = 300


def array(value: float = 1.0) -> Any:
    return cupy.asarray(np.full(N, value, np.float32))


class Foreign:
    """An array of a library without a current stream."""

    def __init__(self, values: Any) -> None:
        self.values, self.dtype = values, values.dtype
        self.__cuda_array_interface__ = {**values.__cuda_array_interface__, "version": 3, "stream": None}


@pytest.fixture(params=range(10))
def _order(request: pytest.FixtureRequest) -> None:
    cupy.cuda.Device().synchronize()
    _cuda.set_schedule("lazy" if request.param == 0 else "random", request.param)


def streams(count: int = 2) -> list[Any]:
    """Streams that find what has been made so far."""
    cupy.cuda.Device().synchronize()
    return [cupy.cuda.Stream(non_blocking=True) for _ in range(count)]


@pytest.mark.usefixtures("_order")
def test_a_checkpoint_of_a_foreign_array_is_of_one_step() -> None:
    """Its steps use the default stream. Results are read with CuPy, on CuPy's current stream."""
    p, g = array(), array(0.5)
    here, twin = np.ones(N, np.float32), ac.AdamW(np.ones(N, np.float32))
    opt = ac.AdamW(Foreign(p))
    for _ in range(3):
        opt.step(Foreign(g))
        twin.step(np.full_like(here, 0.5))
        with streams()[0]:
            saved = opt.state_dict()
        assert saved["state"]["0"]["step"] == twin.steps["0"]
        assert saved["state"]["0"]["exp_avg"].tobytes() == twin.state["0"]["exp_avg"].tobytes()


@pytest.mark.usefixtures("_order")
def test_what_is_loaded_comes_before_the_next_step() -> None:
    p, g = array(), array(0.5)
    twin = ac.AdamW(np.ones(N, np.float32))
    opt = ac.AdamW(Foreign(p))
    cupy.cuda.Device().synchronize()
    saved = opt.state_dict()
    for _ in range(2):
        opt.step(Foreign(g))
        with streams()[0]:
            opt.load_state_dict(saved)
    opt.step(Foreign(g))
    twin.step(np.full(N, 0.5, np.float32))
    assert opt.state["0"]["exp_avg"].host.tobytes() == twin.state["0"]["exp_avg"].tobytes()


@pytest.mark.usefixtures("_order")
def test_a_scale_that_is_loaded_comes_between_replays() -> None:
    opt, scaler, g = ac.SGD(array(), lr=0.5), ac.LossScaler(1024.0, growth_interval=2), array()
    first, second = streams()
    with first:
        opt.step(g, loss_scale=scaler)
        first.begin_capture()
        opt.step(g, loss_scale=scaler)
        graph = first.end_capture()
        graph.launch(first)
        assert scaler.state_dict()["clean_steps"] == 0  # two steps: it has grown
        assert scaler.scale == 2048.0
        saved = {**scaler.state_dict(), "scale": 16.0}
    for _ in range(3):
        with second:
            scaler.load_state_dict(saved)
        graph.launch(first)
        graph.launch(first)
        with second:
            assert scaler.scale == 32.0


@pytest.mark.usefixtures("_order")
def test_a_scale_goes_from_one_optimizer_to_the_next() -> None:
    scaler, g, arrays = ac.LossScaler(4.0, growth_interval=1), array(), [array() for _ in range(6)]
    optimizer = None
    for k, stream in enumerate(streams() * 3):
        optimizer = None  # the one before is gone, and its step may not have been done yet
        optimizer = ac.SGD(arrays[k])
        with stream:
            optimizer.step(g, loss_scale=scaler)
    assert scaler.scale == 4.0 * 2**6


def test_writing_a_scale_in_a_capture_is_refused_and_spoils_nothing() -> None:
    opt, scaler, g = ac.SGD(array()), ac.LossScaler(4.0), array()
    (stream,) = streams(1)
    with stream:
        opt.step(g, loss_scale=scaler)
        stream.begin_capture()
        with pytest.raises(RuntimeError, match=r"LossScaler: .* captured"):
            scaler.load_state_dict(ac.LossScaler(8.0).state_dict())
        opt.step(g, loss_scale=scaler)
        graph = stream.end_capture()
        graph.launch(stream)
    assert opt.steps["0"] == 2


def test_a_schedule_may_ask_for_counts() -> None:
    seen = []
    opt = ac.SGD(array())
    opt.param_groups[0]["lr"] = lambda step: seen.append((step, opt.steps["0"])) or 0.1
    for _ in range(3):
        opt.step(array())
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_the_rule_stays_when_a_step_has_been_captured() -> None:
    opt, g = ac.SGD(array(), momentum=0.9), array()
    (stream,) = streams(1)
    with stream:
        opt.step(g)
        stream.begin_capture()
        opt.step(g)
        graph = stream.end_capture()
        opt.param_groups[0]["nesterov"] = True
        with pytest.raises(RuntimeError, match="make another optimizer"):
            opt.upload()
        opt.param_groups[0]["nesterov"] = False
        opt.upload()
        graph.launch(stream)
    assert opt.steps["0"] == 2
