"""`lr_finder`: what it measures, and that it leaves no trace."""

# ruff: noqa: NPY002, S311  (generators that all code of a process shares)

from __future__ import annotations

import math
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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

SEARCHABLE = [case for case in CASES if case.optimizer != "Prodigy"]


class Quadratic:
    """The mean square of the distances of all parameters from noisy targets; gradients of any dtype."""

    def __init__(self, grad: Any = None) -> None:
        self.grad, self.calls = grad, 0

    def __call__(self, params: dict[str, np.ndarray], noise: float) -> tuple[float, dict[str, np.ndarray]]:
        self.calls += 1
        errors = {name: np.asarray(p, np.float64) - 1 - noise for name, p in params.items()}
        loss = float(np.mean([np.square(error).mean() for error in errors.values() if error.size]))
        return loss, {name: error.astype(self.grad or params[name].dtype) for name, error in errors.items()}


def batches(rng: np.random.Generator, count: int = 10_000) -> Iterator[float]:
    for _ in range(count):
        yield 0.1 * rng.standard_normal()


def params(dtype: Any = F64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {"w": (3 + rng.standard_normal((4, 3))).astype(dtype), "b": rng.standard_normal(5).astype(dtype)}


def trained(make_opt: Callable[[Any], ac.Optimizer], dtype: Any = F64, steps: int = 3) -> ac.Optimizer:
    opt = make_opt(arrays := params(dtype))
    quadratic = Quadratic()
    for noise in batches(np.random.default_rng(1), steps):
        opt.step(quadratic(arrays, noise)[1])
    return opt


def test_a_sweep_measures_what_a_loop_by_hand_does() -> None:
    opt = trained(lambda p: ac.Adam(p, lr=0.02))
    found = ac.lr_finder(opt, Quadratic(), batches(np.random.default_rng(3)), low=1e-4, high=2.0, steps=60)
    twin = trained(lambda p: ac.Adam(p, lr=0.02))
    arrays = dict(zip(twin.steps, twin.param_groups[0]["params"], strict=True))
    losses, quadratic, noise = [], Quadratic(), batches(np.random.default_rng(3))
    for rate in found.rates:
        loss, grads = quadratic(arrays, next(noise))
        losses.append(loss)
        twin.param_groups[0]["lr"] = float(rate)
        twin.step(grads)
    count = len(losses)
    assert found.losses.tolist() == losses
    expected = [1e-4 * (2.0 / 1e-4) ** (i / 59) for i in range(count)]
    assert found.rates.tolist() == pytest.approx(expected, rel=1e-12)
    weights = [[0.9 ** (n - i) if i <= n else 0.0 for i in range(count)] for n in range(count)]
    smoothed = [np.dot(row, losses) / sum(row) for row in weights]
    assert found.smoothed.tolist() == pytest.approx(smoothed, rel=1e-12)
    assert found.losses.dtype == found.rates.dtype == found.smoothed.dtype == np.float64


def test_it_ends_when_the_smoothed_loss_is_above_four_times_its_minimum() -> None:
    opt, quadratic = ac.SGD(params(), lr=0.1), Quadratic()
    found = ac.lr_finder(opt, quadratic, batches(np.random.default_rng(3)), low=1e-3, high=1e3, steps=200)
    assert found.ended == "rise"
    assert len(found.losses) == quadratic.calls < 200
    risen = found.smoothed > 4 * np.minimum.accumulate(found.smoothed)
    assert risen[-1]
    assert not risen[:-1].any()
    assert ac.lr_finder(opt, Quadratic(), batches(np.random.default_rng(3)), high=1e-3).ended == "high"


@pytest.mark.parametrize("level", [-7.0, 0.0])
def test_losses_may_be_negative(level: float) -> None:
    opt = ac.SGD(params(), lr=0.1)

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        loss, grads = Quadratic()(arrays, noise)
        return loss + level - 0.3, grads

    found = ac.lr_finder(opt, loss_and_grad, batches(np.random.default_rng(3)), low=1e-3, high=1e3)
    assert found.smoothed.min() < 0
    assert found.ended == "rise"
    largest = np.maximum.accumulate(np.abs(found.smoothed))
    assert found.smoothed[-1] > found.smoothed.min() + 3 * largest[-2]
    assert found.suggestion is not None
    assert 1e-3 < found.suggestion < 10


@pytest.mark.parametrize("nonfinite", ["propagate", "skip", "raise"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_it_ends_where_something_is_not_finite(what: str, nonfinite: Any) -> None:
    opt = trained(lambda p: ac.Adam(p, nonfinite=nonfinite))
    before, quadratic = all_of(opt), Quadratic()

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        loss, grads = quadratic(arrays, noise)
        if quadratic.calls >= 40:
            loss, grads = (math.nan, grads) if what == "loss" else (loss, {**grads, "b": grads["b"] * math.inf})
        return loss, grads

    found = ac.lr_finder(opt, loss_and_grad, batches(np.random.default_rng(3)))
    assert np.isfinite(found.losses).all()
    # A step that skips goes on with the next rate.
    skips = what == "gradient" and nonfinite == "skip"
    assert found.ended == ("high" if skips else "nonfinite")
    assert len(found.losses) == (100 if skips else 39 if what == "loss" else 40)
    assert all_of(opt) == before


@pytest.mark.parametrize("count", [20, 57])
def test_it_ends_with_the_batches(count: int) -> None:
    opt, quadratic = ac.Adam(params()), Quadratic()
    found = ac.lr_finder(opt, quadratic, [0.1] * count)
    assert (found.ended, len(found.rates), quadratic.calls) == ("batches", count, count)


def test_too_few_batches_are_an_error() -> None:
    opt = trained(ac.Adam)
    before = all_of(opt)
    with pytest.raises(ValueError, match="lr_finder: batches gave only 19, but a sweep needs at least 20"):
        ac.lr_finder(opt, Quadratic(), [0.1] * 19)
    assert all_of(opt) == before


def test_groups_keep_the_ratios_of_their_rates() -> None:
    seen = []
    opt = ac.SGD(
        [
            {"params": {"w": np.ones(3)}, "lr": schedules.Linear(0.4, 0.0, steps=4)},
            {"params": {"b": np.ones(2)}, "lr": 0.05},
            {"params": {"frozen": np.ones(2)}, "lr": 0.0},
        ]
    )
    opt.step({"w": np.ones(3), "b": np.ones(2), "frozen": np.ones(2)})  # the first group's rate is 0.3 now
    schedule = opt.param_groups[0]["lr"]

    def loss_and_grad(arrays: Any, noise: float) -> tuple[float, Any]:
        seen.append([group["lr"] for group in opt.param_groups])
        return Quadratic()(arrays, noise)

    found = ac.lr_finder(opt, loss_and_grad, batches(np.random.default_rng(1)), high=0.1)
    for rates, rate in zip(seen[1:], found.rates[:-1], strict=True):
        assert rates[0] == rate
        assert rates[1] == pytest.approx(rate * 0.05 / 0.3, rel=1e-12)
        assert rates[2] == 0
    assert opt.param_groups[0]["lr"] is schedule


def test_rates_of_zero_are_swept_alike() -> None:
    """Such as those of a warm-up that begins at 0."""
    opt = ac.SGD([{"params": [np.ones(3)], "lr": schedules.Warmup(0.1, steps=9, start=0.0)}], lr=0.0)
    opt.add_param_group({"params": [np.ones(2)]})
    values = []

    def loss_and_grad(arrays: Any, _: Any) -> tuple[float, Any]:
        values.append([a[0] for a in arrays])
        return 1.0, [np.ones(3), np.ones(2)]

    found = ac.lr_finder(opt, loss_and_grad, [0] * 50, steps=50)
    for one, other in values:
        assert one == other
    assert values[-1][0] == pytest.approx(1 - found.rates[:-1].sum(), rel=1e-12)


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


def test_schedule_free_is_swept_without_its_own_warm_up() -> None:
    opt, plain = (trained(lambda p, t=t: ac.ScheduleFreeAdamW(p, warmup_steps=t), steps=0) for t in (1000, 0))
    found, expected = (ac.lr_finder(each, Quadratic(), [0.1] * 60, high=0.1) for each in (opt, plain))
    assert found.losses.tolist() == expected.losses.tolist()
    assert opt.param_groups[0]["warmup_steps"] == 1000
    opt.eval()
    with pytest.raises(RuntimeError, match="call train"):
        ac.lr_finder(opt, Quadratic(), [0.1] * 60)


def test_adafactor_is_swept_as_far_as_it_goes() -> None:
    opt = trained(ac.Adafactor, steps=4)
    found = ac.lr_finder(opt, Quadratic(), [0.1] * 100, low=1e-3, high=1.0, steps=50)
    assert found.ended == "limit"
    counts = 4 + 1 + np.arange(50)
    rates = 1e-3 * 1000 ** (np.arange(50) / 49)
    assert len(found.rates) == np.flatnonzero(rates > 1 / np.sqrt(counts))[0]


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

    assert interrupt_everywhere(prepare, check, 300) > 200


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timers")
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


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"low": 0}, ValueError, "lr_finder: low must be a finite number > 0, got 0"),
    ({"low": math.nan}, ValueError, "lr_finder: low must be a finite number > 0, got nan"),
    ({"low": "1"}, TypeError, "lr_finder: low must be a finite number > 0, got '1'"),
    ({"low": 2}, ValueError, "lr_finder: high must be a finite number > low, which is 2.0, got 1.0"),
    ({"high": math.inf}, ValueError, "lr_finder: high must be a finite number > low, which is 1e-06, got inf"),
    ({"steps": 19}, ValueError, "lr_finder: steps must be an int >= 20, got 19"),
    ({"steps": 50.0}, TypeError, "lr_finder: steps must be an int >= 20, got 50.0"),
    ({"loss_and_grad": 3}, TypeError, "lr_finder: loss_and_grad must be a function"),
    ({"batches": 3}, TypeError, "lr_finder: batches must be an iterable, got 3"),
    ({"rngs": np.random.default_rng(1)}, TypeError, "lr_finder: rngs must be a list of random generators"),
    ({"rngs": [5]}, TypeError, r"lr_finder: rngs\[0\] must be a random generator .*, got 5"),
    ({"rngs": [random.SystemRandom()]}, TypeError, r"lr_finder: rngs\[0\] must be a random generator with a state"),
    ({"loss_and_grad": lambda *_: 1.0}, TypeError, r"lr_finder: loss_and_grad must return \(loss, grads\), got 1.0"),
    ({"loss_and_grad": lambda p, _: ("x", p)}, TypeError, "lr_finder: the loss must be a number, got 'x'"),
    ({"loss_and_grad": lambda *_: (1.0, None)}, TypeError, r"lr_finder: loss_and_grad must return \(loss, grads\)"),
]


@pytest.mark.parametrize(("changed", "error", "message"), BAD, ids=str)
def test_bad_arguments(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    opt = trained(ac.Adam)
    before = all_of(opt)
    arguments = {"loss_and_grad": Quadratic(), "batches": [0.1] * 100, **changed}
    with pytest.raises(error, match=message):
        ac.lr_finder(opt, arguments.pop("loss_and_grad"), arguments.pop("batches"), **arguments)
    assert all_of(opt) == before


def test_optimizers_that_cannot_be_swept() -> None:
    with pytest.raises(TypeError, match="lr_finder: opt must be an optimizer, got 3"):
        ac.lr_finder(3, Quadratic(), [])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="lr_finder: Prodigy estimates the rate itself"):
        ac.lr_finder(ac.Prodigy(params()), Quadratic(), [0.1] * 100)
    opt = ac.SGD(params())
    opt.accumulate(params())
    with pytest.raises(RuntimeError, match="lr_finder: SGD has accumulated gradients"):
        ac.lr_finder(opt, Quadratic(), [0.1] * 100)
    assert opt.accumulated == 1


@pytest.mark.parametrize("structure", ["array", "list", "nested", "pairs", "groups"])
def test_parameters_have_the_structure_in_which_they_were_passed(structure: str) -> None:
    w, b = np.full(3, 2.0), np.full(2, -2.0)
    forms: dict[str, tuple[Any, Any]] = {
        "array": (w, w),
        "list": ([w, b], [w, b]),
        "nested": ({"layer": [w, {"b": b}]}, {"layer": [w, {"b": b}]}),
        "pairs": ([("w", w), ("b", b)], {"w": w, "b": b}),
        "groups": ([{"params": [w]}, {"params": [b], "lr": 0.5}], [w, b]),
    }
    given, expected = forms[structure]
    seen = []

    def loss_and_grad(arrays: Any, _: Any) -> tuple[float, Any]:
        seen.append(arrays)
        value = float(np.square(w).sum() + np.square(b).sum())
        gradients = {id(w): 2 * w, id(b): 2 * b}

        def of(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: of(item) for key, item in node.items()}
            return [of(item) for item in node] if isinstance(node, list) else gradients[id(node)]

        return value, of(arrays)

    ac.lr_finder(ac.SGD(given, lr=0.1), loss_and_grad, [0] * 50)
    assert repr(seen[0]) == repr(expected)
    assert w.tolist() == [2.0] * 3
