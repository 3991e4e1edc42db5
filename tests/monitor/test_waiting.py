"""On a device nothing is read before a step has statistics. The device is pretended."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import adamcore as ac
from adamcore._arrays.memory import DeviceMemory
from monitored import NORMAL, brief, make_monitor, make_optimizer, stats_of


class Memory(DeviceMemory):
    allocate = view = stream = to_host = None


class Loss:
    """A number on a device, which notes when it is read."""

    dtype = np.dtype(np.float32)
    shape = ()

    def __init__(self, value, log, name):
        self.value, self.log, self.name = value, log, name

    def __float__(self):
        self.log.append(self.name)
        return float(self.value)

    def copy(self):
        return Loss(self.value, self.log, self.name)


class Device:
    """A monitor of an optimizer on a device, and what has been read of it."""

    def __init__(self, **arguments):
        self.opt = make_optimizer()
        self.opt._memory = Memory()
        self.mon = ac.Monitor(self.opt, **{"window": 32, **arguments})
        self.log = []
        self.step = 0

    def observe(self, loss=1.0, norm=None, *, skipped=False, stats=None, error=None):
        self.step += 1
        name = self.step

        def read():
            self.log.append(-name)
            if error is not None:
                raise error
            return skipped, norm, False

        def table():
            self.log.append("stats")
            return stats_of(**NORMAL)._table

        if stats is None:
            stats = self.mon.wants_stats
        found = ac.StepStats(("a", "b", "bias"), 2047, table, np.ones(3, np.int64)) if stats else None
        self.info = ac.StepInfo(read=read, stats=found)
        return self.mon.observe(Loss(loss, self.log, name), self.info)


def test_nothing_is_read_before_a_step_with_statistics():
    device = Device()
    device.observe()
    assert device.log == [-1, 1, "stats"]
    for _ in range(7):
        device.observe()
        assert device.log == [-1, 1, "stats"]
    device.observe()
    assert device.log == [-1, 1, "stats", *[i for step in range(2, 10) for i in (-step, step)], "stats"]


def test_whoever_looks_waits():
    for look in ("history", "findings", "statistics"):
        device = Device()
        for _ in range(5):
            device.observe()
        getattr(device.mon, look)
        assert 5 in device.log
    for look in ("report", "to_json", "state_dict"):
        device = Device()
        for _ in range(5):
            device.observe()
        getattr(device.mon, look)()
        assert 5 in device.log


def test_findings_come_later_with_their_own_steps():
    device, mon = Device(), make_monitor()
    losses = [*[1.0] * 36, *[np.nan] * 20, *[1.0] * 80]
    norms = [1.0 + 5 * (step == 60) for step in range(len(losses))]
    late, early = [], []
    for step, (loss, norm) in enumerate(zip(losses, norms, strict=True)):
        found = device.observe(loss, norm)
        assert not found or step % 8 == 0
        late += found
        stats = stats_of(**NORMAL) if mon.wants_stats else None
        early += mon.observe(loss, ac.StepInfo(False, norm, stats=stats))
    assert late == early
    assert {kind for *_, kind in brief(late)} == {"plateau", "lr_large", "exploding", "spike"}
    assert device.mon.history == mon.history
    assert device.mon.state_dict() == mon.state_dict()


def test_validations_bring_what_has_been_waiting():
    device = Device()
    device.observe()
    for _ in range(3):
        device.observe(np.inf)
    assert brief(device.mon.observe_validation(1.0)) == [(2, "note", "lr_large")]


@pytest.mark.parametrize("every", [None, 1000])
def test_what_waits_is_bounded(every):
    device = Device(stats_every=every, window=100_000)
    for _ in range(2000):
        device.observe(stats=False)
        assert len(device.mon._pending) < 256
    assert len(device.mon.history["loss"]) == 2000


def test_a_loss_may_be_overwritten_while_it_waits():
    device = Device(stats_every=100)
    buffer, static = np.zeros(()), Loss(0.0, [], 1)
    for step in range(1, 5):
        buffer[...] = static.value = step
        info = ac.StepInfo(read=lambda: (False, None, False))
        device.mon.observe(buffer if step % 2 else static, info)
    assert device.mon.history["loss"].tolist() == [1, 2, 3, 4]


def test_losses_of_torch_are_detached_and_copied():
    torch = pytest.importorskip("torch")
    device = Device(stats_every=100)
    w = torch.ones(3, requires_grad=True)
    graph = w * 2
    loss = graph.mean()
    device.mon.observe(loss, ac.StepInfo(read=lambda: (False, None, False)))
    kept = device.mon._pending[0][0]
    assert not kept.requires_grad
    watch = weakref.ref(graph)
    loss.detach().zero_()
    del graph, loss
    gc.collect()
    assert watch() is None
    assert device.mon.history["loss"].tolist() == [2.0]


@pytest.mark.parametrize("loss", [None, "x", object(), [1.0], 1j, 10**400, 2, np.ones(2)])
def test_odd_losses_wait_too(loss):
    device = Device(stats_every=100)
    device.mon.observe(loss, ac.StepInfo(read=lambda: (False, 1.0, False)))
    device.mon.observe(1.0, ac.StepInfo())
    assert device.mon.history["loss"][1] == 1.0
    assert device.mon.history["step"].tolist() == [1, 2]


def test_the_error_of_a_step_is_for_whoever_looks_at_it():
    device = Device(window=256)
    error = ac.NonFiniteError("grads['w']: there are values that are not finite")
    for _ in range(6):
        device.observe(error=error)
        info = device.info
    assert brief(device.mon.findings) == [(6, "warning", "overflow_loop")]
    assert device.mon.history["skipped"].tolist() == [True] * 6
    for _ in range(2):
        with pytest.raises(ac.NonFiniteError, match="not finite"):
            _ = info.skipped


def test_the_loss_scale_is_not_waited_for():
    class Waits(ac.LossScaler):
        def pull(self):
            raise ac.NonFiniteError("this is for the user")

    scaler = Waits(0.5, min_scale=0.125)
    device = Device(scaler=scaler)
    assert brief(device.observe()) == [(1, "warning", "overflow_loop")]
    with pytest.raises(ac.NonFiniteError):
        _ = scaler.scale


def test_units_need_the_memory_of_the_cpu():
    opt = make_optimizer()
    opt._memory = Memory()
    with pytest.raises(ValueError, match="Monitor: units=True needs gradients in CPU memory"):
        ac.Monitor(opt, units=True)
