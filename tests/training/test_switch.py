"""`switch`: what another rule takes over, for every pair of rules and by formula, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules
from helpers import bits, everything, make
from pairs import EXHAUSTIVE, products
from reference import CASES, Case
from snapshots import all_of
from storage import BF16, F16, F32, F64
from switching import after, weighted

SIZES = {"w": (6, 4), "b": (5,), "s": ()}


def arrays(rng: np.random.Generator, dtype: Any = F64) -> dict[str, np.ndarray]:
    return {name: np.asarray(rng.standard_normal(size)).astype(dtype) for name, size in SIZES.items()}


def trained(case: Case, rng: np.random.Generator, steps: int, dtype: Any = F64) -> ac.Optimizer:
    opt = make(case, arrays(rng, dtype))
    for _ in range(steps):
        opt.step(arrays(rng, dtype))
    return opt


def params_of(opt: ac.Optimizer) -> dict[str, np.ndarray]:
    return {
        name: p for group in opt.param_groups for name, p in zip(group["param_names"], group["params"], strict=True)
    }


def largest_move(opt: ac.Optimizer, gradients: list[dict[str, np.ndarray]]) -> float:
    moves = []
    for each in gradients:
        before = {name: p.copy() for name, p in params_of(opt).items()}
        opt.step(each)
        moves += [float(np.abs(p - before[name]).max()) for name, p in params_of(opt).items()]
    return max(moves)


SOME = CASES if EXHAUSTIVE else list({case.optimizer: case for case in CASES}.values())
"""One case of each optimizer, unless more is asked for."""


@pytest.mark.parametrize("first", SOME, ids=lambda case: f"from {case.id}")
@pytest.mark.parametrize("second", SOME, ids=lambda case: f"to {case.id}")
def test_every_pair_of_rules(first: Case, second: Case, rng: np.random.Generator) -> None:
    """State is what the report says, and no step is much larger than those of a rule that begins.

    (After 12 updates a second moment that lacks its bias correction would make them 9 times as large, and one that
    begins without the first moment 30 times.)
    """
    old = trained(first, rng, 12)
    params, weights = params_of(old), {name: p.tobytes() for name, p in params_of(old).items()}
    slots = {slot: {name: state[slot].copy() for name, state in old.state.items() if slot in state} for slot in SLOTS}
    cls = getattr(ac, second.optimizer)
    new = ac.switch(old, cls, **make(second, [np.ones(1)]).defaults)
    report = new.switched
    assert report is not None
    assert (report.before, report.now) == (first.optimizer, second.optimizer)
    assert {name: p.tobytes() for name, p in params_of(new).items()} == weights
    assert all(params_of(new)[name] is p for name, p in params.items())
    assert new.completed == 12
    assert set(new.steps.values()) == {12 if report.keeps_steps else 0}
    found = {slot for state in new.state.values() for slot in state}
    assert set(report.carried) | set(report.fresh) == found
    assert not set(report.carried) & set(report.fresh)
    begun = make(second, {name: p.copy() for name, p in params.items()})
    for slot in report.fresh:
        assert all(
            bits(new.state[name][slot]) == bits(state[slot]) for name, state in begun.state.items() if slot in state
        )
    for slot, source in report.carried.items():
        assert {name for name, state in new.state.items() if slot in state} <= set(slots[source])
    gradients = [arrays(rng) for _ in range(24)]
    bound = largest_move(begun, gradients)
    assert largest_move(new, gradients[:3]) <= 4 * bound


SLOTS = {slot for case in CASES for slot in (*case.slots, *(case.vector_slots or ()))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_same_rule_goes_on_with_the_same_bits(case: Case, rng: np.random.Generator) -> None:
    seed = int(rng.integers(2**31))
    one, other = (trained(case, np.random.default_rng(seed), 5) for _ in range(2))
    new = ac.switch(one, getattr(ac, case.optimizer))
    assert new.switched is not None
    assert not new.switched.fresh
    assert not new.switched.dropped
    for _ in range(4):
        gradients = arrays(rng)
        new.step(gradients)
        other.step(gradients)
    assert everything(new) == everything(other)
    assert new.completed == other.completed


def test_state_that_is_switched_off_is_not_carried() -> None:
    """It is of an earlier time."""
    opt = ac.SGD({"w": np.ones(3)}, lr=0.1, momentum=0.9)
    opt.step({"w": np.ones(3)})
    opt.param_groups[0]["momentum"] = 0.0
    opt.step({"w": np.ones(3)})
    new = ac.switch(opt, ac.Lion, lr=0.1)
    assert new.switched is not None
    assert new.switched.dropped == ("momentum_buffer",)
    assert not new.state["w"]["exp_avg"].any()


def test_a_buffer_that_has_not_begun_begins_with_the_gradient() -> None:
    opt = ac.SGD({"w": np.zeros(2), "v": np.zeros(2)}, lr=1.0, momentum=0.5, dampening=0.5)
    opt.step({"w": np.ones(2), "v": None})
    new = ac.switch(opt, ac.SGD, momentum=0.9)
    p = params_of(new)
    new.step({"w": np.ones(2), "v": np.ones(2)})
    assert p["v"].tolist() == [-1, -1], "it is not dampened"
    plain = ac.switch(ac.SGD({"w": np.zeros(2)}, lr=1.0), ac.SGD, momentum=0.5, dampening=0.5)
    plain.step({"w": np.ones(2)})
    assert params_of(plain)["w"].tolist() == [-1, -1]


def test_momentum_without_limit_begins_anew() -> None:
    opt = after(ac.SGD({"w": np.zeros(3)}, lr=0.1, momentum=1.0), [np.ones(3)] * 3)
    new = ac.switch(opt, ac.Lion)
    assert new.switched is not None
    assert not new.switched.carried


@products(dtype=[F32, BF16, F16], state=["float32", "bfloat16", "float16"], second=["SGD", "RMSprop", "AdamW"])
def test_storage(dtype: Any, state: str, second: str, rng: np.random.Generator) -> None:
    """Masters go along with their bits, and moments are rounded once."""
    precision = ac.Precision(state=state, state_rounding="nearest")
    opt = ac.Adam(arrays(rng, dtype), lr=0.1, betas=(0.9, 0.99), precision=precision)
    for _ in range(6):
        opt.step(arrays(rng, F32))
    before = {name: {slot: a.copy() for slot, a in slots.items()} for name, slots in opt.state.items()}
    options = {"SGD": {"momentum": 0.9}, "RMSprop": {"alpha": 0.9}, "AdamW": {}}[second]
    new = ac.switch(opt, getattr(ac, second), **options)
    assert new.options["precision"] == precision
    t = 6
    for name, slots in new.state.items():
        old = before[name]
        if dtype in (F16, BF16):
            assert bits(slots["master"]) == bits(old["master"])
        if second == "SGD":
            expected = (old["exp_avg"].astype(F64) * ((1 - 0.9**t) / 0.1 / (1 - 0.9**t))).astype(old["exp_avg"].dtype)
            found = slots["momentum_buffer"]
        elif second == "RMSprop":
            ratio = (1 - 0.9**t) / (1 - 0.99**t)
            expected = (old["exp_avg_sq"].astype(F64) * ratio).astype(old["exp_avg_sq"].dtype)
            found = slots["square_avg"]
        else:
            expected, found = old["exp_avg_sq"], slots["exp_avg_sq"]
            assert bits(found) == bits(expected)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.astype(F64), expected.astype(F64), rtol=2e-2 if state != "float32" else 1e-6)


def test_squares_of_half_precision_do_not_become_zero() -> None:
    p = np.ones(3, F32)
    precision = ac.Precision(state="float16", state_rounding="nearest")
    opt = after(ac.Adam({"w": p}, lr=0.0, betas=(0.9, 0.5), precision=precision), [np.full(3, 1e-4, F32)])
    assert (opt.state["w"]["exp_avg_sq"] > 0).all()
    new = ac.switch(opt, ac.RMSprop, alpha=0.999)
    assert (new.state["w"]["square_avg"] > 0).all()


@pytest.mark.parametrize("way", ["remainder", "compensated"])
def test_remainders_and_compensations_go_along(way: str, rng: np.random.Generator) -> None:
    options: dict[str, Any] = {"master": way} if way == "remainder" else {"master": None, "rounding": way}
    opt = ac.Adam(arrays(rng, BF16), lr=0.1, precision=ac.Precision(**options))
    for _ in range(4):
        opt.step(arrays(rng, F32))
    slots = ("remainder", "remainder_ties") if way == "remainder" else ("compensation",)
    before = [opt.state[name][slot].tobytes() for name in SIZES for slot in slots]
    new = ac.switch(opt, ac.SGD, momentum=0.5)
    assert [new.state[name][slot].tobytes() for name in SIZES for slot in slots] == before
    assert new.switched is not None
    assert set(slots) <= set(new.switched.carried)


def test_another_precision() -> None:
    p = np.ones(3, BF16)
    opt = after(ac.Adam({"w": p}, lr=0.1), [np.ones(3, F32)] * 3)
    new = ac.switch(opt, ac.AdamW, precision=ac.Precision(master=None, rounding="stochastic", state="bfloat16"))
    assert new.state["w"]["exp_avg"].dtype == BF16
    assert new.switched is not None
    assert "master" in new.switched.dropped


def test_complex_moments(rng: np.random.Generator) -> None:
    p = rng.standard_normal(6).view(np.complex128)
    gradients = [rng.standard_normal(6).view(np.complex128) for _ in range(4)]
    opt = after(ac.Adam({"w": p}, lr=0.1, betas=(0.9, 0.99)), gradients)
    new = ac.switch(opt, ac.SGD, momentum=0.9)
    np.testing.assert_allclose(new.state["w"]["momentum_buffer"], weighted(0.9, gradients), rtol=1e-12)


def test_groups_have_rules_of_their_own() -> None:
    first, second = schedules.Constant(0.1), lambda t: 0.01 * (t + 1)
    opt = ac.SGD(
        [
            {"params": {"a": np.zeros(2)}, "momentum": 0.9, "lr": first, "name": "one"},
            {"params": {"b": np.zeros(2)}, "momentum": 0.0, "lr": second, "weight_decay": 0.5},
        ],
        maximize=True,
        weight_decay=0.25,
    )
    opt.step({"a": np.ones(2), "b": np.ones(2)})
    new = ac.switch(opt, ac.Lion, betas=(0.9, 0.8))
    one, two = new.param_groups
    assert (one["lr"], two["lr"]) == (first, second)
    assert (one["name"], "name" in two) == ("one", False)
    assert (one["weight_decay"], two["weight_decay"], new.defaults["weight_decay"]) == (0.25, 0.5, 0.25)
    assert one["maximize"] is two["maximize"] is True
    assert (one["param_names"], two["param_names"]) == (["a"], ["b"])
    assert new.state["a"]["exp_avg"].any()
    assert not new.state["b"]["exp_avg"].any()
    assert dict(new.steps) == {"a": 1, "b": 0}
    assert new.switched is not None
    assert new.switched.options == ("lr", "weight_decay", "maximize")
    new.add_param_group({"params": {"c": np.zeros(1)}})
    assert new.param_groups[2]["weight_decay"] == 0.25


def test_options_count_more_than_what_would_be_carried() -> None:
    opt = ac.AdamW([{"params": [np.zeros(2)], "lr": 0.5}], clip_norm=1.0, nonfinite="skip")
    new = ac.switch(opt, ac.Lion, lr=0.25, clip_value=2.0)
    assert new.param_groups[0]["lr"] == 0.25
    assert new.options["clip_norm"] is None
    assert (new.options["clip_value"], new.options["nonfinite"]) == (2.0, "skip")


def test_the_rate_of_prodigy_and_tuples_of_other_lengths_are_not_carried() -> None:
    opt = ac.AdamW({"w": np.zeros(2)}, lr=0.01, betas=(0.8, 0.9), eps=1e-6)
    prodigy = ac.switch(opt, ac.Prodigy)
    assert (prodigy.param_groups[0]["lr"], prodigy.param_groups[0]["betas"]) == (1.0, (0.8, 0.9))
    adan = ac.switch(prodigy, ac.Adan)
    assert (adan.param_groups[0]["lr"], adan.param_groups[0]["betas"]) == (0.001, (0.98, 0.92, 0.99))
    adafactor = ac.switch(adan, ac.Adafactor)
    assert (adafactor.param_groups[0]["lr"], adafactor.param_groups[0]["eps"]) == (0.001, (None, 1e-3))


def test_schedules_go_on() -> None:
    rate = schedules.Linear(0.4, 0.0, steps=8)
    p = np.zeros(2)
    opt = after(ac.AdamW({"w": p}, lr=rate), [np.ones(2)] * 3)
    new = ac.switch(opt, ac.SGD, weight_decay=0.0)
    assert new.param_groups[0]["lr"] is rate
    before = p.copy()
    new.step({"w": np.ones(2)})
    assert bits(p) == bits(before - rate(3))


def test_the_text_of_the_report() -> None:
    opt = after(ac.AdamW({"w": np.zeros(2)}, lr=0.1), [np.ones(2)])
    new = ac.switch(opt, ac.RMSprop, momentum=0.9)
    assert str(new.switched).splitlines() == [
        "AdamW switched to RMSprop",
        "carried: square_avg (from exp_avg_sq)",
        "begins anew: momentum_buffer",
        "dropped: exp_avg",
        "options kept: lr, eps, weight_decay, maximize",
    ]
    assert "begins anew: momentum_buffer, counts of updates" in str(ac.switch(new, ac.SGD).switched)
    assert ac.SGD(np.zeros(1)).switched is None


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_schedule_free_stays_in_its_mode(mode: str) -> None:
    p = np.ones(3)
    opt = after(ac.ScheduleFreeAdamW({"w": p}, lr=0.1), [np.arange(3.0), np.ones(3)])
    if mode == "eval":
        opt.eval()
    seen = p.copy()
    new = ac.switch(opt, ac.ScheduleFreeAdamW, nonfinite="skip")
    assert new.mode == mode
    assert bits(p) == bits(seen)
    new.train()
    ac.switch(new, ac.SGD).step({"w": np.ones(3)})


@pytest.mark.torch
def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    w = torch.nn.Parameter(torch.ones(4, 2))
    opt = ac.AdamW([("w", w)], lr=0.1)
    for _ in range(3):
        opt.step({"w": torch.full((4, 2), 0.5)})
    exp_avg = opt.state["w"]["exp_avg"].copy()
    new = ac.switch(opt, ac.SGD, lr=0.5, momentum=0.9)
    np.testing.assert_allclose(new.state["w"]["momentum_buffer"], exp_avg / (1 - 0.9), rtol=1e-6)
    before = w.detach().clone()
    new.step({"w": torch.ones(4, 2)})
    assert not torch.equal(w, before)


def test_all_of_it_is_saved(rng: np.random.Generator) -> None:
    opt = trained(next(case for case in CASES if case.optimizer == "AdamW"), rng, 4)
    new = ac.switch(opt, ac.SGD, momentum=0.9)
    other = ac.SGD({name: p.copy() for name, p in params_of(new).items()}, momentum=0.9)
    other.load_state_dict(new.state_dict())
    gradients = arrays(rng)
    new.step(gradients)
    other.step(gradients)
    assert everything(new) == everything(other)
    assert all_of(new)["steps"] == all_of(other)["steps"]
