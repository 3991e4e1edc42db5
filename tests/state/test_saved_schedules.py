"""Schedules in state dicts: saved with their arguments, compared on loading, and taken over or kept."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules
from helpers import everything

COSINE = schedules.Warmup(schedules.Cosine(0.5, 0.0625, steps=16), steps=4)
LINEAR = schedules.Linear(0.5, 0.25, steps=8)
BETA = schedules.Linear(0.5, 0.875, steps=8)


def adamw(**options: Any) -> ac.AdamW:
    return ac.AdamW({"w": np.ones(3), "b": np.ones(2)}, **options)


def train(optimizer: ac.Optimizer, steps: int, seed: int = 5) -> None:
    for t in range(steps):
        rng = np.random.default_rng([seed, optimizer.completed, t])
        groups = optimizer.param_groups
        named = [pair for group in groups for pair in zip(group["param_names"], group["params"], strict=True)]
        optimizer.step({name: rng.standard_normal(p.shape) for name, p in named})


def rate(optimizer: ac.Optimizer) -> Any:
    return optimizer.param_groups[0]["lr"]


def test_schedules_are_saved_as_json() -> None:
    saved = adamw(lr=COSINE, betas=(BETA, 0.75), weight_decay=lambda _: 0.5).state_dict()
    group = saved["param_groups"][0]
    assert group["lr"] == COSINE.to_dict()
    assert group["betas"] == (BETA.to_dict(), 0.75)
    assert group["weight_decay"] == {"type": "callable"}
    assert json.loads(json.dumps(group)) == {**group, "betas": list(group["betas"])}
    assert (saved["format"], saved["numbers"], saved["averages"], saved["window"]) == (2, {}, {}, None)


def test_no_code_is_needed_to_resume() -> None:
    """A number gives way to the saved schedule, also one in a tuple, and after JSON."""
    old = adamw(lr=COSINE, betas=(BETA, 0.75))
    train(old, 3)
    saved = old.state_dict()
    saved["param_groups"] = json.loads(json.dumps(saved["param_groups"]))
    new = adamw()
    for p, q in zip(new.param_groups[0]["params"], old.param_groups[0]["params"], strict=True):
        p[...] = q
    assert new.load_state_dict(saved) is None
    assert rate(new) == COSINE
    assert list(new.param_groups[0]["betas"]) == [BETA, 0.75]
    train(old, 6)
    train(new, 6)
    assert everything(new) == everything(old)


@pytest.mark.parametrize("again", [True, False], ids=["given again", "not given"])
@pytest.mark.parametrize("at", [2, 5, 9])
def test_a_resumed_run_has_the_bits_of_an_unbroken_one(at: int, again: bool) -> None:
    """In the middle of a warm-up, of the decay, and of a plateau's patience."""

    def make(given: bool) -> tuple[ac.AdamW, Any]:
        plateau = schedules.ReduceOnPlateau(COSINE, patience=2, factor=0.5)
        return (adamw(lr=plateau, betas=(BETA, 0.75)) if given else adamw()), plateau

    def run(optimizer: ac.Optimizer, plateau: Any, begin: int, end: int) -> None:
        for t in range(begin, end):
            train(optimizer, 1)
            plateau.observe(1.0 if t < 4 else 0.5, step=optimizer.completed)

    whole, plateau = make(True)
    run(whole, plateau, 0, 12)
    broken, plateau = make(True)
    run(broken, plateau, 0, at)
    saved = copy.deepcopy(broken.state_dict())
    weights = [p.copy() for p in broken.param_groups[0]["params"]]
    resumed, plateau = make(again)
    resumed.load_state_dict(saved)
    for p, q in zip(resumed.param_groups[0]["params"], weights, strict=True):
        p[...] = q
    if not again:
        plateau = rate(resumed)
    assert rate(resumed) is plateau
    run(resumed, plateau, at, 12)
    assert everything(resumed) == everything(whole)
    assert resumed.current() == whole.current()
    assert resumed.current()["lr"] < COSINE(resumed.completed), "the plateau was found"


CHOICES: list[tuple[Any, Any, Any, Any]] = [
    # own, saved, schedules=, what the optimizer has then (or what the error says)
    (0.25, LINEAR, None, LINEAR),
    (0.25, LINEAR, "saved", LINEAR),
    (0.25, LINEAR, "own", 0.25),
    (LINEAR, LINEAR, None, LINEAR),
    (LINEAR, COSINE, "own", LINEAR),
    (LINEAR, COSINE, "saved", COSINE),
    (
        LINEAR,
        COSINE,
        None,
        r"\['lr'\]: the optimizer has Linear\(0.5, 0.25, steps=8\), and the state_dict has Warmup\(",
    ),
    (LINEAR, 0.25, "own", LINEAR),
    (LINEAR, 0.25, "saved", 0.25),
    (
        LINEAR,
        0.25,
        None,
        r"\['lr'\]: the optimizer has Linear\(.*\), and the state_dict has 0.25; pass schedules='own'",
    ),
    (0.25, 0.5, None, 0.5),
    (0.25, 0.5, "own", 0.5),
    (abs, LINEAR, "own", abs),
    (abs, LINEAR, "saved", LINEAR),
    (abs, LINEAR, None, r"\['lr'\]: the optimizer has <built-in function abs>, and the state_dict has Linear\("),
    (abs, float, None, abs),
    (abs, float, "saved", abs),
    (LINEAR, float, None, LINEAR),
    (0.25, float, "own", 0.25),
    (0.25, float, None, r"\['lr'\]: the state_dict was saved with a callable that is no Schedule"),
    (0.25, float, "saved", r"\['lr'\]: the state_dict was saved with a callable that is no Schedule"),
]


@pytest.mark.parametrize(("own", "saved", "choice", "expected"), CHOICES, ids=str)
def test_what_counts(own: Any, saved: Any, choice: Any, expected: Any) -> None:
    old, new = adamw(lr=saved), adamw(lr=own)
    train(old, 2)
    state_dict, before = old.state_dict(), everything(new)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=r"^state_dict\['param_groups'\]\[0\]" + expected):
            new.load_state_dict(state_dict, schedules=choice)
        assert everything(new) == before
        assert rate(new) is own
        assert new.completed == 0
        return
    new.load_state_dict(state_dict, schedules=choice)
    assert rate(new) == expected
    assert rate(new) is own or expected != own, "the user's own object stays if it counts"
    assert new.completed == 2


def test_elements_of_betas_are_decided_one_by_one() -> None:
    old = adamw(betas=(BETA, 0.75))
    new = adamw(betas=(copy.deepcopy(BETA), 0.5))
    own = new.param_groups[0]["betas"][0]
    new.load_state_dict(old.state_dict())
    assert new.param_groups[0]["betas"] == (BETA, 0.75)
    assert new.param_groups[0]["betas"][0] is own
    other = adamw(betas=(0.25, LINEAR))
    with pytest.raises(ValueError, match=r"\['betas'\]\[1\]: the optimizer has Linear"):
        other.load_state_dict(old.state_dict())
    other.load_state_dict(old.state_dict(), schedules="own")
    assert other.param_groups[0]["betas"] == (0.25, LINEAR)


def test_ledgers_are_taken_into_the_users_objects() -> None:
    """Arguments are compared, and what has been observed is taken over: nested, shared, and all or nothing."""

    def make() -> tuple[ac.SGD, Any]:
        plateau = schedules.ReduceOnPlateau(0.5, patience=0, factor=0.5)
        groups = [
            {"params": {"a": np.ones(2)}},
            {"params": {"b": np.ones(2)}, "lr": schedules.Warmup(plateau, steps=2)},
        ]
        return ac.SGD(groups, lr=plateau), plateau

    old, plateau = make()
    for step, metric in enumerate([1.0, 1.0, 0.5, 0.75], 1):
        plateau.observe(metric, step=step)
    saved = old.state_dict()
    new, mine = make()
    assert mine(10) == 0.5
    bad = {**saved, "state": {"a": {"step": 0}}}
    with pytest.raises(ValueError, match="'b' is missing"):
        new.load_state_dict(bad)
    assert mine(10) == 0.5
    new.load_state_dict(saved)
    assert mine(10) == plateau(10) == 0.125
    assert mine.to_dict() == plateau.to_dict()
    assert new.param_groups[1]["lr"](10) == 0.125
    assert mine.observe(0.75, step=5) == plateau.observe(0.75, step=5)
    kept, own = make()
    kept.load_state_dict(saved, schedules="own")
    assert own(10) == 0.125, "the same arguments: what was observed counts"


def edited(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    saved = copy.deepcopy(adamw(lr=COSINE).state_dict())
    change(saved)
    return saved


BAD: list[tuple[Callable[[dict[str, Any]], Any], type, str]] = [
    (lambda s: s["param_groups"][0].update(lr={"type": "Nothing"}), ValueError, r"\['lr'\]: .*Nothing"),
    (lambda s: s["param_groups"][0].update(lr={}), ValueError, r"\['lr'\]: "),
    (lambda s: s["param_groups"][0]["lr"].update(steps=-1), ValueError, r"\['lr'\]: Warmup: steps must be"),
    (lambda s: s["param_groups"][0]["lr"]["schedule"].pop("steps"), ValueError, r"\['lr'\]: Cosine: .*steps"),
    (lambda s: s["param_groups"][0]["lr"].update(stops=1), ValueError, r"\['lr'\]: Warmup: .*stops"),
    (lambda s: s.update(schedules=None), TypeError, r"\['schedules'\]: expected a list"),
    (lambda s: s.update(schedules=[[["lr", 0, -1]]]), TypeError, r"\['schedules'\]\[0\]: expected places"),
    (
        lambda s: s.update(schedules=[[[0, "lr", -1], [7, "lr", -1]]]),
        ValueError,
        "expected places of",
    ),
    (
        lambda s: s.update(schedules=[[[0, "lr", -1], [-1, "lr", -1]]]),
        ValueError,
        "expected places of",
    ),
    (lambda s: s.update(schedules=[[[0, "lr", -1, "start"]]]), ValueError, "expected places of"),
    (lambda s: s.update(schedules=[[[0, "lr", -1], [0, "lr", -1, "schedule"]]]), ValueError, "there are different"),
    (lambda s: s.pop("schedules"), ValueError, "'schedules' is missing"),
    (lambda s: s["numbers"].update(d=1.0), ValueError, r"\['numbers'\]: 'd' is not in the optimizer"),
    (lambda s: s["averages"].update(ema={}), ValueError, r"\['averages'\]: 'ema' is not in the optimizer"),
    (lambda s: s.update(window={}), ValueError, r"\['window'\]: 'leaves' is missing"),
    (
        lambda s: s["param_groups"][0].update(lr=schedules.Constant(-1.0).to_dict()),
        ValueError,
        r"AdamW: lr must be .*, got -1.0 from its schedule, Constant\(-1.0\), after 0 completed steps",
    ),
]


@pytest.mark.parametrize(("change", "error", "match"), BAD, ids=[match for *_, match in BAD])
def test_bad_schedules_change_nothing(change: Callable[[dict[str, Any]], Any], error: type, match: str) -> None:
    optimizer = adamw()
    before = everything(optimizer), dict(optimizer.param_groups[0])
    with pytest.raises(error, match=match):
        optimizer.load_state_dict(edited(change))
    assert (everything(optimizer), dict(optimizer.param_groups[0])) == before


def test_an_unknown_choice() -> None:
    optimizer = adamw()
    with pytest.raises(ValueError, match="schedules must be 'saved', 'own' or None, got 'both'"):
        optimizer.load_state_dict(optimizer.state_dict(), schedules="both")  # type: ignore[arg-type]


def test_an_unknown_class_does_not_matter_if_the_own_one_counts() -> None:
    saved = edited(lambda s: s["param_groups"][0].update(lr={"type": "Nothing"}))
    optimizer = adamw(lr=LINEAR)
    optimizer.load_state_dict(saved, schedules="own")
    assert rate(optimizer) is LINEAR


def test_copies_have_schedules_of_their_own() -> None:
    """deepcopy and pickle do not call schedules, and copy what has been observed."""
    plateau = schedules.ReduceOnPlateau(0.5, patience=0, factor=0.5)
    old = ac.SGD(np.ones(3), lr=plateau, momentum=LINEAR, nesterov=True)
    train(old, 1)
    plateau.observe(1.0, step=1)
    new = copy.deepcopy(old)
    plateau.observe(1.0, step=2)
    assert rate(new)(5) == 0.5
    assert plateau(5) == 0.25
    assert new.current()["momentum"] == LINEAR(1)
