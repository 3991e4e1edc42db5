"""A policy that goes on from a checkpoint decides as one that was never interrupted, with the same bits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import escape, schedules
from escape_worlds import WINDOW, World, falls_after, learnt
from fitting import digest
from helpers import everything

STEPS = 400


class Ridge:
    """Least squares beside a ridge: two units that begin equal, and are better different."""

    def __init__(self, dtype: Any = np.float64) -> None:
        self.dtype = dtype

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        w = np.tile(rng.standard_normal((4, 1)), 2)
        return {"w": w.astype(self.dtype), "v": np.array([0.5, 0.5], self.dtype)}

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        for _ in range(25):
            x = rng.standard_normal((128, 4))
            yield x, np.tanh(x[:, 0]) - np.tanh(2 * x[:, 1])

    def loss_and_grad(self, params: Any, batch: Any) -> tuple[float, Any]:
        x, y = batch
        hidden = np.tanh(x @ params["w"])
        error = hidden @ params["v"] - y
        back = np.outer(error, params["v"]) * (1 - hidden**2)
        return float(np.square(error).mean()), {
            "w": 2 * x.T @ back / len(y),
            "v": 2 * hidden.T @ error / len(y),
        }


def make_world(kind: str) -> World:
    if kind == "saddle":

        def loss_and_grad(params: Any, _: Any) -> tuple[float, Any]:
            w = params["w"]
            return 5 + float(w[1:] @ w[1:] / 2 + w[0] ** 4 - w[0] ** 2), {
                "w": np.concatenate([[4 * w[0] ** 3 - 2 * w[0]], w[1:]]),
                "b": np.zeros(3),
            }

        return World(falls_after("along_curvature"), loss_and_grad=loss_and_grad)
    if kind == "schedule":
        return World(learnt, lr=schedules.Cosine(0.1, steps=1000))
    return World(learnt, cooldown=40, seed=3)


@pytest.mark.parametrize("kind", ["cut", "schedule", "saddle"])
def test_the_same_acts_and_bits_from_any_step(kind: str, tmp_path: Any) -> None:
    whole = make_world(kind)
    whole.go(STEPS)
    assert whole.mon.acts
    near = {act.step + offset for act in whole.mon.acts for offset in (-1, 0, 1)}
    for at in sorted(near | set(range(20, STEPS, 37))):
        first = make_world(kind)
        first.go(at)
        if first.policy.stopped:
            continue
        path = tmp_path / f"{at}.safetensors"
        ac.save(path, first.opt, monitor=first.mon, policy=first.policy)
        second = make_world(kind)
        ac.load(path, second.opt, monitor=second.mon, policy=second.policy, schedules="saved")
        second.step = at
        second.go(STEPS - at)
        assert everything(second.opt) == everything(whole.opt), at
        assert second.mon.acts == whole.mon.acts, at
        assert second.opt.param_groups[0]["lr"] == whole.opt.param_groups[0]["lr"]
        assert second.policy.left == whole.policy.left


def test_an_undo_after_loading_keeps_what_a_schedule_has_observed(tmp_path: Any) -> None:
    def make_rop() -> World:
        return World(learnt, lr=schedules.ReduceOnPlateau(0.1, patience=2))

    whole, path = make_rop(), tmp_path / "run.safetensors"
    whole.go(170)
    ac.save(path, whole.opt, monitor=whole.mon, policy=whole.policy)
    again = make_rop()
    ac.load(path, again.opt, monitor=again.mon, policy=again.policy, schedules="saved")
    again.step = 170
    for world in (whole, again):
        rate = world.opt.param_groups[0]["lr"].a
        for step in range(171, 176):
            rate.observe(5.0, step=step)
        assert "undo" in world.kinds(60)
        assert world.opt.param_groups[0]["lr"] is rate
        assert rate.ledger
    assert everything(again.opt) == everything(whole.opt)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_run_of_fit_goes_on_while_batches_are_gathered_and_while_an_act_is_on_trial(
    dtype: Any, tmp_path: Any
) -> None:
    train = partial(_train, Ridge(dtype))
    whole = train(160)
    acts = whole.monitor.acts
    assert acts[0].kind == "along_curvature"
    step = acts[0].step
    expected = digest(whole)
    for at in (step - 3, step - 2, step - 1, step, step + 1, step + 40):
        folder = tmp_path / f"{at}"
        train(at, folder)
        again = train(160, folder)
        assert digest(again) == expected, at
        assert again.monitor.acts == acts


def _train(problem: Any, steps: int, checkpoints: Any = None) -> Any:
    return ac.fit(
        problem,
        partial(ac.AdamW, lr=0.02),
        steps=steps,
        monitor=partial(ac.Monitor, window=WINDOW, stats_every=4),
        policy=lambda mon: escape.Policy(mon, problem.loss_and_grad),
        checkpoints=checkpoints,
        progress=None,
    )


def test_a_state_of_another_policy_and_one_that_is_not_whole() -> None:
    world = World(learnt)
    world.go(170)
    assert world.mon.acts
    state = world.policy.state_dict()
    for changed, message in (
        (
            {"arguments": {**state["arguments"], "budget": 2}},
            "it is of a policy with budget=2, but this one has budget=3",
        ),
        ({"left": -1}, "left must be an int >= 0"),
        ({"stopped": 1}, "stopped must be True or False"),
        ({"choices": {**state["choices"], "tried": ["pray"]}}, "tried: there is no 'pray'"),
        ({"choices": {**state["choices"], "search": {}}}, "only one of the two policies has loss_and_grad"),
        ({"trial": {**state["trial"], "level": None}}, "level must be a number"),
        ({"trial": {**state["trial"], "before": {**state["trial"]["before"], "params": {}}}}, "of other parameters"),
        ({"more": 1}, "unknown key 'more'"),
    ):
        before = world.policy.state_dict()
        with pytest.raises((TypeError, ValueError), match=message):
            world.policy.load_state_dict({**state, **changed})
        after = world.policy.state_dict()
        assert {key: after[key] for key in after if key != "trial"} == {
            key: before[key] for key in before if key != "trial"
        }
    with pytest.raises(ValueError, match="Policy: state_dict: trial is missing"):
        world.policy.load_state_dict({key: value for key, value in state.items() if key != "trial"})


def test_a_policy_of_another_monitor() -> None:
    opt = ac.AdamW(Ridge().init(np.random.default_rng(0)))
    policy = escape.Policy(ac.Monitor(opt))
    with pytest.raises(ValueError, match="fit: policy is of a monitor that does not watch this run"):
        ac.fit(Ridge(), opt, steps=1, monitor=True, policy=policy, progress=None)
    assert ac.fit(Ridge(), opt, steps=1, monitor=policy.monitor, policy=policy, progress=None).step == 1


def test_the_class_makes_a_policy_of_the_monitor() -> None:
    run = ac.fit(Ridge(), partial(ac.AdamW, lr=0.02), steps=2, monitor=True, policy=escape.Policy, progress=None)
    assert run.step == 2
    assert run.acts == []
