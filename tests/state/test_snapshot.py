"""`Snapshot`: an optimizer is put back bit for bit, and then goes on as if nothing had been."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac
from adamcore import _core, schedules
from adamcore._state_dicts.snapshot import Snapshot
from helpers import everything, make
from interruptions import interrupt_everywhere
from pairs import products
from reference import CASES, Case
from snapshots import all_of
from storage import BF16, F16, F32, F64, Storage, combinations

SIZES = [(9, 5), (7,), (), (0, 3)]

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": lambda a: a.copy(),
    "F": lambda a: a.copy(order="F"),
    "gaps": lambda a: np.repeat(a, 2, axis=0)[::2] if a.ndim else a.copy(),
    "backwards": lambda a: np.flip(a).copy()[tuple(slice(None, None, -1) for _ in a.shape)] if a.ndim else a.copy(),
}


def arrays(rng: np.random.Generator, dtype: Any, layout: str = "C") -> dict[str, np.ndarray]:
    return {f"p{i}": LAYOUTS[layout](rng.standard_normal(size).astype(dtype)) for i, size in enumerate(SIZES)}


def check(opt: ac.Optimizer, twin: ac.Optimizer, rng: np.random.Generator, dtype: Any) -> None:
    """`opt` does steps and is put back, twice; it then does those that its twin does, which has never been put back."""
    for _ in range(2):
        grads = arrays(rng, dtype)
        opt.step(grads)
        twin.step(grads)
    before, snapshot = all_of(opt), Snapshot(opt)
    for tries in (1, 3):
        for _ in range(tries):
            opt.step(arrays(rng, dtype))
        assert all_of(opt) != before
        snapshot.put_back()
        assert all_of(opt) == before
    for _ in range(3):
        grads = arrays(rng, dtype)
        opt.step(grads)
        twin.step(grads)
    assert everything(opt) == everything(twin)
    assert opt.completed == twin.completed == 5


@products(case=CASES, dtype=[F32, F64], layout=list(LAYOUTS))
def test_every_rule(case: Case, dtype: Any, layout: str, rng: np.random.Generator) -> None:
    seed = rng.integers(2**31)
    one, other = (make(case, arrays(np.random.default_rng(seed), dtype, layout)) for _ in range(2))
    check(one, other, rng, dtype)


@products(storage=combinations(), layout=list(LAYOUTS), optimizer=["AdamW", "SGD", "Adafactor"])
def test_every_storage(storage: Storage, layout: str, optimizer: str, rng: np.random.Generator) -> None:
    seed = rng.integers(2**31)
    options = {"momentum": 0.9} if optimizer == "SGD" else {}
    one, other = (
        getattr(ac, optimizer)(
            arrays(np.random.default_rng(seed), storage.param, layout), lr=0.1, precision=storage.precision, **options
        )
        for _ in range(2)
    )
    check(one, other, rng, storage.grad)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_parameters(dtype: Any, rng: np.random.Generator) -> None:
    start = rng.standard_normal((3, 4, 2)).view(np.complex128)[..., 0].astype(dtype)
    opt = ac.AdamW({"p": start[:, ::2]}, lr=0.1)
    opt.step({"p": start[:, ::2] * 1j})
    before, snapshot, gaps = all_of(opt), Snapshot(opt), start[:, 1::2].tobytes()
    opt.step({"p": start[:, ::2] * 2})
    assert all_of(opt) != before
    snapshot.put_back()
    assert all_of(opt) == before
    assert start[:, 1::2].tobytes() == gaps


@pytest.mark.parametrize("dtype", [F16, BF16, F32, F64], ids=str)
def test_bits_of_nan_come_back(dtype: Any) -> None:
    """A NaN's payload, quiet and signaling, in parameters and in the state."""
    word = np.dtype(f"u{dtype.itemsize}")
    infinity = {F16: 0x7C00, BF16: 0x7F80, F32: 0x7F800000, F64: 0x7FF0000000000000}[dtype]
    bits = np.array([infinity + 1, infinity + 5, 1, infinity], word)
    p = bits.view(dtype)
    opt = ac.SGD({"p": p}, lr=0.1, momentum=0.9, precision=ac.Precision(master=None) if dtype in (F16, BF16) else None)
    opt.step({"p": np.ones(4, dtype)})
    p.view(word)[...] = bits
    state = opt.state["p"]["momentum_buffer"]
    wide = np.dtype(f"u{state.dtype.itemsize}")
    payload = np.array([7, 1, 3, 5], wide) + (0x7F800000 if state.dtype == F32 else 0x7FF0000000000000)
    state.view(wide)[...] = payload
    snapshot = Snapshot(opt)
    p[...] = state[...] = 1
    snapshot.put_back()
    assert p.view(word).tobytes() == bits.tobytes()
    assert opt.state["p"]["momentum_buffer"].view(wide).tobytes() == payload.tobytes()


@pytest.mark.parametrize("leaves", [1, 2])
def test_an_open_window(leaves: int, rng: np.random.Generator) -> None:
    opt = ac.Adam(arrays(rng, F32), clip_norm=1.0)
    grads = [arrays(rng, F64) for _ in range(3)]
    for k in range(leaves):
        opt.accumulate({**grads[k], "p1": None}, weight=0.5 + k)
    before, snapshot = all_of(opt), Snapshot(opt)
    assert before["window"]["leaves"] == leaves
    found = []
    for _ in range(2):
        opt.accumulate(grads[2])
        opt.step()
        assert opt.accumulated == 0
        found.append(everything(opt))
        opt.accumulate(grads[0])  # belongs to a window that is given up
        snapshot.put_back()
        assert all_of(opt) == before
    assert found[0] == found[1]


def test_averages_go_on(rng: np.random.Generator) -> None:
    seed = rng.integers(2**31)
    one, other = (ac.SGD(arrays(np.random.default_rng(seed), BF16), lr=0.1) for _ in range(2))
    for opt in (one, other):
        ac.EMA(opt, 0.5)
        ac.SWA(opt, start=1)
        ac.Lookahead(opt, k=2)
    check(one, other, rng, F32)


@pytest.mark.parametrize("action", ["clip", "skip"])
def test_a_spike_guard_remembers_what_it_did(action: Any, rng: np.random.Generator) -> None:
    p, guard = np.zeros(4), ac.SpikeGuard(window=18, action=action)
    opt = ac.SGD(p, lr=1.0, clip_norm=guard)
    for _ in range(17):
        opt.step(rng.standard_normal(4))
    before, limit, snapshot = all_of(opt), guard.limit, Snapshot(opt)
    found = []
    for _ in range(3):
        infos = [opt.step(np.full(4, size)) for size in (1.0, 300.0, 0.5)]
        assert infos[1].spike
        found.append((all_of(opt), [info.skipped for info in infos]))
        snapshot.put_back()
        assert all_of(opt) == before
        assert guard.limit == limit
    assert found[0] == found[1] == found[2]


def test_hyper_parameters_are_the_same_objects() -> None:
    rate, decay = schedules.Warmup(0.1, steps=5), lambda t: 0.1 / (t + 1)
    opt = ac.AdamW([{"params": np.ones(3), "lr": rate}, {"params": np.ones(2), "weight_decay": decay}])
    snapshot = Snapshot(opt)
    opt.step([np.ones(3), np.ones(2)])
    opt.param_groups[0].update(lr=3.0, betas=(0.5, 0.5), amsgrad=True)
    opt.param_groups[1].update(weight_decay=0.5, name="second")
    opt.step([np.ones(3), np.ones(2)])
    snapshot.put_back()
    assert opt.param_groups[0]["lr"] is rate
    assert opt.param_groups[1]["weight_decay"] is decay
    assert opt.param_groups[0]["betas"] == (0.9, 0.999)
    assert opt.param_groups[1]["name"] == "second", "a name is no hyper-parameter"
    assert "max_exp_avg_sq" not in opt.state["0"]


def test_state_that_has_yet_to_begin(rng: np.random.Generator) -> None:
    """Momentum is switched on, and the next step begins it. So it does after it was put back."""
    opt = ac.SGD(arrays(rng, F32), lr=0.1, dampening=0.5)
    grads = [arrays(rng, F32) for _ in range(3)]
    opt.step(grads[0])
    opt.param_groups[0]["momentum"] = 0.9
    snapshot, found = Snapshot(opt), []
    for _ in range(2):
        for each in grads[1:]:
            opt.step(each)
        found.append(everything(opt))
        snapshot.put_back()
    assert "p0.momentum_buffer" in found[0]
    assert found[0] == found[1]


def test_views_of_state_stay_views(rng: np.random.Generator) -> None:
    opt = ac.Adam(arrays(rng, F32))
    view = opt.state["p0"]["exp_avg"]
    snapshot = Snapshot(opt)
    opt.step(arrays(rng, F32))
    assert view.any()
    snapshot.put_back()
    assert not view.any()
    assert np.shares_memory(view, opt.state["p0"]["exp_avg"])


def test_the_mode_of_schedule_free_steps() -> None:
    p = np.ones(3)
    opt = ac.ScheduleFreeAdamW(p, lr=0.1)
    opt.step(np.arange(1.0, 4.0))
    opt.step(np.arange(3.0, 0.0, -1.0))
    snapshot, points = Snapshot(opt), p.tobytes()
    opt.eval()
    averages, at_averages = p.tobytes(), Snapshot(opt)
    assert averages != points
    snapshot.put_back()
    assert (opt.mode, p.tobytes()) == ("train", points)
    at_averages.put_back()
    assert (opt.mode, p.tobytes()) == ("eval", averages)


def test_what_has_been_added_since_is_an_error_that_changes_nothing() -> None:
    opt = ac.SGD({"a": np.ones(3)}, lr=0.1)
    snapshot = Snapshot(opt)
    ac.EMA(opt)
    opt.step({"a": np.ones(3)})
    before = all_of(opt)
    with pytest.raises(ValueError, match="SGD: averages have been added since the snapshot"):
        snapshot.put_back()
    with pytest.raises(ValueError, match="'ema' is missing"):
        snapshot.restorer()
    assert all_of(opt) == before
    opt.add_param_group({"params": {"b": np.ones(2)}})
    before = all_of(opt)
    with pytest.raises(ValueError, match="SGD: parameters have been added since the snapshot"):
        snapshot.put_back()
    with pytest.raises(IndexError):
        snapshot.restorer()
    assert all_of(opt) == before


def test_an_optimizer_in_use_is_refused() -> None:
    opt = ac.SGD({"a": np.ones(3)}, lr=0.1)
    ema = ac.EMA(opt)
    snapshot = Snapshot(opt)
    with ema.swap():
        with pytest.raises(RuntimeError, match="SGD"):
            Snapshot(opt)
        with pytest.raises(RuntimeError, match="SGD"):
            snapshot.put_back()
    opt.step({"a": np.ones(3)})
    snapshot.put_back()
    assert opt.completed == 0


@pytest.mark.torch
def test_tensors(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    base = torch.from_numpy(rng.standard_normal((4, 6))).float()
    half = torch.nn.Parameter(torch.from_numpy(rng.standard_normal(5)).to(torch.bfloat16))
    opt = ac.AdamW({"w": base[:, ::2], "h": half}, lr=0.1)
    grads = {"w": torch.ones(4, 3), "h": torch.full((5,), 2.0, dtype=torch.bfloat16)}
    opt.step(grads)
    snapshot, before = Snapshot(opt), (base.clone(), half.detach().clone())
    version = half._version
    found = []
    for _ in range(2):
        opt.step(grads)
        found.append((base.clone(), half.detach().clone()))
        assert not torch.equal(base, before[0])
        snapshot.put_back()
        assert torch.equal(base, before[0])
        assert torch.equal(half, before[1])
    assert half._version > version, "autograd sees that the tensor was written"
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert opt._native.borrow()[-1]["h"].dtype == ml_dtypes.bfloat16
    opt._native.give_back()


@pytest.fixture
def adam() -> tuple[ac.Optimizer, list[np.ndarray]]:
    params = [np.linspace(0, 1, 7), np.ones((3, 2), F32)]
    opt = ac.Adam(params, lr=0.1)
    opt.step([np.ones(7), np.ones((3, 2), F32)])
    return opt, params


def test_interrupts_leave_what_was_or_what_had_been(adam: tuple[ac.Optimizer, list[np.ndarray]]) -> None:
    opt, params = adam
    snapshot, before = Snapshot(opt), all_of(opt)
    grads = [np.full_like(p, 0.5) for p in params]
    opt.step(grads)
    later = all_of(opt)
    again = Snapshot(opt)

    def prepare() -> Callable[[], None]:
        again.put_back()
        return snapshot.put_back

    found: list[dict[str, Any]] = []
    assert interrupt_everywhere(prepare, lambda: found.append(all_of(opt)), 100) > 5
    assert all(each in (before, later) for each in found)
    assert interrupt_everywhere(lambda: lambda: Snapshot(opt), opt._native.require_idle, 100) > 20
    opt.step(grads)  # nothing is still lent


@pytest.fixture
def alarm(without_collections: None) -> Iterator[type[BaseException]]:
    del without_collections

    class Alarm(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    yield Alarm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def step_until_interrupted(opt: ac.Optimizer, grads: list[np.ndarray], seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    while True:
        opt.step(grads)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timers")
def test_the_end_of_a_block_restores_whatever_comes(
    adam: tuple[ac.Optimizer, list[np.ndarray]], alarm: type[BaseException]
) -> None:
    """Steps in a loop are interrupted by signals of a timer, and the block's end puts everything back."""
    opt, params = adam
    grads = [np.full_like(p, 0.5) for p in params]
    before, chance = all_of(opt), np.random.default_rng(4)
    for _ in range(60):
        snapshot = Snapshot(opt)
        seconds = 1e-5 + 2e-3 * chance.random()
        with pytest.raises(alarm), _core.Paired([(opt._native.require_idle, snapshot.restorer)]):
            step_until_interrupted(opt, grads, seconds)
        assert all_of(opt) == before
