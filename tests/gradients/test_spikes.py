"""`SpikeGuard`: which norms are spikes, and what happens to them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, everywhere, make
from reference import Case
from spikes import Run, noise, with_spikes
from storage import F32, HALVES

INF, NAN = math.inf, math.nan
SPIKES = {50: 60.0, 700: 60.0, 1400: 60.0}


def expected(norms: np.ndarray, k: float, window: int, most_skips: int) -> Iterator[tuple[bool, bool, float]]:
    """What the docstring says, in NumPy: whether a norm is a spike, whether it is skipped, and the limit."""
    history: list[float] = []
    skipped = 0
    for norm in norms:
        limit = INF
        if len(history) >= min(window, 16):
            logs = np.log(history[-window:])
            mad = np.median(np.abs(logs - np.median(logs)))
            limit = float(np.exp(np.median(logs) + k * max(1.4826 * mad, 0.05)))
        is_spike = norm > limit
        skips = is_spike and skipped < most_skips
        yield is_spike, skips, limit
        skipped = skipped + 1 if skips else skipped if is_spike else 0
        if not skips:
            history.append(min(norm, limit))


@pytest.mark.parametrize("action", ["clip", "skip"])
@pytest.mark.parametrize("deviation", [0.01, 0.2, 0.5])
def test_finds_the_spikes_and_no_other(action: Any, deviation: float) -> None:
    run = Run(ac.SpikeGuard(action=action))
    infos = [run.step(norm)[0] for norm in with_spikes(noise(1500, deviation), SPIKES)]
    assert [i for i, info in enumerate(infos) if info.spike] == list(SPIKES)
    assert [i for i, info in enumerate(infos) if info.skipped] == (list(SPIKES) if action == "skip" else [])
    assert run.optimizer.completed == 1500 - (3 if action == "skip" else 0)


@pytest.mark.parametrize(
    ("k", "window", "action", "max_skips"), [(6.0, 128, "clip", 3), (2.5, 31, "skip", 2), (1.0, 2, "skip", 1)]
)
def test_follows_the_formula(k: float, window: int, action: Any, max_skips: int) -> None:
    norms = with_spikes(noise(300), {40: 5.0, 41: 9.0, 42: 7.0, 43: 6.0, 44: 5.0, 200: 1e3})
    norms[250:] *= 8
    run = Run(ac.SpikeGuard(k, window, action, max_skips))
    for norm, (is_spike, skips, limit) in zip(
        norms, expected(norms, k, window, max_skips if action == "skip" else 0), strict=True
    ):
        assert run.guard.limit == pytest.approx(limit, rel=1e-12)
        info, seen = run.step(norm)
        assert (info.spike, info.skipped) == (is_spike, skips)
        assert seen == pytest.approx(0 if skips else min(norm, limit), rel=3e-6)
        assert len(run.guard.history) <= window
    assert len(run.guard.history) == window


def test_nothing_is_a_spike_before_16_norms() -> None:
    run = Run()
    assert [run.step(norm)[0].spike for norm in [1.0, 1.0, 1e9, *[1.0] * 13]] == [False] * 16
    assert run.guard.history == (1.0, 1.0, 1e9, *[1.0] * 13)
    assert run.step(1.34)[0].spike is False
    assert run.step(1.36)[0].spike is True
    few = Run(ac.SpikeGuard(window=4))
    assert [few.step(norm)[0].spike for norm in (1.0, 1.0, 1.0, 1.0, 2.0)] == [False] * 4 + [True]
    assert few.guard.limit == pytest.approx(math.exp(0.3), rel=1e-9)


def test_at_most_so_many_in_a_row_are_skipped() -> None:
    """Spikes that follow are clipped, and a new size of gradients is followed."""
    run = Run(ac.SpikeGuard(action="skip", max_skips=3))
    run.settle()
    infos = [run.step(100.0)[0] for _ in range(300)]
    assert [info.skipped for info in infos] == [True] * 3 + [False] * 297
    spikes = [info.spike for info in infos]
    assert spikes == sorted(spikes, reverse=True)
    assert sum(spikes) < 128
    _, seen = run.step(100.0)
    assert seen == pytest.approx(100.0)
    assert run.step(1e4)[0].skipped is True, "the row has ended"


def test_what_a_guard_remembers() -> None:
    run = Run(ac.SpikeGuard(action="skip", max_skips=1))
    run.settle(20)
    known, limit = run.guard.history, run.guard.limit
    assert run.step(1e3)[0].skipped
    assert run.guard.history == known
    assert run.step(1e3)[0] == ac.StepInfo(False, 1e3, spike=True)
    assert run.guard.history == (*known, limit)


@pytest.mark.parametrize("nonfinite", ["propagate", "skip", "raise"])
def test_gradients_that_are_not_finite_are_not_seen(nonfinite: Any) -> None:
    run = Run(ac.SpikeGuard(action="skip"), nonfinite=nonfinite)
    run.settle()
    known = run.guard.history
    for bad in (INF, NAN):
        if nonfinite == "raise":
            with pytest.raises(ac.NonFiniteError, match=r"^grads: there are values"):
                run.step(bad)
        else:
            info, _ = run.step(bad)
            assert (info.skipped, info.spike) == (nonfinite == "skip", False)
    assert run.guard.history == known
    assert run.step(1e3)[0] == ac.StepInfo(True, 1000.0, spike=True), "and no NonFiniteError"
    assert run.step(0.0)[0].spike is False
    assert run.guard.history == known, "a norm of 0 has no logarithm"


def test_norms_at_the_ends_of_the_range() -> None:
    """The norm of finite gradients may be beyond the range of double."""
    small = Run()
    small.optimizer.param_groups[0]["lr"] = 2.0**-60
    for _ in range(3):
        assert small.optimizer.step(np.full(2, 1.5e308)).spike is False
    assert small.guard.history == ()
    for _ in range(16):
        small.step(5e-324)
    assert small.guard.history == (5e-324,) * 16
    before = small.param.copy()
    info = small.optimizer.step(np.full(2, 1.5e308))
    assert (info.spike, info.grad_norm) == (True, INF)
    assert np.array_equal(small.param, before), "so little is left of it"
    large = Run()
    large.optimizer.param_groups[0]["lr"] = 2.0**-60
    for _ in range(20):
        assert large.step(1.7e308)[0].spike is False
    assert large.guard.limit == INF


def test_a_loss_scaler_does_not_back_off() -> None:
    run, scaler = Run(ac.SpikeGuard(action="skip")), ac.LossScaler(8.0, growth_interval=20, min_scale=8.0)
    for norm in noise(19):
        run.step(norm * 8, loss_scale=scaler)
    assert run.step(8e3, loss_scale=scaler)[0] == ac.StepInfo(True, 1000.0, spike=True)
    assert scaler.scale == 16.0, "it was the 20th step without overflow"
    assert run.step(16e3, loss_scale=16.0)[0].spike


def test_schedules_stand_still() -> None:
    run = Run(ac.SpikeGuard(action="skip"))
    run.settle(30)
    run.optimizer.param_groups[0]["lr"] = ac.schedules.Linear(1.0, 0.0, steps=100)
    before = run.optimizer.current()["lr"]
    assert run.step(1e3)[0].skipped
    assert run.optimizer.current()["lr"] == before


def test_clipping_is_that_of_the_number(case: Case, rng: np.random.Generator) -> None:
    """Every rule sees a spike as if the limit had been its ``clip_norm``, and other gradients as they are."""
    shapes = [(5, 7), (300,), ()]
    start = [np.asarray(rng.standard_normal(s), np.float32) for s in shapes]
    grads = [[np.asarray(rng.standard_normal(s), np.float32) for s in shapes] for _ in range(18)]
    grads[17][1] *= 30
    grads[9][0] = None
    guarded, plain = (
        make(case, [p.copy() for p in start], clip_norm=limit) for limit in (ac.SpikeGuard(window=8, k=12.0), INF)
    )
    for each in grads[:17]:
        assert guarded.step(each).spike is False
        plain.step(each)
    assert everything(guarded) == everything(plain)
    clipped = make(
        case, [p.copy() for p in plain.param_groups[0]["params"]], clip_norm=guarded.options["clip_norm"].limit
    )
    clipped.load_state_dict(plain.state_dict())
    assert guarded.step(grads[17]).spike is True
    clipped.step(grads[17])
    assert everything(guarded) == everything(clipped)


@pytest.mark.parametrize("dtype", [F32, *HALVES], ids=str)
def test_bits_do_not_depend_on_isa_threads_or_layout(dtype: np.dtype) -> None:
    def run(order: Any) -> Any:
        rng = np.random.default_rng(5)
        param = np.array(rng.standard_normal((130, 70)).astype(dtype), order=order)
        guard = ac.SpikeGuard(window=16, action="skip")
        optimizer = ac.AdamW({"w": param}, clip_norm=guard, maximize=True)
        infos = []
        for i in range(24):
            g = rng.standard_normal((130, 70)) * (40 if i in (18, 21) else 1)
            infos.append(repr(optimizer.step({"w": np.array(g.astype(dtype), order=order)})))
        return param.tobytes("C"), infos, guard.history, guard.limit

    results = everywhere(run)
    assert all(result == results[0] for result in results)
    assert [i for i, info in enumerate(results[0][1]) if "spike" in info] == [18, 21]


def test_the_object() -> None:
    guard = ac.SpikeGuard()
    assert (guard.k, guard.window, guard.action, guard.max_skips) == (6.0, 128, "clip", 3)
    assert guard == ac.SpikeGuard(6, 128, "clip", 3) != ac.SpikeGuard(action="skip")
    assert hash(guard) == hash(ac.SpikeGuard())
    assert repr(ac.SpikeGuard(5.0, action="skip")) == "SpikeGuard(5.0, action='skip')"
    assert (guard.history, guard.limit) == ((), INF)
    for name in ("k", "history", "limit"):
        with pytest.raises(AttributeError):
            setattr(guard, name, 1.0)
    assert "SpikeGuard" in dir(ac)
    assert "clip_norm: SpikeGuard(5.0)" in repr(ac.SGD(np.ones(2), clip_norm=ac.SpikeGuard(5.0)))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"k": 0.0}, ValueError, "SpikeGuard: k must be a number > 0, got 0.0"),
        ({"k": NAN}, ValueError, "k must be"),
        ({"k": INF}, ValueError, "k must be"),
        ({"k": "6"}, TypeError, "k must be"),
        ({"window": 1}, ValueError, "window must be an int from 2 to 65536, got 1"),
        ({"window": 2**17}, ValueError, "window must be"),
        ({"window": 128.0}, TypeError, "window must be"),
        ({"action": "drop"}, ValueError, "action must be 'clip' or 'skip', got 'drop'"),
        ({"action": None}, TypeError, "action must be"),
        ({"max_skips": 0}, ValueError, "max_skips must be an int >= 1, got 0"),
        ({"max_skips": True}, TypeError, "max_skips must be"),
    ],
    ids=str,
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        ac.SpikeGuard(**arguments)


def test_where_a_guard_may_stand() -> None:
    for option in ("clip_norm_per_tensor", "clip_adaptive", "clip_value"):
        with pytest.raises(
            TypeError, match=f"SGD: {option} must be a number > 0, got SpikeGuard.*, which only clip_norm"
        ):
            ac.SGD(np.ones(2), **{option: ac.SpikeGuard()})
    with pytest.raises(ValueError, match="clip_norm and clip_value cannot be combined"):
        ac.SGD(np.ones(2), clip_norm=ac.SpikeGuard(), clip_value=1.0)
    with pytest.raises(TypeError, match="lr"):
        ac.SGD(np.ones(2), lr=ac.SpikeGuard())
