"""What can be captured, and what raises an error, according to the emulation's log."""

from __future__ import annotations

from typing import Any

import cupy
import pytest

import adamcore as ac
from emulated.logs import arrays, copies, log_of


@pytest.fixture
def grads() -> list[Any]:
    return arrays()


def test_a_capture_without_a_step_before_it_is_refused(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    stream = cupy.cuda.Stream()
    with stream:
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="run a step with gradients of these"):
            opt.step(grads)
        stream.end_capture()


def test_a_capture_waits_for_steps_that_read_other_rates(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    stream = cupy.cuda.Stream()
    with stream:
        opt.step(grads)
        opt.param_groups[0]["lr"] = 0.25
        stream.begin_capture()
        log = log_of(lambda: opt.step(grads))
        stream.end_capture()
    waited = next(i for i, entry in enumerate(log) if entry.startswith("wait for"))
    assert any(entry.startswith("copy of") for entry in log[waited:])


def test_a_scaler_that_comes_with_a_capture_is_refused(grads: list[Any]) -> None:
    """Each replay would reset it to its initial value."""
    opt, scaler = ac.AdamW(arrays(), nonfinite="skip"), ac.LossScaler(1024.0)
    stream = cupy.cuda.Stream()
    with stream:
        opt.step(grads)
        stream.begin_capture()
        with pytest.raises(RuntimeError, match="captured"):
            opt.step(grads, loss_scale=scaler)
        stream.end_capture()
    assert scaler.scale == 1024.0
    opt.step(grads, loss_scale=scaler)
    assert scaler.state_dict()["clean_steps"] == 1


def test_a_schedule_and_a_scaler_can_be_captured(grads: list[Any]) -> None:
    """Only the device knows the step count then, and it is not read."""
    opt, scaler = ac.AdamW(arrays(), lr=lambda step: 0.1 / (1 + step)), ac.LossScaler()
    stream = cupy.cuda.Stream()
    with stream:
        opt.step(grads, loss_scale=scaler)
        stream.begin_capture()
        log = log_of(lambda: opt.step(grads, loss_scale=scaler))
        graph = stream.end_capture()
        assert not [entry for entry in copies(log) if "host" in entry]
        opt.upload()
        graph.launch()
    assert opt.steps["0"] == 2


def test_groups_cannot_be_added_after_a_capture(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    stream = cupy.cuda.Stream()
    with stream:
        opt.step(grads)
        stream.begin_capture()
        opt.step(grads)
        graph = stream.end_capture()
        with pytest.raises(RuntimeError, match="make another optimizer"):
            opt.add_param_group({"params": {"c": arrays(1)[0]}})
        graph.launch()
        opt.step(grads)
    assert dict(opt.steps) == dict.fromkeys("012", 3)
