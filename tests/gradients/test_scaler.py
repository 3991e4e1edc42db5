"""A loss scaler's numbers, which can be set at any time, and the optimizer that it belongs to."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything

BAD = [
    ("growth_interval", -1, ValueError, "growth_interval must be at least 1"),
    ("growth_interval", 0, ValueError, "growth_interval must be at least 1"),
    ("growth_interval", 10**30, ValueError, "growth_interval must be at least 1, an int, and at most"),
    ("growth_interval", 1.5, TypeError, "growth_interval must be at least 1, an int"),
    ("growth_interval", True, TypeError, "growth_interval must be at least 1, an int"),
    ("growth_interval", None, TypeError, "growth_interval must be at least 1, an int"),
    ("backoff_factor", 3, ValueError, "backoff_factor must be < 1"),
    ("backoff_factor", 0, ValueError, "backoff_factor must be a finite number > 0"),
    ("backoff_factor", math.nan, ValueError, "backoff_factor must be a finite number > 0"),
    ("growth_factor", 1.0, ValueError, "growth_factor must be > 1"),
    ("growth_factor", math.inf, ValueError, "growth_factor must be a finite number > 0"),
    ("growth_factor", "2", TypeError, "growth_factor must be a number, got '2'"),
    ("growth_factor", True, TypeError, "growth_factor must be a number, got True"),
    ("growth_factor", 10**400, ValueError, "growth_factor must be a number"),
    ("growth_factor", np.full((300, 300), 2.0), TypeError, r"a number, got an array of shape \(300, 300\)"),
    ("min_scale", 0.0, ValueError, "min_scale must be a finite number > 0"),
    ("min_scale", 1e6, ValueError, r"scale must be at least min_scale=1000000.0"),
]


@pytest.mark.parametrize(("name", "value", "error", "match"), BAD, ids=str)
def test_ranges_hold_however_a_number_comes_in(name: str, value: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=f"^LossScaler: .*{match}"):
        ac.LossScaler(**{name: value})
    scaler = ac.LossScaler(growth_interval=7)
    before = scaler.state_dict()
    with pytest.raises(error, match=f"^LossScaler: .*{match}"):
        setattr(scaler, name, value)
    with pytest.raises(error, match=f"^LossScaler: .*{match}"):
        scaler.load_state_dict({**before, name: value})
    assert scaler.state_dict() == before


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf, 0.5, 2.0**127, "1", None, True])
def test_a_scale_that_is_written_is_checked(scale: Any) -> None:
    scaler = ac.LossScaler()
    with pytest.raises((TypeError, ValueError), match=r"^LossScaler: scale must be"):
        scaler.scale = scale
    assert scaler.scale == 65536.0
    scaler.scale = np.float32(8)
    assert scaler.scale == 8.0
    assert type(scaler.scale) is float


def test_clean_steps_that_are_out_of_range_are_refused() -> None:
    scaler = ac.LossScaler()
    before = scaler.state_dict()
    for bad in (-1, 1.5, None, True, 2**63):
        with pytest.raises((TypeError, ValueError), match="clean_steps must be"):
            scaler.load_state_dict({**before, "clean_steps": bad})
    with pytest.raises(ValueError, match="'clean_step' is unknown"):
        scaler.load_state_dict({**before, "clean_step": 1})
    with pytest.raises(TypeError, match="state_dict must be a dict, got 3"):
        scaler.load_state_dict(3)  # type: ignore[arg-type]
    assert scaler.state_dict() == before


def test_an_interval_below_the_steps_that_were_counted_grows_at_the_next() -> None:
    scaler = ac.LossScaler(4.0, growth_interval=100)
    for _ in range(20):
        scaler.update(overflow=False)
    scaler.growth_interval = 10
    again = ac.LossScaler()
    again.load_state_dict(scaler.state_dict())
    for each in (scaler, again):
        scales = []
        for _ in range(12):
            each.update(overflow=False)
            scales.append(each.scale)
        assert scales == [8.0] * 10 + [16.0, 16.0]


def test_attributes_that_there_are_not_are_refused() -> None:
    scaler = ac.LossScaler()
    with pytest.raises(AttributeError, match=r"no attribute 'growth_intervall'.*did you mean 'growth_interval'"):
        scaler.growth_intervall = 5  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        scaler.update = None  # type: ignore[assignment, method-assign]

    class Noted(ac.LossScaler):
        pass

    noted = Noted()
    noted.note = "mine"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="did you mean 'backoff_factor'"):
        noted.backof_factor = 0.5  # type: ignore[attr-defined]


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])  # noqa: S301
def test_copies(copier: Any) -> None:
    scaler, optimizer = ac.LossScaler(512.0, growth_interval=3), ac.SGD(np.zeros(2))
    optimizer.step(np.ones(2), loss_scale=scaler)
    twin = copier(scaler)
    assert twin.state_dict() == scaler.state_dict()
    twin.scale = 4.0
    assert scaler.scale == 512.0
    ac.SGD(np.zeros(2)).step(np.ones(2), loss_scale=twin)


def test_a_second_optimizer_is_told_the_recipe_and_nothing_changes() -> None:
    w, v = np.zeros(3, np.float32), np.zeros(3, np.float32)
    one, two = ac.AdamW({"w": w}, lr=0.5), ac.SGD({"v": v}, lr=0.5, momentum=0.9)
    scaler = ac.LossScaler(1024.0, growth_interval=1)
    with pytest.raises(ValueError, match="shape"):
        two.step({"v": np.ones(4, np.float32)}, loss_scale=scaler)  # a step that was none takes nothing
    one.step({"w": np.ones(3, np.float32)}, loss_scale=scaler)
    before = everything(one), everything(two), scaler.state_dict()
    with pytest.raises(ValueError, match="LossScaler") as caught:
        two.step({"v": np.ones(3, np.float32)}, loss_scale=scaler)
    assert "infos = [o.step(g, loss_scale=scaler.scale) for o, g in" in str(caught.value)
    assert "scaler.update(overflow=any(i.skipped for i in infos))" in str(caught.value)
    assert (everything(one), everything(two), scaler.state_dict()) == before
    assert two.steps["v"] == 0
    one.step({"w": np.ones(3, np.float32)}, loss_scale=scaler)


def test_a_scaler_goes_on_to_another_when_its_optimizer_is_gone() -> None:
    scaler = ac.LossScaler(1024.0)
    one = ac.SGD(np.zeros(3))
    one.step(np.ones(3), loss_scale=scaler)
    del one
    two = ac.SGD(np.zeros(3))
    assert not two.step(np.ones(3), loss_scale=scaler).skipped


def test_raising_is_for_steps_without_a_scale() -> None:
    """With nonfinite="raise" too, a step with a loss scale is skipped."""
    optimizer, scaler = ac.SGD(np.zeros(3), nonfinite="raise"), ac.LossScaler(4.0)
    bad = np.array([1.0, math.inf, 1.0])
    for scale in (2.0, 0.5, scaler):
        info = optimizer.step(bad, loss_scale=scale)
        assert info.skipped
        assert info.grad_norm == math.inf
    assert scaler.scale == 2.0
    with pytest.raises(ac.NonFiniteError):
        optimizer.step(bad)
    assert optimizer.steps["0"] == 0


@pytest.mark.parametrize("overflow", [None, "no", ac.StepInfo(skipped=True), [False], np.zeros(2, bool), {}])
def test_an_overflow_is_true_or_false(overflow: Any) -> None:
    scaler = ac.LossScaler()
    with pytest.raises(TypeError, match="LossScaler: overflow must be True or False, got"):
        scaler.update(overflow=overflow)
    for good in (False, np.bool_(0), np.array(False), 0):
        scaler.update(overflow=good)  # type: ignore[arg-type]
    assert scaler.state_dict()["clean_steps"] == 4


def test_the_recipe_for_several_optimizers() -> None:
    """One loss, scaled once: each optimizer gets the scale of its gradients, and the scale changes once."""
    params = [np.zeros(2, np.float32), np.zeros(2, np.float32)]
    optimizers = [ac.SGD(p, lr=1.0, nonfinite="skip") for p in params]
    scaler = ac.LossScaler(2.0, growth_interval=1)
    for bad in (False, True, True, False):
        grads = [np.full(2, scaler.scale, np.float32) for _ in params]
        if bad:
            grads[1][0] = np.inf
        infos = [o.step(g, loss_scale=scaler.scale) for o, g in zip(optimizers, grads, strict=True)]
        scaler.update(overflow=any(i.skipped for i in infos))
    assert scaler.scale == 2.0
    assert params[0].tolist() == [-4.0, -4.0]
    assert params[1].tolist() == [-2.0, -2.0]
