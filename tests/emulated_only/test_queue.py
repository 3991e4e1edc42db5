"""What an optimizer queues on a device, and what it waits for, according to the emulation's log."""

from __future__ import annotations

import multiprocessing
from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from adamcore import _cuda
from emulated.logs import N, arrays, copies, kernels, log_of, overtakes, reads
from lenders import CUDA, Lender


@pytest.fixture
def grads() -> list[Any]:
    return arrays()


def test_a_step_is_one_launch_and_uploads_nothing(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    opt.step(grads)
    log = log_of(lambda: opt.step(grads))
    assert kernels(log) == 1
    assert not copies(log)
    assert not reads(log)
    assert overtakes(lambda: opt.step(grads))
    assert not overtakes(opt.param_groups[0]["params"][0].get)


def test_new_gradients_are_one_small_copy(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    opt.step(grads)
    log = log_of(lambda: opt.step(arrays()))
    assert copies(log) == ["copy of 28 bytes on stream 1"]


def test_a_changed_rate_goes_with_the_launch(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    opt.step(grads)
    opt.param_groups[0]["lr"] = 0.25
    log = log_of(lambda: opt.step(grads))
    assert kernels(log) == 1
    assert not copies(log)


def test_a_changed_rate_of_a_measured_step_is_one_copy(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays(), clip_norm=1.0)
    opt.step(grads)
    opt.param_groups[0]["lr"] = 0.25
    assert len(copies(log_of(lambda: opt.step(grads)))) == 1
    assert not copies(log_of(lambda: opt.step(grads)))


@pytest.mark.parametrize(
    ("options", "launches"), [({"clip_norm": 1.0}, 3), ({"clip_adaptive": 0.1}, 4), ({"nonfinite": "skip"}, 3)]
)
def test_measuring_waits_for_nothing(options: dict[str, Any], launches: int, grads: list[Any]) -> None:
    opt = ac.AdamW(arrays(), **options)
    opt.step(grads)
    log = log_of(lambda: opt.step(grads))
    assert kernels(log) == launches
    assert not copies(log)
    assert not reads(log)
    infos = []
    assert overtakes(lambda: infos.append(opt.step(grads)))
    assert overtakes(lambda: infos[0].skipped)  # waits for its step, and for nothing that comes after it
    info = opt.step(grads)
    log = log_of(lambda: info.skipped)
    assert copies(log) == [next(entry for entry in log if entry.startswith("copy to the host"))]
    assert "wait for the device" not in log


def test_a_scaler_waits_for_nothing(grads: list[Any]) -> None:
    opt, scaler = ac.AdamW(arrays()), ac.LossScaler()

    def steps() -> None:
        for _ in range(3):
            opt.step(grads, loss_scale=scaler)
            scaler.device_scale(opt)

    steps()
    assert not reads(log_of(steps))
    assert overtakes(steps)
    log = log_of(lambda: scaler.scale)
    assert len(copies(log)) == 1
    assert reads(log)
    assert "wait for the device" not in log


def test_a_count_is_one_copy_to_the_host(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays(), nonfinite="skip")
    opt.step(grads)
    log = log_of(lambda: opt.steps["0"])
    assert len(copies(log)) == 1
    assert "wait for the device" not in log


def test_ten_thousand_tensors_in_groups_are_one_launch() -> None:
    params = [cupy.asarray(np.ones(16, np.float32)) for _ in range(10_000)]
    grads = [cupy.asarray(np.ones(16, np.float32)) for _ in range(10_000)]
    groups = [{"params": params[i::50], "lr": 0.001 * i} for i in range(50)]
    opt = ac.AdamW(groups)
    opt.step(grads)
    log = log_of(lambda: opt.step(grads))
    assert kernels(log) == 2
    assert not copies(log)
    assert not reads(log)
    assert overtakes(lambda: opt.step(grads))


def test_another_stream_waits_for_the_last_step(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    opt.step(grads)
    stream = cupy.cuda.Stream()
    with stream:
        log = log_of(lambda: opt.step(grads))
    held = next(i for i, entry in enumerate(log) if entry.startswith("hold") and entry.endswith(f" {stream.ptr}"))
    launched = next(i for i, entry in enumerate(log) if entry.startswith("kernel"))
    assert held < launched
    assert all(entry.endswith(f" {stream.ptr}") for entry in log if entry.startswith("kernel"))


class OnStream:
    """A producer that names its stream."""

    def __init__(self, array: Any, stream: int | None) -> None:
        self.array, self.dtype = array, array.dtype
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "stream": stream}


@pytest.mark.parametrize("stream", [cupy.cuda.Stream.ptds, cupy.cuda.Stream(non_blocking=True)], ids=["2", "own"])
def test_gradients_of_another_stream_are_ordered_both_ways(stream: Any) -> None:
    stream = stream.ptr
    opt = ac.SGD(cupy.asarray(np.ones(N, np.float32)), lr=0.5)
    grad = OnStream(cupy.asarray(np.ones(N, np.float32)), stream)
    log = log_of(lambda: opt.step(grad))
    first = next(i for i, entry in enumerate(log) if entry.startswith("kernel"))
    last = max(i for i, entry in enumerate(log) if entry.startswith("kernel"))
    assert any(e.startswith("record") and e.endswith(f"stream {stream}") for e in log[:first])
    assert any(e.startswith("hold") and e.endswith("stream 1") for e in log[:first])
    assert any(e.startswith("hold") and e.endswith(f"stream {stream}") for e in log[last:])


def test_dlpack_is_told_the_stream() -> None:
    host = cupy.asarray(np.ones(N, np.float32))
    lender = Lender(host.host, device=(CUDA, 0))
    opt = ac.SGD(cupy.asarray(np.ones(N, np.float32)), lr=0.5)
    stream = cupy.cuda.Stream()
    with stream:
        opt.step(lender)
    assert lender.calls[-1]["stream"] == stream.ptr


def test_a_missing_gradient_splits_counts_and_changes_no_bits() -> None:
    params, twins = arrays(), [p.host.copy() for p in arrays()]
    opt, twin = ac.Adam(params), ac.Adam(twins)
    grads = arrays()
    for missing in ((), (1,), (), (0, 2), (1,)):
        given = [None if i in missing else g for i, g in enumerate(grads)]
        opt.step(given)
        twin.step([None if g is None else g.host for g in given])
        assert dict(opt.steps) == dict(twin.steps)
        assert [p.host.tobytes() for p in params] == [p.tobytes() for p in twins]


def test_parameters_on_another_device_than_the_current_one(grads: list[Any]) -> None:
    with cupy.cuda.Device(1):
        params = arrays()
    with pytest.raises(ValueError, match=r"grads\[0\]: the array is on CUDA device 0, .* are on device 1"):
        ac.AdamW(params).step(grads)
    with cupy.cuda.Device(1):
        there = arrays()
    opt = ac.AdamW(params)
    opt.step(there)
    assert all(array.data.device_id == 1 for array in opt.state["0"].values())
    with pytest.raises(ValueError, match=r"params\[1\]: the array is on CUDA device 0, .* on device 1"):
        ac.AdamW([params[0], grads[0]])


def _step(opt: ac.Optimizer, grads: list[Any], queue: Any) -> None:
    try:
        opt.step(grads)
    except RuntimeError as error:
        queue.put(str(error))


def test_a_forked_child_is_told(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    opt.step(grads)
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    child = fork.Process(target=_step, args=(opt, grads, queue))
    child.start()
    assert "cannot be used after fork" in queue.get(timeout=30)
    child.join()


def test_memory_is_given_back(grads: list[Any]) -> None:
    _cuda.synchronize()  # memory goes back in the order of streams
    before = _cuda.live_allocations()
    opt = ac.AdamW(arrays(), clip_norm=1.0)
    infos = [opt.step(grads) for _ in range(600)]
    assert all(info.grad_norm == infos[0].grad_norm for info in infos)
    del opt, infos
    _cuda.synchronize()
    assert _cuda.live_allocations() == before
    assert ac.global_norm(grads) > 0
    _cuda.synchronize()
    assert _cuda.live_allocations() == before


def test_the_first_step_waits_for_the_stream_that_made_the_state(grads: list[Any]) -> None:
    made = cupy.cuda.Stream()
    with made:
        opt = ac.AdamW(arrays())
    log = log_of(lambda: opt.step(grads))
    launched = next(i for i, entry in enumerate(log) if entry.startswith("kernel"))
    assert any(entry.startswith("hold") and entry.endswith("stream 1") for entry in log[:launched])


def test_loaded_state_is_ordered_both_ways(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays())
    saved = opt.state_dict()
    opt.step(grads)
    stream = cupy.cuda.Stream()
    with stream:
        log = log_of(lambda: opt.load_state_dict(saved))
    assert next(e for e in log if e[:4] in ("hold", "copy")) == next(e for e in log if e.startswith("hold"))
    assert any(entry.startswith("hold") and entry.endswith("stream 1") for entry in log_of(lambda: opt.step(grads)))


def test_a_group_without_parameters_keeps_counts(grads: list[Any]) -> None:
    params, twins = arrays(), [p.host.copy() for p in arrays()]
    opt, twin = ac.Adam(params), ac.Adam(twins)
    for k in range(3):
        opt.step(grads)
        twin.step([g.host for g in grads])
        if k == 0:
            for each in (opt, twin):
                each.add_param_group({"params": []})
    assert dict(opt.steps) == dict(twin.steps)
    assert opt.state_dict()["completed"] == 3
    assert [p.host.tobytes() for p in params] == [p.tobytes() for p in twins]


def test_a_gradient_that_is_gone_after_a_group_was_added(grads: list[Any]) -> None:
    params = arrays()
    opt = ac.SGD(params, lr=1.0)
    opt.step(grads)
    opt.add_param_group({"params": {"c": cupy.asarray(np.ones(N, np.float32))}})
    before = params[1].host.copy()
    opt.step([grads[0], None, grads[2], cupy.asarray(np.ones(N, np.float32))])
    assert np.array_equal(params[1].host, before)
    assert opt.steps["1"] == 1


def test_a_monitor_waits_only_for_statistics(grads: list[Any]) -> None:
    opt = ac.AdamW(arrays(), clip_norm=1.0)
    mon = ac.Monitor(opt, stats_every=8)
    loss = cupy.asarray(np.ones((), np.float32))
    for step in range(20):
        info = opt.step(grads, stats=mon.wants_stats)
        log = log_of(lambda info=info: mon.observe(loss, info))
        assert bool(reads(log)) == (step % 8 == 0), step
    assert len(mon.history["step"]) == 20
