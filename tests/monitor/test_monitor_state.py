"""The state of a monitor: a run that is cut anywhere finds the same, and what is no state is refused."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import adamcore as ac
from monitored import brief, events, feed, make_monitor, make_optimizer

ARGUMENTS = {"units": True, "validation_window": 8}


def used(seed=0, count=700, **arguments):
    """A monitor that has seen a part of a run in which everything goes wrong."""
    mon = make_monitor(**{**ARGUMENTS, **arguments})
    for event in events(seed, count):
        event.observe(mon)
    return mon


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    cuts=st.sets(st.integers(0, 300), max_size=4),
    window=st.sampled_from([4, 20, 32, 48, 256]),
    every=st.sampled_from([None, 1, 3, 8, 300]),
)
@example(seed=0, cuts=set(range(0, 300, 7)), window=32, every=8)
def test_a_run_that_is_cut_anywhere_is_the_unbroken_run(seed, cuts, window, every):
    arguments = {**ARGUMENTS, "window": window, "stats_every": every}
    whole, parts = make_monitor(**arguments), make_monitor(**arguments)
    for step, event in enumerate(events(seed, 300)):
        if step in cuts:
            state = parts.state_dict()
            text = json.dumps(state, allow_nan=False)
            parts = make_monitor(**arguments)
            parts.load_state_dict(json.loads(text))
            assert parts.state_dict() == state == json.loads(text)
        assert parts.wants_stats == whole.wants_stats
        assert event.observe(parts) == event.observe(whole)
    assert parts.findings == whole.findings
    assert parts.state_dict() == whole.state_dict()


def test_the_state_is_a_copy():
    mon = used()
    state = mon.state_dict()
    before = copy.deepcopy(state)
    for event in events(1, 300):
        event.observe(mon)
    assert state == before
    other = make_monitor(**ARGUMENTS)
    other.load_state_dict(state)
    for event in events(1, 300):
        event.observe(other)
    assert state == before
    assert other.state_dict() == mon.state_dict()


def test_a_file_has_it(tmp_path):
    w = {"a": np.ones((4, 5)), "b": np.ones((5, 2)), "bias": np.ones(2)}
    opt, mon = ac.SGD(w, lr=0.1), used(3)
    ac.save(tmp_path / "run", opt, monitor=mon)
    other = make_monitor(**ARGUMENTS)
    ac.load(tmp_path / "run", opt, monitor=other)
    assert other.state_dict() == mon.state_dict()
    wrong = make_monitor(**{**ARGUMENTS, "window": 64})
    with pytest.raises(ValueError, match="it is of a monitor with window=32, but this one has window=64"):
        ac.load(tmp_path / "run", opt, monitor=wrong)


def test_a_file_has_it_while_losses_are_not_finite(tmp_path):
    opt, mon = make_optimizer(), make_monitor()
    feed(mon, [1.0] * 20 + [math.nan, math.inf] * 3, grad_rms=math.nan, cos=math.inf, zero=math.nan)
    ac.save(tmp_path / "run", opt, monitor=mon)
    other = make_monitor()
    ac.load(tmp_path / "run", opt, monitor=other)
    assert other.state_dict() == mon.state_dict()
    assert brief(other.findings) == [(21, "note", "lr_large")]
    assert feed(mon, [math.nan] * 2) == feed(other, [math.nan] * 2) == [(28, "stop", "exploding")]


@pytest.mark.parametrize("window", [32, 256])
def test_it_does_not_grow(window):
    mon = make_monitor(**{**ARGUMENTS, "window": window})
    sizes = []
    for _ in range(3):
        for event in events(5, 1500):
            event.observe(mon)
        state = mon.state_dict()
        state["log"]["findings"] = []
        sizes.append(len(json.dumps(state)))
    assert max(sizes) < 12_000 + 100 * window
    assert sizes[2] < 1.3 * sizes[0]
    assert len(mon.findings) <= 12 * 100


def test_the_history_begins_anew():
    mon = used(count=50)
    mon.load_state_dict(used(count=100).state_dict())
    assert len(mon.history["step"]) == len(mon.statistics["step"]) == 0
    feed(mon, [1.0] * 9)
    assert mon.history["step"].tolist() == list(range(101, 110))
    assert mon.statistics["step"].tolist() == [105]
    assert mon.report().startswith("SGD, 109 steps: loss 1 at first, 1 at last, 1 at best, of the last 9 steps")
    assert json.loads(mon.to_json())["steps"] == 109


def test_the_first_step_is_that_of_the_saved_run():
    opt = make_optimizer()
    grads = {name: np.ones_like(array) for name, array in zip("ab", opt.param_groups[0]["params"][:2], strict=True)}
    mon = ac.Monitor(opt)
    for _ in range(5):
        mon.observe(1.0, opt.step({**grads, "bias": None}))
    later = ac.Monitor(opt)
    later.load_state_dict(mon.state_dict())
    wanted = []
    for _ in range(8):
        wanted.append(later.wants_stats)
        later.observe(1.0, ac.StepInfo())
    assert wanted == [False] * 3 + [True] + [False] * 4
    assert later.history["step"].tolist() == list(range(6, 14))


OTHER = {
    "window": 64,
    "tol": 0.02,
    "max_window": 32,
    "scale": 1.0,
    "validation_window": 9,
    "stats_every": None,
    "units": False,
    "mode": "max",
}


@pytest.mark.parametrize("name", OTHER)
def test_a_state_of_other_arguments_is_refused(name):
    state = used().state_dict()
    mon = make_monitor(**{**ARGUMENTS, name: OTHER[name]})
    before = mon.state_dict()
    with pytest.raises(ValueError, match=f"Monitor: state_dict: it is of a monitor with {name}="):
        mon.load_state_dict(state)
    assert mon.state_dict() == before


def paths(value, path=()):
    """Yield the path to every value of a state: keys, and the first item of each list."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list) and value:
        yield from paths(value[0], (*path, 0))


def replaced(state, path, value):
    """Return a copy with another value at a place, or without it."""
    state = copy.deepcopy(state)
    inner = state
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return state


STATE = used(2, 1500).state_dict()
BY_NAME = {"left_out", "zero_since", "lost_since", "evidence"}
"""Dicts that may have any names."""


@pytest.mark.parametrize("path", list(paths(STATE)), ids=lambda path: ".".join(map(str, path)))
def test_a_damaged_state_is_refused_by_name_and_changes_nothing(path):
    mon = used(1, 100)
    before, history = mon.state_dict(), mon.history
    refused = 0
    for wrong in (..., object(), "x", [object()], {"?": 1}, -1, 0.5, math.nan, 10**400, b"", [[[]]]):
        if wrong is ... and (isinstance(path[-1], int) or path[-2] in BY_NAME if len(path) > 1 else False):
            continue
        try:
            mon.load_state_dict(replaced(STATE, path, wrong))
        except (TypeError, ValueError) as error:
            refused += 1
            text = str(error)
            assert text.startswith("Monitor: state_dict")
            assert any(str(key) in text for key in path), text
            assert mon.state_dict() == before
            assert mon.history == history
        else:  # it may be another number that is just as well possible, but never what has no meaning
            assert isinstance(wrong, (str, float, int)) or path[-1] in BY_NAME
            json.dumps(mon.state_dict(), allow_nan=False)
            feed(mon, [1.0] * 50)
            mon.load_state_dict(before)
            history = mon.history
    assert refused >= 5


@pytest.mark.parametrize("wrong", [None, 3, "x", [], {}, {"seen": 3}, {**STATE, "more": 1}, {**STATE, "first": 10**9}])
def test_what_is_no_state_is_refused(wrong):
    mon = make_monitor(**ARGUMENTS)
    with pytest.raises((TypeError, ValueError), match="Monitor: state_dict"):
        mon.load_state_dict(wrong)
