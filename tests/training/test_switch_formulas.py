"""`switch`: moments of one rule as those of another, by formula in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import bits, everything
from switching import after, weighted

Setup = tuple[np.ndarray, list[np.ndarray], np.ndarray]


@pytest.fixture(params=[1, 7, 300], ids=lambda t: f"t={t}")
def setup(request: pytest.FixtureRequest, rng: np.random.Generator) -> Setup:
    """A parameter, gradients, and the next one."""
    gradients = list(rng.standard_normal((request.param, 5)) + 0.5)
    return rng.standard_normal(5), gradients, rng.standard_normal(5)


@pytest.mark.parametrize("old", [ac.Adam, ac.AdamW, ac.LAMB, ac.StableAdamW])
def test_adam_to_sgd_by_formula(old: Any, setup: Setup) -> None:
    p, gradients, last = setup
    opt = after(old({"w": p}, lr=0.01, weight_decay=0.0, betas=(0.9, 0.99)), gradients)
    exp_avg = opt.state["w"]["exp_avg"].copy()
    new = ac.switch(opt, ac.SGD, lr=0.1, momentum=0.9)
    buffer = new.state["w"]["momentum_buffer"]
    np.testing.assert_allclose(buffer, exp_avg / (1 - 0.9), rtol=1e-14)
    np.testing.assert_allclose(buffer, weighted(0.9, gradients), rtol=1e-12, atol=1e-12)
    before = p.copy()
    new.step({"w": last})
    np.testing.assert_allclose(p, before - 0.1 * weighted(0.9, [*gradients, last]), rtol=1e-12)
    assert new.steps["w"] == len(gradients) + 1


@pytest.mark.parametrize(("momentum", "dampening"), [(0.5, 0.0), (0.95, 0.0), (0.9, 0.3)])
def test_another_momentum_has_its_own_sum_of_weights(momentum: float, dampening: float) -> None:
    """With steady gradients the buffer is what SGD itself would have."""
    p, g, t = np.zeros(3), np.array([1.0, -2.0, 0.5]), 50
    opt = after(ac.Adam({"w": p}, lr=0.01, betas=(0.9, 0.99)), [g] * t)
    new = ac.switch(opt, ac.SGD, lr=0.1, momentum=momentum, dampening=dampening)
    expected = (1 - dampening) * (1 - momentum**t) / (1 - momentum) * g
    np.testing.assert_allclose(new.state["w"]["momentum_buffer"], expected, rtol=1e-12)


def test_novograd_that_averages_after_it_added_up() -> None:
    p, g, t = np.zeros(4), np.array([1.0, -2.0, 0.5, 0.0]), 9
    opt = after(ac.NovoGrad({"w": p}, lr=0.1, betas=(0.9, 0.5), eps=0.0), [g] * t)
    direction = g / np.sqrt(np.square(g).sum())
    np.testing.assert_allclose(opt.state["w"]["exp_avg"], (1 - 0.9**t) / 0.1 * direction, rtol=1e-12)
    new = ac.switch(opt, ac.NovoGrad, grad_averaging=True, betas=(0.8, 0.5))
    np.testing.assert_allclose(new.state["w"]["exp_avg"], (1 - 0.8**t) * direction, rtol=1e-12)


def test_sgd_to_lion_by_formula(setup: Setup) -> None:
    p, gradients, last = setup
    opt = after(ac.SGD({"w": p}, lr=0.01, momentum=0.9), gradients)
    new = ac.switch(opt, ac.Lion, lr=0.1, betas=(0.8, 0.9))
    average = 0.1 * weighted(0.9, gradients)
    np.testing.assert_allclose(new.state["w"]["exp_avg"], average, rtol=1e-12, atol=1e-13)
    before = p.copy()
    new.step({"w": last})
    np.testing.assert_allclose(p, before - 0.1 * np.sign(0.8 * average + 0.2 * last), rtol=1e-12)


def test_sgd_to_adam_begins_anew(setup: Setup) -> None:
    """A first moment alone would be divided by the root of a single square."""
    p, gradients, last = setup
    opt = after(ac.SGD({"w": p}, lr=0.01, momentum=0.9), gradients)
    new = ac.switch(opt, ac.Adam, lr=0.1)
    assert new.switched is not None
    assert (new.switched.carried, new.switched.keeps_steps) == ({}, False)
    assert set(new.switched.fresh) == {"exp_avg", "exp_avg_sq"}
    before = p.copy()
    new.step({"w": last})
    np.testing.assert_allclose(p, before - 0.1 * np.sign(last), rtol=1e-6)
    assert (new.steps["w"], new.completed) == (1, len(gradients) + 1)


@pytest.mark.parametrize("alpha", [0.99, 0.9])
def test_adam_to_rmsprop_by_formula(alpha: float, setup: Setup) -> None:
    p, gradients, last = setup
    opt = after(ac.AdamW({"w": p}, lr=0.01, weight_decay=0.0, betas=(0.9, 0.99)), gradients)
    new = ac.switch(opt, ac.RMSprop, lr=0.1, alpha=alpha, eps=1e-8)
    t = len(gradients)
    corrected = 0.01 * weighted(0.99, [g * g for g in gradients]) / (1 - 0.99**t)
    square = corrected * (1 - alpha**t)
    np.testing.assert_allclose(new.state["w"]["square_avg"], square, rtol=1e-12)
    before = p.copy()
    new.step({"w": last})
    square = alpha * square + (1 - alpha) * last * last
    np.testing.assert_allclose(p, before - 0.1 * last / (np.sqrt(square) + 1e-8), rtol=1e-11)


@pytest.mark.parametrize("beta2", [0.99, 0.999])
def test_rmsprop_to_adam_by_formula(beta2: float, setup: Setup) -> None:
    """The second moment is corrected by its own count of updates; the first begins, so first steps are shorter."""
    p, gradients, last = setup
    opt = after(ac.RMSprop({"w": p}, lr=0.01, alpha=0.99), gradients)
    new = ac.switch(opt, ac.Adam, lr=0.1, betas=(0.9, beta2), eps=1e-8)
    t = len(gradients)
    corrected = 0.01 * weighted(0.99, [g * g for g in gradients]) / (1 - 0.99**t)
    before = p.copy()
    new.step({"w": last})
    second = beta2 * corrected * (1 - beta2**t) + (1 - beta2) * last * last
    first = 0.1 * last / (1 - 0.9 ** (t + 1))
    expected = before - 0.1 * first / (np.sqrt(second / (1 - beta2 ** (t + 1))) + 1e-8)
    np.testing.assert_allclose(p, expected, rtol=1e-10)


def test_to_rmsprop_and_back_is_the_same_moment(setup: Setup) -> None:
    p, gradients, _ = setup
    opt = after(ac.Adam({"w": p}, lr=0.01, betas=(0.9, 0.999)), gradients)
    second = opt.state["w"]["exp_avg_sq"].copy()
    back = ac.switch(ac.switch(opt, ac.RMSprop), ac.Adam, betas=(0.9, 0.999))
    np.testing.assert_allclose(back.state["w"]["exp_avg_sq"], second, rtol=1e-12)
    assert back.steps["w"] == len(gradients)


@pytest.mark.parametrize("second", [ac.AdamW, ac.LAMB, ac.StableAdamW, ac.Adam])
def test_adam_goes_on_with_the_same_moments(second: Any, setup: Setup) -> None:
    """It is the rule that has had these moments from the beginning."""
    p, gradients, last = setup
    opt = after(ac.Adam({"w": p}, lr=0.0, betas=(0.8, 0.95)), gradients)
    new = ac.switch(opt, second, lr=0.1, weight_decay=0.01, eps=1e-8)
    other = p.copy()
    twin = second({"w": other}, lr=0.0, betas=(0.8, 0.95), eps=1e-8, weight_decay=0.0)
    after(twin, gradients)
    twin.param_groups[0].update(lr=0.1, weight_decay=0.01)
    new.step({"w": last})
    twin.step({"w": last})
    assert everything(new) == everything(twin)


def test_adam_to_schedule_free_by_formula(setup: Setup) -> None:
    p, gradients, last = setup
    opt = after(ac.Adam({"w": p}, lr=0.01, betas=(0.9, 0.99)), gradients)
    new = ac.switch(opt, ac.ScheduleFreeAdamW, lr=0.1, weight_decay=0.0)
    t = len(gradients) + 1
    y = p.copy()
    assert bits(new.state["w"]["z"]) == bits(y)
    new.step({"w": last})
    second = 0.01 * weighted(0.99, [g * g for g in [*gradients, last]]) / (1 - 0.99**t)
    z = y - 0.1 * last / (np.sqrt(second) + 1e-8)
    np.testing.assert_allclose(new.state["w"]["z"], z, rtol=1e-10)
    np.testing.assert_allclose(p, z, rtol=1e-10)  # the first point has all weight
    back = ac.switch(new, ac.AdamW)
    np.testing.assert_allclose(back.state["w"]["exp_avg_sq"], second * (1 - 0.99**t), rtol=1e-12)
    assert not back.state["w"]["exp_avg"].any()


@pytest.mark.parametrize(("old", "new"), [(True, True), (True, False), (False, True)])
def test_amsgrad(old: bool, new: bool, setup: Setup) -> None:
    p, gradients, _ = setup
    opt = after(ac.Adam({"w": p}, lr=0.01, betas=(0.9, 0.5), amsgrad=old), gradients)
    state = {slot: array.copy() for slot, array in opt.state["w"].items()}
    other = ac.switch(opt, ac.AdamW, amsgrad=new)
    assert bits(other.state["w"]["exp_avg_sq"]) == bits(state["exp_avg_sq"])
    if new:
        expected = state["max_exp_avg_sq"] if old else np.zeros(5)
        assert bits(other.state["w"]["max_exp_avg_sq"]) == bits(expected)
    assert other.switched is not None
    assert ("max_exp_avg_sq" in other.switched.dropped) == (old and not new)
    assert ("max_exp_avg_sq" in other.switched.fresh) == (new and not old)
