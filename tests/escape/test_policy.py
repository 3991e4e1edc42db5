"""`escape.Policy`: the order in which it tries, its budget, its patience, and what it takes back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

import adamcore as ac
from adamcore import escape, schedules
from adamcore.escape.policies.gathering import Gathering
from adamcore.monitor.detectors.signals import Signal
from escape_worlds import WINDOW, World, falls_after, learnt
from helpers import everything


def upside_down(params: Any, _: Any) -> tuple[float, Any]:
    """A saddle at any place: the loss falls along one direction, of which the gradient shows nothing."""
    place = getattr(upside_down, "place", None)
    if place is None:
        upside_down.place = place = {name: array.copy() for name, array in params.items()}
    moved = params["w"] - place["w"]
    loss = 5 + float(moved[1:] @ moved[1:]) - float(moved[0] ** 2)
    return loss, {"w": np.concatenate([[-2 * moved[0]], 2 * moved[1:]]), "b": np.zeros(3)}


@pytest.fixture(autouse=True)
def _no_place() -> None:
    upside_down.place = None


def bowl(params: Any, _: Any) -> tuple[float, Any]:
    return 5 + sum(float(a @ a) for a in params.values()), {name: 2 * a for name, a in params.items()}


def report(world: World, kind: str, tensor: str, severity: Any = "warning", **evidence: Any) -> None:
    watches = world.mon._watches
    watches.report([Signal(kind, tensor, severity, evidence)], world.mon._seen)


def test_where_nothing_is_found_nothing_changes() -> None:
    world = World(lambda world: 10 * 0.99**world.step, loss_and_grad=bowl)
    twin = World(lambda world: 10 * 0.99**world.step, budget=0)
    assert world.go(300) == twin.go(300) == []
    assert everything(world.opt) == everything(twin.opt)
    assert world.mon.acts == []


def test_a_cut_that_does_not_help_is_undone_and_then_it_stops() -> None:
    world = World(learnt, loss_and_grad=bowl)
    (cut,) = world.go(170)
    assert (cut.kind, cut.done, cut.numbers) == ("cut", True, {"factor": 1 / 3})
    assert world.opt.param_groups[0]["lr"] == 0.1 / 3
    twin = World(learnt, budget=0)
    twin.go(cut.step)
    (undo,) = world.go(cut.step + 2 * WINDOW - world.step)
    assert (undo.kind, undo.step, undo.numbers["of"]) == ("undo", cut.step + 2 * WINDOW, "cut")
    assert everything(world.opt) == everything(twin.opt), "parameters and state are those before the cut"
    assert dict(world.opt.steps) == dict(twin.opt.steps)
    assert world.opt.param_groups[0]["lr"] == 0.1
    assert world.opt.completed == world.step
    assert world.kinds(200) == ["stop"]
    assert world.policy.stopped
    assert world.go(5) == []


def test_reports_say_what_was_done() -> None:
    world = World(learnt)
    world.go(170)
    *_, title, line = world.mon.report().splitlines()
    assert title == "What was done:"
    assert line.endswith(": cut: the rate is a third of what it was.")


def test_what_has_helped_is_kept_and_the_next_plateau_begins_anew() -> None:
    world = World(falls_after("cut"))
    assert world.kinds(400) == ["cut", "cut", "undo", "stop"]
    assert world.policy.left == 1
    assert world.opt.param_groups[0]["lr"] == 0.1 / 3


def test_a_rate_that_is_a_schedule_comes_back_as_the_same_object() -> None:
    cosine = schedules.Cosine(0.1, steps=1000)
    world = World(learnt, lr=cosine)
    assert world.kinds(170) == ["cut"]
    assert world.opt.param_groups[0]["lr"](50) == cosine(50) * (1 / 3)
    assert world.kinds(70)[:1] == ["undo"]
    assert world.opt.param_groups[0]["lr"] is cosine


def test_a_rate_that_is_a_function_is_not_cut() -> None:
    world = World(learnt, lr=lambda _: 0.1)
    assert world.go(300) == []


def test_a_plateau_at_the_first_losses_is_no_reason_for_a_lower_rate() -> None:
    assert World(lambda world: 10.0 if world.step < 5 else 8.0).go(300) == []


def test_a_saddle_is_left_along_the_curvature_else_by_noise() -> None:
    world = World(learnt, loss_and_grad=upside_down)
    acts = world.go(400)
    kinds = [act.kind for act in acts]
    assert kinds[:6] == ["along_curvature", "undo", "perturb", "undo", "cut", "undo"]
    assert all(act.numbers["lower"] < act.numbers["loss"] for act in acts if act.kind == "along_curvature")
    assert world.policy.left == 0
    assert "saddle" in {finding.kind for finding in world.mon.findings}


def test_a_saddle_is_looked_for_where_the_loss_falls_slowly() -> None:
    def loss(world: World) -> float:
        return 10 * 0.999 ** min(world.step, 200)

    asked = []

    def loss_and_grad(params: Any, batch: Any) -> tuple[float, Any]:
        asked.append(batch)
        return bowl(params, batch)

    world = World(loss, loss_and_grad=loss_and_grad)
    world.go(WINDOW - 1)
    assert not asked
    world.go(170 - WINDOW)
    steps = sorted({step for _, step in asked})
    assert [b - a for a, b in pairwise(steps)][:3] == [WINDOW // 2, WINDOW, 2 * WINDOW]
    assert World(loss, loss_and_grad=upside_down).kinds(WINDOW + 8) == ["along_curvature"]


def test_small_gradients_call_for_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(falls_after("perturb"))
    monkeypatch.setattr(type(world.mon._watches.sizes), "share", 0.009)
    acts = world.go(110)
    assert [act.kind for act in acts] == ["perturb"]
    assert acts[0].numbers["seed"] == 1


@pytest.mark.parametrize("kind", ["dead", "vanishing"])
def test_without_gradients_it_only_says_so(kind: str) -> None:
    world = World(learnt, loss_and_grad=upside_down)
    report(world, kind, "w")
    acts = world.go(300)
    assert [(act.kind, act.done) for act in acts] == [("advice", False)]
    assert "'w'" in acts[0].text
    report(world, kind, "w", None)
    assert world.kinds(40)[:1] == ["along_curvature"]


def test_without_gradients_it_restarts_if_it_can() -> None:
    def init(rng: np.random.Generator) -> Any:
        return {"w": rng.standard_normal(6), "b": rng.standard_normal(3)}

    world = World(falls_after("restart"), init=init, seed=4)
    report(world, "dead", "w")
    twin = World(learnt, budget=0)
    acts = world.go(100)
    assert [act.kind for act in acts] == ["restart"]
    step = acts[0].step
    twin.go(step)
    expected = init(np.random.default_rng(6))
    made = World(learnt, init=init, seed=4)
    report(made, "dead", "w")
    made.go(step)
    assert (made.params["w"] == expected["w"]).all()
    assert made.kinds(2 * WINDOW) == ["undo"]
    assert everything(made.opt) == everything(twin.opt)
    assert world.kinds(step + 2 * WINDOW + 2 - world.step) == []
    assert not world.mon._watches.active.tensors("dead"), "the new weights are another network"


def test_stale_second_moments_are_rescaled() -> None:
    world = World(falls_after("rescale"))
    world.go(60)
    before = world.opt.state["w"]["exp_avg_sq"].copy(), world.opt.state["b"]["exp_avg_sq"].copy()
    report(world, "stale", "w", "note", c=0.25)
    assert world.policy.act(None) == []
    report(world, "stale", "w", "warning", c=0.25)
    (act,) = world.policy.act(None)
    assert (act.kind, act.numbers) == ("rescale", {"c": 0.25})
    assert (world.opt.state["w"]["exp_avg_sq"] == before[0] / 4).all()
    assert (world.opt.state["b"]["exp_avg_sq"] == before[1]).all()


def test_acts_are_a_cooldown_apart_and_within_the_budget() -> None:
    for budget, cooldown in ((1, 50), (2, 90), (3, 40)):
        world = World(learnt, loss_and_grad=upside_down, budget=budget, cooldown=cooldown, undo=False)
        steps = [act.step for act in world.go(600) if act.done]
        assert len(steps) == budget
        assert all(b - a >= cooldown for a, b in pairwise(steps))
        assert world.policy.left == 0


def test_without_undo_nothing_is_taken_back() -> None:
    world = World(learnt, undo=False)
    assert world.kinds(300) == ["cut", "stop"]
    assert world.opt.param_groups[0]["lr"] == 0.1 / 3


def test_a_dry_run_reports_and_changes_nothing() -> None:
    world = World(learnt, loss_and_grad=upside_down, dry_run=True)
    twin = World(learnt, budget=0)
    acts = world.go(400)
    twin.go(400)
    assert {act.done for act in acts} == {False}
    assert [act.kind for act in acts] == ["along_curvature", "perturb", "cut", "stop"]
    assert all(b.step - a.step >= 2 * WINDOW for a, b in pairwise(acts))
    assert all(act.text.startswith("not done, this is a dry run: ") for act in acts)
    assert everything(world.opt) == everything(twin.opt)
    assert not world.policy.stopped
    assert world.mon.acts == acts


def test_a_loss_that_is_not_finite_is_no_saddle() -> None:
    world = World(learnt, loss_and_grad=lambda params, _: (np.nan, params))
    assert world.kinds(170) == ["cut"]


def test_errors_of_the_users_function_are_the_users() -> None:
    def broken(_: Any, __: Any) -> Any:
        raise ZeroDivisionError

    world = World(learnt, loss_and_grad=broken)
    with pytest.raises(ZeroDivisionError):
        world.go(200)
    twin = World(learnt, budget=0)
    twin.go(world.step)
    assert everything(world.opt) == everything(twin.opt)


def test_what_raises_is_not_on_trial() -> None:
    def init(_: Any) -> Any:
        raise ZeroDivisionError

    world = World(learnt, init=init)
    report(world, "dead", "w")
    with pytest.raises(ZeroDivisionError):
        world.go(200)
    assert world.policy.left == 3
    assert "undo" not in world.kinds(100)


@pytest.mark.parametrize("added", ["group", "average"])
def test_what_was_added_since_is_not_undone(added: str, tmp_path: Any) -> None:
    world = World(learnt)
    world.go(150)
    assert [act.kind for act in world.mon.acts] == ["cut"]
    if added == "average":
        ac.EMA(world.opt)
    else:
        world.params["c"] = np.ones(2)
        world.opt.add_param_group({"params": {"c": world.params["c"]}})
    path = tmp_path / "run.safetensors"
    ac.save(path, world.opt, monitor=world.mon, policy=world.policy)
    ac.load(path, world.opt, monitor=world.mon, policy=world.policy)
    kinds = world.kinds(150)
    assert "undo" not in kinds
    assert kinds[-1] == "stop"


def test_what_a_monitor_has_loaded_was_found_before(tmp_path: Any) -> None:
    world, path = World(learnt), tmp_path / "run.safetensors"
    world.go(20)
    report(world, "stale", "w", "warning", c=0.25)
    ac.save(path, world.opt, monitor=world.mon)
    again = World(learnt)
    ac.load(path, again.opt, monitor=again.mon)
    assert again.policy.act(None) == []
    report(again, "stale", "b", "warning", c=0.25)
    assert [act.kind for act in again.policy.act(None)] == ["rescale"]


def test_before_the_level_of_losses_is_known_nothing_is_rescaled() -> None:
    world = World(learnt)
    report(world, "stale", "w", "warning", c=0.25)
    assert world.policy.act(None) == []
    assert world.policy.left == 3


def test_a_plateau_that_was_left_while_an_undo_was_fresh_is_over() -> None:
    """The cut makes it worse for a while; after the undo it falls by itself. The next plateau is another one."""

    def loss(world: World) -> float:
        steps = [world.step - act.step for act in world.mon.acts]
        if len(steps) < 2:
            return learnt(world) * (3 - 0.03 * steps[0] if steps else 1.0)
        return 0.97 ** min(steps[1], 60)

    assert World(loss).kinds(500)[:3] == ["cut", "undo", "cut"]


def test_batches_are_gathered_until_there_are_512_rows() -> None:
    for batch, count in (
        ((np.ones((64, 3)), np.ones(64)), 8),
        ((np.ones((200, 3)), np.ones(200)), 3),
        ({"x": np.ones((512, 2))}, 1),
        ([np.ones((4, 2))], 8),
        (None, 1),
        ("text", 1),
        (np.float64(3), 1),
    ):
        gathering = Gathering()
        assert [gathering.add(batch) for _ in range(count)] == [False] * (count - 1) + [True]


def test_batches_that_a_file_cannot_have_are_not_saved() -> None:
    class Pair(NamedTuple):
        x: Any
        y: Any

    for batch in (
        {"text": np.array(["a", "b"])},
        (Pair(np.ones(3), np.ones(3)),),
        object(),
        [np.ma.masked_array([1.0])],
    ):
        assert Gathering([batch]).state() == []
    for batch in ((np.ones(3), None), {"x": [np.ones(3, np.int8)]}, "text"):
        assert Gathering([batch]).state() == [batch]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(mon=3), TypeError, "Policy: mon must be a Monitor, got 3"),
        (dict(loss_and_grad=3), TypeError, "Policy: loss_and_grad must be a function or None, got 3"),
        (dict(init=3), TypeError, "Policy: init must be a function or None, got 3"),
        (dict(budget=-1), ValueError, "Policy: budget must be an int >= 0, got -1"),
        (dict(cooldown=0), ValueError, "Policy: cooldown must be an int >= 1, got 0"),
        (dict(undo=1), TypeError, "Policy: undo must be True or False, got 1"),
        (dict(dry_run="no"), TypeError, "Policy: dry_run must be True or False, got 'no'"),
    ],
)
def test_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    mon = ac.Monitor(ac.SGD(np.ones(3)))
    with pytest.raises(error, match=message):
        escape.Policy(**{"mon": mon, **options})


def test_half_precision_cannot_be_measured() -> None:
    mon = ac.Monitor(ac.SGD({"w": np.ones(3, np.float16)}))
    with pytest.raises(ValueError, match="Policy: loss_and_grad: parameter 'w' must be float32"):
        escape.Policy(mon, bowl)
    escape.Policy(mon)


def test_where_gradients_agree_it_says_that_the_rate_is_too_small() -> None:
    w = {"w": np.full((20, 20), 5.0)}
    opt = ac.AdamW(w, lr=1e-7, weight_decay=0.0)
    mon = ac.Monitor(opt, window=128, stats_every=4)
    policy = escape.Policy(mon, lambda params, _: (float(np.square(params["w"]).sum()), {"w": 2 * params["w"]}))
    acts = []
    for _ in range(400):
        mon.observe(float(np.square(w["w"]).sum()), opt.step({"w": 2 * w["w"]}, stats=mon.wants_stats))
        acts += policy.act(None)
    assert [act.kind for act in acts] == ["advice"]
    assert "the rate may be far too small" in acts[0].text


def test_after_an_act_gradients_and_moments_are_compared_with_new_ones() -> None:
    world = World(learnt, budget=0)
    world.go(150)
    report(world, "stale", "w", c=0.5)
    assert world.mon._watches.active.tensors("stale") == ["w"]
    assert world.mon._watches.tensors.state_dict()["stale"]["grads"]
    escape.perturb(world.opt, seed=0)
    assert world.mon._watches.active.tensors("stale") == []
    assert not world.mon._watches.tensors.state_dict()["stale"]["grads"]


def test_the_batch_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError, match="batch"):
        World(learnt).policy.act()  # type: ignore[call-arg]


def test_a_policy_of_another_seed_decides_otherwise() -> None:
    with pytest.raises(ValueError, match="it is of a policy with seed=1, but this one has seed=0"):
        World(learnt).policy.load_state_dict(World(learnt, seed=1).policy.state_dict())


def test_an_act_is_not_undone_after_a_switch() -> None:
    world = World(learnt)
    world.go(150)
    assert [act.kind for act in world.mon.acts] == ["cut"]
    world.opt = ac.switch(world.opt, ac.SGD, lr=1e-3, momentum=0.5)
    assert "undo" not in world.kinds(100)
    assert world.mon.report().startswith("SGD")


def test_a_loss_that_still_falls_slowly_is_no_reason_for_a_lower_rate() -> None:
    """By less than 1% in a window, so that it is called a plateau, but by more in the time of a trial."""
    world = World(lambda world: learnt(world) * 0.9998**world.step)
    assert world.go(700) == []
    assert "plateau" in {finding.kind for finding in world.mon.findings}
