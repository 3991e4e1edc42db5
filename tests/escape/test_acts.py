"""The functions of `adamcore.escape`: what they do to weights, state and rates, and that they do nothing else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core, escape, schedules
from adamcore._curvature.noise import noise
from helpers import everything, make
from interruptions import interrupt_everywhere
from pairs import products
from reference import CASES, Case
from storage import BF16, F16, F32, F64, Storage, combinations, weights_of

SHAPES = {"enc.w": (7, 9), "b": (5,), "zero": (4,), "scalar": (), "empty": (0, 3)}


def arrays(rng: np.random.Generator, dtype: Any = np.float64, order: Any = "C") -> dict[str, np.ndarray]:
    return {
        name: np.array(rng.standard_normal(shape) * (name != "zero"), dtype, order=order)
        for name, shape in SHAPES.items()
    }


def trained(rng: np.random.Generator, dtype: Any = np.float64, **options: Any) -> tuple[dict[str, Any], ac.Optimizer]:
    params = arrays(rng, dtype)
    opt = ac.AdamW(params, **{"lr": 0.01, **options})
    for _ in range(3):
        opt.step({name: rng.standard_normal(array.shape).astype(array.dtype) for name, array in params.items()})
    return params, opt


def saddle(params: Any, _: Any) -> tuple[float, Any]:
    w = params["w"]
    return float(w[0] ** 2 - w[1] ** 2 + w[1] ** 4), {"w": np.array([2 * w[0], 4 * w[1] ** 3 - 2 * w[1]])}


def turned(params: Any, _: Any) -> tuple[float, Any]:
    return -sum(float((a * a).sum()) for a in params.values()), {name: -2 * a for name, a in params.items()}


# jolt


def test_a_jolt_multiplies_every_rate_for_its_steps_and_is_saved(rng: np.random.Generator) -> None:
    w, b = rng.standard_normal(3), rng.standard_normal(2)
    cosine = schedules.Cosine(0.1, steps=50)
    opt = ac.SGD([{"params": {"w": w}, "lr": cosine}, {"params": {"b": b}, "lr": 0.5}])
    for _ in range(4):
        opt.step({"w": np.zeros(3), "b": np.zeros(2)})
    act = escape.jolt(opt, factor=7.0, steps=3)
    first, second = (group["lr"] for group in opt.param_groups)
    assert [first(t) for t in range(3, 9)] == [cosine(t) * (7.0 if 4 <= t < 7 else 1.0) for t in range(3, 9)]
    assert [second(t) for t in range(3, 9)] == [0.5, 3.5, 3.5, 3.5, 0.5, 0.5]
    assert (act.kind, act.step, act.done, act.numbers) == ("jolt", 4, True, {"factor": 7.0, "steps": 3})
    other = ac.SGD([{"params": {"w": w.copy()}}, {"params": {"b": b.copy()}}])
    other.load_state_dict(opt.state_dict())
    assert [group["lr"] for group in other.param_groups] == [first, second]


def test_a_jolt_of_a_function_changes_no_rate() -> None:
    opt = ac.SGD([{"params": {"w": np.ones(3)}, "lr": 0.5}, {"params": {"b": np.ones(2)}, "lr": lambda _: 0.1}])
    with pytest.raises(TypeError, match="jolt: lr of group 1 is a function, which cannot be multiplied"):
        escape.jolt(opt)
    assert opt.param_groups[0]["lr"] == 0.5


# perturb


@pytest.mark.parametrize("radius", [0.01, 1.0])
def test_each_parameter_moves_by_its_share_in_the_direction_of_the_counter_generator(
    rng: np.random.Generator, radius: float
) -> None:
    params, opt = trained(rng)
    before = {name: array.copy() for name, array in params.items()}
    escape.perturb(opt, seed=9, radius=radius)
    for name, array in params.items():
        direction = noise(9, 3, name, array.size).reshape(array.shape)
        length = np.linalg.norm(before[name]) if name != "zero" else np.linalg.norm(before[name]) or 1.0
        expected = before[name] + radius * length * direction / np.linalg.norm(direction)
        np.testing.assert_allclose(array, expected, rtol=1e-12, atol=1e-14)


def test_a_parameter_of_zeros_moves_by_the_radius() -> None:
    w = np.zeros(1000)
    escape.perturb(ac.SGD({"w": w}), seed=1, radius=0.25)
    assert np.linalg.norm(w) == pytest.approx(0.25, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_noise_has_the_same_bits_for_every_layout_isa_and_number_of_threads(dtype: Any) -> None:
    found = []
    before = _core.isa()
    for isa in _core.isas():
        _core.set_isa(isa)
        for threads, order in ((1, "C"), (3, "F")):
            ac.set_num_threads(threads)
            params = arrays(np.random.default_rng(4), dtype, order)
            escape.perturb(ac.AdamW(params), seed=2)
            found.append([np.ascontiguousarray(array).tobytes() for array in params.values()])
    _core.set_isa(before)
    assert all(each == found[0] for each in found)


def test_chosen_parameters_move_and_only_their_moments_begin_anew(rng: np.random.Generator) -> None:
    _, opt = trained(rng)
    before = everything(opt)
    act = escape.perturb(opt, seed=1, names="enc.w")
    after = everything(opt)
    assert {key for key in after if after[key] != before[key]} == {"enc.w", "enc.w.exp_avg", "enc.w.exp_avg_sq"}
    assert dict(opt.steps) == {name: 0 if name == "enc.w" else 3 for name in SHAPES}
    assert opt.completed == 3
    assert "1 parameter, whose moments begin anew" in str(act)
    escape.perturb(opt, seed=1, names=["b"], reset=False)
    assert opt.steps["b"] == 3
    assert not any(key.startswith("b.") for key, bits in everything(opt).items() if bits != after[key])


@products(storage=combinations(), case=[CASES[0]])
def test_what_is_stored_beside_half_precision_fits_the_new_weights(
    storage: Storage, case: Case, rng: np.random.Generator
) -> None:
    params = {name: rng.standard_normal(shape).astype(storage.param) for name, shape in SHAPES.items()}
    opt = make(case, params, precision=storage.precision)
    for _ in range(3):
        opt.step({name: rng.standard_normal(array.shape).astype(storage.grad) for name, array in params.items()})
    before = {name: weights_of(opt.state[name], array) for name, array in params.items()}
    escape.perturb(opt, seed=3, radius=0.1)
    for name, array in params.items():
        kept = opt.state[name]
        if not array.size:
            continue
        moved = weights_of(kept, array) - before[name]
        room = 0.02 if storage.param in (F16, BF16) else 1e-6
        assert abs(np.linalg.norm(moved) / np.linalg.norm(before[name]) - 0.1) < room
        if "master" in kept:
            assert (kept["master"].astype(array.dtype) == array).all(), "the parameter is the rounded master"
            assert (kept["master"] != array.astype(np.float32)).any()
        for slot in ("remainder", "remainder_ties", "compensation"):
            assert not kept.get(slot, np.zeros(1)).astype(np.float32).any()
    opt.step({name: rng.standard_normal(array.shape).astype(storage.grad) for name, array in params.items()})


def test_schedule_free_weights_move_together(rng: np.random.Generator) -> None:
    params = arrays(rng)
    opt = ac.ScheduleFreeAdamW(params, lr=0.1)
    opt.step({name: np.ones_like(array) for name, array in params.items()})
    distance = {name: array - opt.state[name]["z"] for name, array in params.items()}
    escape.perturb(opt, seed=5, radius=0.3)
    for name, array in params.items():
        np.testing.assert_allclose(array - opt.state[name]["z"], distance[name], rtol=0, atol=1e-14)


# along_curvature


def test_it_goes_down_from_a_saddle_and_resets_moments() -> None:
    w = np.array([1e-8, 1e-9])
    opt = ac.AdamW({"w": w}, lr=0.01)
    opt.step({"w": np.array([3.0, 4.0])})
    act = escape.along_curvature(opt, saddle, None, seed=0)
    assert act.done
    assert saddle({"w": w}, None)[0] < -0.1
    assert act.numbers["lower"] == saddle({"w": w}, None)[0]
    assert opt.steps["w"] == 0
    assert not opt.state["w"]["exp_avg_sq"].any()


def test_at_a_minimum_nothing_changes(rng: np.random.Generator) -> None:
    w = rng.standard_normal(4)
    opt = ac.AdamW({"w": w})
    opt.step({"w": rng.standard_normal(4)})
    before = everything(opt)
    act = escape.along_curvature(opt, lambda p, _: (float(p["w"] @ p["w"]), {"w": 2 * p["w"]}), None, seed=0)
    assert not act.done
    assert act.text == "there is no negative curvature."
    assert everything(opt) == before
    assert opt.steps["w"] == 1


def test_a_higher_loss_is_never_taken() -> None:
    """The gradients tell of a way down, where the loss does not fall."""
    w = np.array([0.5, 0.0])
    opt = ac.SGD({"w": w})
    act = escape.along_curvature(opt, lambda p, _: (1 + float(abs(p["w"][1])), {"w": [1, -1] * p["w"]}), None, seed=0)
    assert (act.done, act.text) == (False, "no lower loss was found along it.")
    assert w.tolist() == [0.5, 0.0]


def test_a_loss_of_zero_has_no_share_by_which_it_falls(tmp_path: Any) -> None:
    w = np.zeros(2)
    opt = ac.AdamW({"w": w})
    mon = ac.Monitor(opt)
    act = escape.along_curvature(opt, saddle, None, seed=0)
    assert (act.numbers["loss"], act.numbers["fall"]) == (0.0, "inf")
    assert mon.acts == [act]
    ac.save(tmp_path / "run.safetensors", opt, monitor=mon)


@pytest.mark.parametrize("cls", [ac.AdamW, ac.ScheduleFreeAdamW])
def test_numbers_without_axes_and_arrays_without_elements_move_too(cls: Any) -> None:
    params = {"s": np.array(1e-6), "none": np.zeros((0, 2))}
    opt = cls(params)
    act = escape.along_curvature(
        opt,
        lambda p, _: (float(p["s"] ** 4 - p["s"] ** 2), {"s": 4 * p["s"] ** 3 - 2 * p["s"], "none": None}),
        0,
        seed=0,
    )
    assert act.done
    assert abs(params["s"]) > 0.1
    escape.perturb(opt, seed=0)
    opt.step({"s": np.array(1.0), "none": np.zeros((0, 2))})


# restart


@pytest.mark.parametrize("dtype", [F32, F64, F16])
def test_after_a_restart_every_rule_does_what_a_new_optimizer_does(
    case: Case, dtype: Any, rng: np.random.Generator
) -> None:
    def init(rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}

    def steps(opt: ac.Optimizer) -> None:
        made = np.random.default_rng(8)
        for _ in range(4):
            opt.step({name: made.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()})

    params = {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}
    opt = make(case, params)
    ema = ac.EMA(opt, decay=0.5)
    for _ in range(3):
        opt.step({name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()})
    numbers = dict(opt.numbers)
    escape.restart(opt, init, seed=6, reset_clock=True)
    assert opt.completed == 0
    assert set(opt.steps.values()) == {0}
    fresh = make(case, {name: array.astype(dtype) for name, array in init(np.random.default_rng(6)).items()})
    twin = ac.EMA(fresh, decay=0.5)
    if "master" in opt.state["b"]:
        masters = init(np.random.default_rng(6))
        assert all((opt.state[name]["master"] == masters[name]).all() for name in SHAPES)
        for name in SHAPES:
            for slot in {"master", "ema", "p0", "z"} & set(fresh.state[name]):
                fresh.state[name][slot][...] = masters[name]
    if numbers:  # what a rule keeps of the whole optimizer stays
        saved = fresh.state_dict()
        fresh.load_state_dict({**saved, "numbers": numbers})
    steps(opt)
    steps(fresh)
    assert everything(opt) == everything(fresh)
    assert ema.count == twin.count == 4


def test_a_restart_can_be_put_back(rng: np.random.Generator) -> None:
    params, opt = trained(rng)
    before, steps = everything(opt), dict(opt.steps)
    act = escape.restart(opt, arrays, seed=1)
    assert everything(opt) != before
    assert opt.completed == 3
    opt.step({name: np.ones_like(array) for name, array in params.items()})
    act.put_back()
    assert everything(opt) == before
    assert dict(opt.steps) == steps
    without = escape.restart(opt, arrays, seed=1, keep_best=False)
    with pytest.raises(ValueError, match="Act: there is no copy of what was before 'restart'"):
        without.put_back()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"zero": None}, "restart: init: 'zero' is missing from params"),
        ({"more": np.ones(2)}, "restart: init: 'more' is not in the optimizer"),
        ({"enc.w": np.ones((9, 7))}, r"'enc.w' must be of float64 .* \(7, 9\), got"),
        ({"b": np.ones(5) * 1j}, "'b' must be of float64"),
        ({"scalar": np.array(np.nan)}, "the new weights of 'scalar' are not finite"),
    ],
)
def test_new_parameters_that_do_not_fit(rng: np.random.Generator, made: Any, message: str) -> None:
    _, opt = trained(rng)
    before = everything(opt)
    params = {**{name: np.ones(shape) for name, shape in SHAPES.items()}, **made}
    with pytest.raises(ValueError, match=message):
        escape.restart(opt, lambda _: {name: array for name, array in params.items() if array is not None}, seed=0)
    assert everything(opt) == before
    assert opt.completed == 3


# rewind


def test_rewind_loads_a_file_and_counts_the_batches(rng: np.random.Generator, tmp_path: Any) -> None:
    params, opt = trained(rng)
    path = tmp_path / "run.safetensors"
    ac.save(path, opt, extra={"epoch": 2})
    before = everything(opt)
    for _ in range(5):
        opt.step({name: np.full_like(array, 1e9) for name, array in params.items()})
    act = escape.rewind(opt, path)
    assert everything(opt) == before
    assert (act.kind, act.batches, act.extra, act.done) == ("rewind", 5, {"epoch": 2}, True)
    assert act.numbers == {"completed": 3, "before": 8}


def test_rewind_takes_the_latest_of_a_folder(rng: np.random.Generator, tmp_path: Any) -> None:
    params, opt = trained(rng)
    with pytest.raises(ValueError, match="rewind: there is no checkpoint in"):
        escape.rewind(opt, tmp_path)
    checkpoints, scaler = ac.Checkpoints(tmp_path), ac.LossScaler(64.0)
    checkpoints.save(3, opt, scaler=scaler)
    opt.step({name: np.ones_like(array) for name, array in params.items()})
    with pytest.raises(ValueError, match="scaler"):
        escape.rewind(opt, checkpoints)
    assert opt.completed == 4
    assert escape.rewind(opt, tmp_path, strict=False).batches == 1
    assert opt.completed == 3
    with pytest.raises(FileNotFoundError):
        escape.rewind(opt, tmp_path / "other.safetensors")


# all of them


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda opt: escape.jolt(opt, factor=0), ValueError, "jolt: factor must be a finite number > 0, got 0"),
        (lambda opt: escape.jolt(opt, steps=0), ValueError, "jolt: steps must be an int >= 1, got 0"),
        (lambda _: escape.jolt(3), TypeError, "jolt: opt must be an optimizer, got 3"),
        (lambda opt: escape.perturb(opt, seed=-1), ValueError, "perturb: seed must be an int >= 0, got -1"),
        (lambda opt: escape.perturb(opt, seed=1, radius=np.inf), ValueError, "perturb: radius must be a finite number"),
        (lambda opt: escape.perturb(opt, seed=1, names="c"), ValueError, "perturb: names: there is no parameter 'c'"),
        (lambda opt: escape.perturb(opt, seed=1, reset=1), TypeError, "perturb: reset must be True or False, got 1"),
        (
            lambda opt: escape.perturb(opt, seed=1, radius=1e308),
            ValueError,
            "the new weights of 'enc.w' are not finite",
        ),
        (lambda _: escape.perturb(None, seed=1), TypeError, "perturb: opt must be an optimizer, got None"),
        (lambda opt: escape.along_curvature(opt, 3, None, seed=1), TypeError, "along_curvature: loss_and_grad must be"),
        (lambda opt: escape.along_curvature(opt, saddle, None, seed=0.5), TypeError, "along_curvature: seed must be"),
        (
            lambda opt: escape.restart(opt, 3, seed=1),
            TypeError,
            "restart: init must be a function of a generator, got 3",
        ),
        (lambda opt: escape.restart(opt, arrays, seed=1, keep_best=2), TypeError, "restart: keep_best must be True or"),
    ],
)
def test_arguments(rng: np.random.Generator, call: Any, error: type[Exception], message: str) -> None:
    _, opt = trained(rng)
    mon = ac.Monitor(opt)
    before = everything(opt)
    with pytest.raises(error, match=message):
        call(opt)
    assert everything(opt) == before
    assert mon.acts == []


@pytest.mark.parametrize("name", ["perturb", "along_curvature", "restart", "rewind"])
def test_weights_stay_within_a_window_and_a_swap(rng: np.random.Generator, name: str, tmp_path: Any) -> None:
    params, opt = trained(rng)
    ema = ac.EMA(opt)
    path = tmp_path / "run.safetensors"
    ac.save(path, opt)
    call = {
        "perturb": lambda: escape.perturb(opt, seed=1),
        "along_curvature": lambda: escape.along_curvature(opt, saddle, None, seed=1),
        "restart": lambda: escape.restart(opt, arrays, seed=1),
        "rewind": lambda: escape.rewind(opt, path),
    }[name]
    before = everything(opt)
    with ema.swap(), pytest.raises(RuntimeError, match="average"):
        call()
    opt.accumulate({name: np.ones_like(array) for name, array in params.items()})
    with pytest.raises(ValueError, match=f"{name}: gradients of the present weights have been accumulated"):
        call()
    assert everything(opt) == before


def test_monitors_write_acts_down_and_save_them(rng: np.random.Generator, tmp_path: Any) -> None:
    params, opt = trained(rng)
    mon, other = ac.Monitor(opt), ac.Monitor(ac.SGD(np.ones(3)))
    for _ in range(4):
        mon.observe(1.0, opt.step({name: np.ones_like(array) for name, array in params.items()}))
    first, second = escape.perturb(opt, seed=1), escape.jolt(opt)
    assert mon.acts == [first, second]
    assert first.step == 7
    assert other.acts == []
    mon.observe(1.0, opt.step({name: np.ones_like(array) for name, array in params.items()}))
    assert mon.history["acts"].tolist() == [0, 0, 0, 2, 0]
    ac.save(tmp_path / "run.safetensors", opt, monitor=mon)
    again = ac.Monitor(opt)
    ac.load(tmp_path / "run.safetensors", opt, monitor=again)
    assert again.acts == mon.acts
    assert [escape.Act.from_dict(json.loads(json.dumps(act.to_dict()))) for act in mon.acts] == mon.acts


@pytest.mark.parametrize("name", ["perturb", "restart", "along_curvature"])
def test_interrupts_come_before_or_after(name: str) -> None:
    made = []

    def prepare() -> Any:
        _, opt = trained(np.random.default_rng(0))
        whole = trained(np.random.default_rng(0))[1]
        act(whole)
        made[:] = [opt, everything(opt), everything(whole)]
        return lambda: act(opt)

    def act(opt: ac.Optimizer) -> None:
        if name == "perturb":
            escape.perturb(opt, seed=1)
        elif name == "along_curvature":
            escape.along_curvature(opt, turned, None, seed=1, iterations=2)
        else:
            escape.restart(opt, arrays, seed=1)

    def check() -> None:
        opt, before, after = made
        assert everything(opt) in (before, after)

    assert interrupt_everywhere(prepare, check, 40) > 25


def test_a_monitor_and_a_policy_follow_a_switch(rng: np.random.Generator) -> None:
    params, opt = trained(rng)
    mon = ac.Monitor(opt, stats_every=1)
    policy = escape.Policy(mon)
    new = ac.switch(opt, ac.SGD, lr=0.1, momentum=0.9)
    for _ in range(3):
        grads = {name: rng.standard_normal(array.shape) for name, array in params.items()}
        mon.observe(1.0, new.step(grads, stats=mon.wants_stats))
        assert policy.act(None) == []
    assert mon.report().startswith("SGD, 3 steps")
    act = escape.perturb(new, seed=1)
    assert mon.acts == [act]


def test_an_interrupt_leaves_all_rates_or_none() -> None:
    made = []

    def prepare() -> Any:
        opt = ac.SGD([{"params": {name: np.ones(2)}, "lr": 0.1} for name in "abcdef"])
        made[:] = [opt]
        return lambda: escape.jolt(opt)

    def check() -> None:
        assert len({callable(group["lr"]) for group in made[0].param_groups}) == 1

    assert interrupt_everywhere(prepare, check, 150) > 60


@pytest.mark.torch
def test_torch_tensors_move_as_arrays_do() -> None:
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    tensor = torch.from_numpy(array.copy()).requires_grad_()
    found = []
    for w, read in ((array, np.asarray), (tensor, lambda t: t.detach().numpy())):
        opt = ac.AdamW({"w": w})

        def loss_and_grad(params: Any, _: Any, read: Any = read) -> tuple[float, Any]:
            x = read(params["w"])
            return float(np.add.reduce(x[:, 0] ** 2 - x[:, 1] ** 2)), {"w": x * np.float32([2, -2, 0])}

        before = read(w).copy()
        curvature = ac.Monitor(opt).curvature(loss_and_grad, None)
        assert (read(w) == before).all()
        escape.along_curvature(opt, loss_and_grad, None, seed=0)
        escape.perturb(opt, seed=1)
        found.append((curvature.min, curvature.max, read(w).tobytes()))
        escape.restart(opt, lambda _, w=w: {"w": w * 2}, seed=0)
        assert (read(w) == 2 * np.frombuffer(found[-1][-1], np.float32).reshape(5, 3)).all()
    assert found[0] == found[1]
