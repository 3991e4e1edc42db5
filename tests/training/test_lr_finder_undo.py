"""`lr_finder` leaves no trace: neither a sweep nor what interrupts it."""

# ruff: noqa: NPY002, S311  (generators that all code of a process shares)

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules
from helpers import everything, make
from interruptions import interrupt_everywhere
from pairs import products
from reference import CASES, Case
from snapshots import all_of
from storage import BF16, F16, F32, F64
from sweeps import Quadratic, batches, params, trained

SEARCHABLE = [case for case in CASES if case.optimizer != "Prodigy"]


@products(case=SEARCHABLE, dtype=[F32, F64, BF16, F16])
def test_every_rule_comes_back(case: Case, dtype: Any) -> None:
    opt = trained(lambda p: make(case, p), dtype)
    quadratic, before = Quadratic(F32), all_of(opt)
    rng = np.random.default_rng(3)
    found = ac.lr_finder(opt, quadratic, batches(rng), low=1e-5, high=0.3, steps=40)
    assert len(found.losses) >= 20
    assert found.losses[-1] != found.losses[0]
    assert all_of(opt) == before


def test_averages_guards_and_schedules_come_back() -> None:
    def make_opt(p: Any) -> ac.Optimizer:
        opt = ac.AdamW(p, lr=schedules.Warmup(0.1, steps=9), clip_norm=ac.SpikeGuard(window=8, action="skip"))
        ac.EMA(opt, 0.5)
        ac.Lookahead(opt, k=2)
        return opt

    one, other = trained(make_opt, BF16, 30), trained(make_opt, BF16, 30)
    before = all_of(one)
    ac.lr_finder(one, Quadratic(), batches(np.random.default_rng(3)))
    assert all_of(one) == before
    for opt in (one, other):
        for noise in batches(np.random.default_rng(9), 10):
            arrays = dict(zip(opt.steps, opt.param_groups[0]["params"], strict=True))
            opt.step(Quadratic()(arrays, noise)[1])
    assert everything(one) == everything(other)


def shared_states() -> list[Any]:
    legacy = np.random.get_state(legacy=False)
    return [random.getstate(), {**legacy, "state": {k: np.array(v).tolist() for k, v in legacy["state"].items()}}]


def test_random_states_come_back() -> None:
    kinds = (np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64)
    rngs: list[Any] = [np.random.Generator(kind(3)) for kind in kinds]
    rngs += [np.random.RandomState(4), random.Random(5), np.random.PCG64DXSM(6)]
    random.seed(1)
    random.gauss(0, 1)  # the second of a pair is kept
    np.random.seed(2)
    np.random.standard_normal()  # so is this
    before = shared_states()

    def draw() -> list[float]:
        values: list[float] = []
        for rng in rngs[:4]:
            values += [rng.random(), float(rng.integers(5, dtype=np.uint32)), rng.spawn(1)[0].random()]
        values += [rngs[4].standard_normal(), rngs[5].gauss(0, 1), np.random.Generator(rngs[6]).random()]
        return [*values, random.gauss(0, 1), random.random(), np.random.standard_normal(), np.random.rand()]

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        draws.append(draw())
        return Quadratic()(arrays, noise)

    draws: list[list[float]] = []
    for _ in range(2):
        ac.lr_finder(ac.Adam(params()), loss_and_grad, [0.1] * 30, rngs=rngs)
        assert shared_states() == before
    assert draws[:30] == draws[30:]
    assert len({tuple(values) for values in draws[:30]}) == 30
    assert draw() == draws[0]


@pytest.mark.torch
def test_random_states_of_tensors_come_back() -> None:
    torch = pytest.importorskip("torch")
    own = torch.Generator().manual_seed(5)
    drawn = []

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        drawn.append((torch.randn(3).tolist(), torch.randn(1, generator=own).item()))
        loss = (arrays["w"] - 1 - noise).square().mean()
        loss.backward()
        grad, arrays["w"].grad = arrays["w"].grad, None
        return loss, {"w": grad}

    w = torch.nn.Parameter(torch.ones(5) * 3)
    opt = ac.Adam({"w": w})
    found = [ac.lr_finder(opt, loss_and_grad, [0.1] * 30, rngs=[own]) for _ in range(2)]
    assert drawn[:30] == drawn[30:]
    assert drawn[0] != drawn[1]
    assert found[0].losses.tolist() == found[1].losses.tolist()
    assert torch.equal(w, torch.ones(5) * 3)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
@pytest.mark.parametrize("where", ["loss_and_grad", "batches", "iter"])
def test_what_raises_leaves_no_trace(error: type[BaseException], where: str) -> None:
    opt, rng = trained(lambda p: ac.AdamW(p, lr=schedules.Warmup(0.1, steps=9))), np.random.default_rng(1)
    before, state = all_of(opt), rng.bit_generator.state

    class Batches:
        def __iter__(self) -> Iterator[float]:
            rng.random()
            if where == "iter":
                raise error
            return self.batches()

        def batches(self) -> Iterator[float]:
            for i, noise in enumerate(batches(rng)):
                if where == "batches" and i == 30:
                    raise error
                yield noise

    quadratic = Quadratic()

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        if where == "loss_and_grad" and quadratic.calls == 30:
            raise error
        return quadratic(arrays, noise)

    with pytest.raises(error):
        ac.lr_finder(opt, loss_and_grad, Batches(), rngs=[rng])
    assert quadratic.calls == (0 if where == "iter" else 30)
    assert all_of(opt) == before
    assert rng.bit_generator.state == state


def test_interrupts_leave_no_trace() -> None:
    opt, rng = trained(lambda p: ac.AdamW(p, lr=schedules.Warmup(0.1, steps=9))), np.random.default_rng(1)
    before, state, shared = all_of(opt), rng.bit_generator.state, shared_states()

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        random.gauss(0, 1)
        np.random.standard_normal()
        return Quadratic()(arrays, noise)

    def check() -> None:
        assert all_of(opt) == before
        assert rng.bit_generator.state == state
        assert shared_states() == shared

    def prepare() -> Callable[[], Any]:
        return lambda: ac.lr_finder(opt, loss_and_grad, batches(rng), steps=20, rngs=[rng])

    assert interrupt_everywhere(prepare, check, 200) > 150


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timers")
@pytest.mark.usefixtures("without_collections")
def test_signals_leave_no_trace() -> None:
    class Alarm(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Alarm

    opt, rng = trained(ac.AdamW), np.random.default_rng(1)
    before, state, chance, hits = all_of(opt), rng.bit_generator.state, np.random.default_rng(2), 0
    ac.lr_finder(opt, Quadratic(), batches(rng), rngs=[rng])  # the first call imports
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(150):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + 5e-3 * chance.random())
                ac.lr_finder(opt, Quadratic(), batches(rng), rngs=[rng])
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Alarm:
                hits += 1
            assert all_of(opt) == before
            assert rng.bit_generator.state == state
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert hits > 50


CTRL_C = """
import os, signal, sys, threading, time
import numpy as np
import adamcore as ac
signal.signal(signal.SIGINT, signal.default_int_handler)
w = np.linspace(1, 2, 5)
opt, rng = ac.Adam({"w": w}, lr=0.01), np.random.default_rng(3)
opt.step({"w": np.ones(5)})
before = w.tobytes(), opt.state["w"]["exp_avg"].tobytes(), opt.completed, rng.bit_generator.state
def loss_and_grad(params, batch):
    return float(params["w"].sum() ** 2) + batch, {"w": 2 * params["w"]}
def endless():
    while True:
        yield rng.random() * 1e-3
hits, lr_finder = 0, ac.lr_finder  # which imports it
for delay in np.random.default_rng(7).uniform(0, 0.02, 25):
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        lr_finder(opt, loss_and_grad, endless(), steps=100_000, high=1e-5, rngs=[rng])
        raise SystemExit("it was not interrupted")
    except KeyboardInterrupt:
        hits += 1
    timer.join()
    assert before == (w.tobytes(), opt.state["w"]["exp_avg"].tobytes(), opt.completed, rng.bit_generator.state)
    assert opt.param_groups[0]["lr"] == 0.01
print(hits)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_leaves_no_trace() -> None:
    done = subprocess.run([sys.executable, "-c", CTRL_C], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("25", "")


SHARED = np.random.default_rng(8)


def draws_from_a_global(params: Any, batch: Any) -> tuple[float, Any]:
    return float(np.square(params["w"]).sum()) + 1e-3 * SHARED.random() + 0 * batch, {"w": 2 * params["w"]}


class Dropout:
    def __init__(self) -> None:
        self.inner = {"rngs": [np.random.default_rng(4), random.Random(5)]}

    def batches(self, rng: np.random.Generator) -> Iterator[float]:
        while True:
            yield rng.random()

    def loss_and_grad(self, params: Any, batch: Any, rng: Any = None) -> tuple[float, Any]:
        drawn = sum(each.random() for each in self.inner["rngs"]) + (rng.random() if rng else 0)
        return float(np.square(params["w"]).sum()) + 1e-3 * (drawn + batch), {"w": 2 * params["w"]}


def states_of(rngs: Iterable[Any]) -> list[Any]:
    return [rng.getstate() if isinstance(rng, random.Random) else rng.bit_generator.state for rng in rngs]


def test_generators_that_can_be_seen_come_back_unnamed() -> None:
    problem, of_batches, bound, closed = Dropout(), *(np.random.default_rng(seed) for seed in (1, 2, 3))
    rngs = [*problem.inner["rngs"], of_batches, bound, closed, SHARED]
    opt = ac.Adam({"w": np.ones(3)})

    def closure(params: Any, batch: Any) -> tuple[float, Any]:
        return problem.loss_and_grad(params, batch + closed.random())

    calls = [problem.loss_and_grad, partial(problem.loss_and_grad, rng=bound), closure, draws_from_a_global]
    before, drawn = states_of(rngs), set()
    for call in calls:
        twin = ac.Adam({"w": np.ones(3)})
        params = {"w": np.ones(3)}
        for batch, _ in zip(problem.batches(of_batches), range(3), strict=False):
            call(params, batch)
        drawn |= {i for i, (a, b) in enumerate(zip(states_of(rngs), before, strict=True)) if a != b}
        changed = states_of(rngs)
        epochs = (batch for _ in range(2) for batch in problem.batches(of_batches))
        ac.lr_finder(opt, call, epochs, steps=30)
        ac.lr_finder(twin, call, problem.batches(of_batches), steps=30)
        assert states_of(rngs) == changed
    assert drawn == set(range(len(rngs))), "each of them is used"
