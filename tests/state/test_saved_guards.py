"""What state dicts and copies have of a `SpikeGuard`."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from spikes import Run, gradient, noise, with_spikes

INF = math.inf


@pytest.mark.parametrize("action", ["clip", "skip"])
def test_a_checkpoint_goes_on_with_the_same_decisions(action: Any) -> None:
    norms = with_spikes(noise(400), {150: 60.0, 151: 60.0, 152: 60.0, 153: 60.0, 154: 60.0, 300: 60.0})
    whole = Run(ac.SpikeGuard(action=action))
    infos = [whole.step(norm)[0] for norm in norms]
    for stop in (5, 20, 152, 154, 299):
        first, second = Run(ac.SpikeGuard(action=action)), Run(ac.SpikeGuard(action=action))
        found = [first.step(norm)[0] for norm in norms[:stop]]
        second.settle(3)  # what it remembers is replaced
        guard = second.optimizer.options["clip_norm"]
        second.param[:] = first.param
        second.optimizer.load_state_dict(json_of(first.optimizer.state_dict()))
        assert second.optimizer.options["clip_norm"] is guard
        assert (guard.history, guard.limit) == (first.guard.history, first.guard.limit)
        found += [second.step(norm)[0] for norm in norms[stop:]]
        assert found == infos
        assert second.param.tobytes() == whole.param.tobytes()
        assert second.guard.history == whole.guard.history


def json_of(state_dict: dict[str, Any]) -> dict[str, Any]:
    """The part of a state dict that a file has as text, written and read."""
    return {**state_dict, "guards": json.loads(json.dumps(state_dict["guards"]))}


def test_other_guards_on_loading() -> None:
    old = Run(ac.SpikeGuard(k=5.0))
    old.settle()
    saved = old.optimizer.state_dict()
    assert saved["guards"]["clip_norm"] == {
        **old.guard.to_dict(),
        "state": {"norms": list(old.guard.history), "skipped": 0},
    }
    other, plain = Run(ac.SpikeGuard(window=20)), ac.SGD(np.zeros(2), lr=1.0, clip_norm=1.0)
    other.settle(3)
    before = other.guard.history
    with pytest.raises(
        ValueError, match=r"\['guards'\]\['clip_norm'\]: the optimizer has SpikeGuard\(window=20\), and"
    ):
        other.optimizer.load_state_dict(saved)
    with pytest.raises(ValueError, match=r"has SpikeGuard\(5.0\), but the optimizer was made without a SpikeGuard"):
        plain.load_state_dict(saved)
    assert (other.guard.history, other.optimizer.completed, plain.completed) == (before, 3, 0)
    other.optimizer.load_state_dict(saved, schedules="own")
    assert other.guard.history == old.guard.history[-20:]
    plain.load_state_dict(saved, schedules="own")
    assert plain.state_dict()["guards"] == {}
    other.optimizer.load_state_dict(plain.state_dict())
    assert (other.guard.history, other.guard.limit) == ((), INF)
    del saved["guards"]  # as earlier versions saved it
    old.optimizer.load_state_dict(saved)
    assert old.guard.history == ()


@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        (3, TypeError, r"state_dict\['guards'\]: expected a dict, got 3"),
        ({"lr": {}}, ValueError, "'lr' is no option that can be a guard"),
        ({"clip_norm": {"type": "Constant", "value": 1.0}}, ValueError, "expected what SpikeGuard.to_dict"),
        ({"clip_norm": {"type": "SpikeGuard", "k": -1.0}}, ValueError, r"\['clip_norm'\]: SpikeGuard: k must be"),
        ({"clip_norm": {"type": "SpikeGuard", "l": 1}}, ValueError, "there is no argument 'l'"),
        ({"clip_norm": {"type": "SpikeGuard", "state": {"norms": []}}}, ValueError, "state must be a dict with"),
        ({"clip_norm": {"type": "SpikeGuard", "state": {"norms": 3, "skipped": 0}}}, TypeError, "norms must be a list"),
        ({"clip_norm": {"type": "SpikeGuard", "state": {"norms": [1, INF], "skipped": 0}}}, ValueError, r"norms\[1\]"),
        ({"clip_norm": {"type": "SpikeGuard", "state": {"norms": [0.0], "skipped": 0}}}, ValueError, "norm.* > 0"),
        ({"clip_norm": {"type": "SpikeGuard", "state": {"norms": [], "skipped": -1}}}, ValueError, "skipped must be"),
    ],
    ids=str,
)
def test_bad_saved_guards_change_nothing(bad: Any, error: type[Exception], match: str) -> None:
    run = Run()
    run.settle()
    before = run.guard.history
    saved = run.optimizer.state_dict()
    run.step(1.0)
    with pytest.raises(error, match=match):
        run.optimizer.load_state_dict({**saved, "guards": bad})
    assert run.guard.history == (*before, 1.0)
    assert run.optimizer.completed == 41


def test_a_guard_belongs_to_one_optimizer() -> None:
    run = Run()
    run.settle(3)
    with pytest.raises(ValueError, match="Adam: clip_norm: another SGD has this SpikeGuard"):
        ac.Adam(np.ones(2), clip_norm=run.guard)
    with pytest.raises(ValueError, match="there are no parameters"):
        ac.Adam([], clip_norm=ac.SpikeGuard())
    guard = run.guard
    del run
    assert len(guard.history) == 3
    assert ac.Adam(np.ones(2), clip_norm=guard).options["clip_norm"] is guard


def test_copies() -> None:
    run = Run(ac.SpikeGuard(action="skip"))
    run.settle()
    run.step(1e3)
    lone = (copy.copy(run.guard), copy.deepcopy(run.guard), pickle.loads(pickle.dumps(run.guard)))  # noqa: S301
    for other in lone:
        assert other == run.guard
        assert (other.history, other.limit) == (run.guard.history, run.guard.limit)
        assert other.to_dict() == run.guard.to_dict()
    for copied in (copy.deepcopy(run.optimizer), pickle.loads(pickle.dumps(run.optimizer))):  # noqa: S301
        guard = copied.options["clip_norm"]
        assert guard is not run.guard
        assert guard.history == run.guard.history
        known = run.guard.history
        copied.step(gradient(1.0))
        assert guard.history == (*known, 1.0)
        assert run.guard.history == known
        with pytest.raises(ValueError, match="another SGD has this SpikeGuard"):
            ac.SGD(np.ones(2), clip_norm=guard)
    optimizer, guard = copy.deepcopy((run.optimizer, run.guard))
    assert optimizer.options["clip_norm"] is guard


def test_rebind_keeps_the_guard() -> None:
    run = Run()
    run.settle()
    known = run.guard.history
    run.optimizer.rebind(np.zeros(2))
    run.optimizer.step(gradient(1.0))
    assert run.guard.history == (*known, 1.0)


def test_a_step_that_raises_is_not_remembered() -> None:
    run = Run()
    run.settle()
    before = run.guard.history
    run.optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr"):
        run.step(1.0)
    run.optimizer.param_groups[0]["lr"] = 1.0
    with pytest.raises(ValueError, match="shape"):
        run.optimizer.step(np.ones(3))
    assert run.guard.history == before
