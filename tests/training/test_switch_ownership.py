"""`switch`: what belongs to an optimizer goes along, the old one is out of use, and failures change nothing."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from helpers import bits, everything
from snapshots import all_of
from storage import F16, F32
from switching import gradients, trained

USES: dict[str, Callable[[Any], Any]] = {
    "step": lambda opt: opt.step({"w": np.ones((3, 2)), "b": np.ones(4)}),
    "accumulate": lambda opt: opt.accumulate({"w": np.ones((3, 2)), "b": np.ones(4)}),
    "accumulated": lambda opt: opt.accumulated,
    "state_dict": lambda opt: opt.state_dict(),
    "load_state_dict": lambda opt: opt.load_state_dict({}),
    "torch_state_dict": lambda opt: opt.torch_state_dict(),
    "save": lambda opt: opt.save("nowhere"),
    "ac.save": lambda opt: ac.save("nowhere", opt),
    "state": lambda opt: opt.state,
    "steps": lambda opt: opt.steps,
    "numbers": lambda opt: opt.numbers,
    "completed": lambda opt: opt.completed,
    "current": lambda opt: opt.current(),
    "param_groups": lambda opt: opt.param_groups,
    "defaults": lambda opt: opt.defaults,
    "options": lambda opt: opt.options,
    "add_param_group": lambda opt: opt.add_param_group({"params": np.ones(1)}),
    "rebind": lambda opt: opt.rebind({}),
    "reset_state": lambda opt: opt.reset_state(),
    "rescale_state": lambda opt: opt.rescale_state(2.0),
    "upload": lambda opt: opt.upload(),
    "switched": lambda opt: opt.switched,
    "an attribute": lambda opt: setattr(opt, "note", 1),
    "deletion": lambda opt: delattr(opt, "note"),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": pickle.dumps,
    "EMA": ac.EMA,
    "Monitor": ac.Monitor,
    "switch": lambda opt: ac.switch(opt, ac.Lion),
    "lr_finder": lambda opt: ac.lr_finder(opt, lambda p, _: (0.0, p), [0] * 20),
    "loss scale": lambda opt: opt.step({}, loss_scale=ac.LossScaler()),
}


@pytest.mark.parametrize("use", USES)
def test_the_old_optimizer_refuses_every_use(use: str) -> None:
    params, old = trained()
    new = ac.switch(old, ac.SGD, momentum=0.9)
    before = all_of(new)
    with pytest.raises(RuntimeError, match="AdamW: this optimizer has been switched to SGD: use the one that"):
        USES[use](old)
    assert all_of(new) == before
    assert not set(params) - set(new.steps)


def test_every_public_name_of_optimizers_is_refused() -> None:
    _, old = trained()
    ac.switch(old, ac.SGD)
    for name in dir(ac.Optimizer):
        if not name.startswith("_"):
            with pytest.raises(RuntimeError, match="has been switched"):
                getattr(old, name)


def test_the_old_optimizer_tells_what_it_was() -> None:
    _, old = trained()
    new = ac.switch(old, ac.SGD)
    assert repr(old) == str(old) == "<AdamW that has been switched to SGD>"
    assert old.switched_to is new  # type: ignore[attr-defined]
    assert isinstance(old, ac.AdamW)


def natives() -> int:
    gc.collect()
    return sum(type(found) is _core.HostOptimizer for found in gc.get_objects())


def test_the_old_state_is_let_go() -> None:
    _, old = trained()
    rate, count = weakref.ref(old.param_groups[0]["lr"]), natives()
    new = ac.switch(old, ac.SGD, lr=0.5)
    assert natives() == count, "there is only the new one"
    assert rate() is None
    assert set(object.__getattribute__(old, "__dict__")) == {"_successor"}
    assert new.completed == 3


def test_optimizers_with_slots_and_attributes_of_their_own() -> None:
    class Noting(ac.AdamW):
        __slots__ = ("note",)

    old = Noting({"w": np.ones(3)})
    object.__setattr__(old, "note", "seen")
    old.step({"w": np.ones(3)})
    new = ac.switch(old, Noting, lr=0.5)
    assert type(new) is Noting
    assert new.steps["w"] == 1
    with pytest.raises(RuntimeError, match="Noting: this optimizer has been switched to Noting"):
        old.step({"w": np.ones(3)})


CONTAINERS: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "dict": lambda a, b: ({"a": a, "b": b}, {"a": np.ones(2), "b": np.ones(3)}),
    "list": lambda a, b: ([a, b], [np.ones(2), np.ones(3)]),
    "nested": lambda a, b: ({"x": [a, {"y": b}]}, {"x": [np.ones(2), {"y": np.ones(3)}]}),
    "pairs": lambda a, b: (iter([("a", a), ("b", b)]), {"a": np.ones(2), "b": np.ones(3)}),
    "generator": lambda a, b: ((p for p in [a, b]), [np.ones(2), np.ones(3)]),
    "groups": lambda a, b: ([{"params": {"a": a}}, {"params": [b]}], [np.ones(2), np.ones(3)]),
    "renamed": lambda a, b: ([{"params": [a, b], "param_names": ["x", "y"]}], {"x": np.ones(2), "y": np.ones(3)}),
}


@pytest.mark.parametrize("form", CONTAINERS)
def test_gradients_keep_their_structure(form: str) -> None:
    a, b = np.zeros(2), np.zeros(3)
    params, grads = CONTAINERS[form](a, b)
    old = ac.SGD(params, lr=1.0)
    old.step(grads)
    names = list(old.steps)
    new = ac.switch(old, ac.SGD, lr=0.5)
    new.step(grads)
    assert (a.tolist(), b.tolist(), list(new.steps)) == ([-1.5] * 2, [-1.5] * 3, names)


def test_replaced_arrays_are_still_noticed() -> None:
    params = {"w": np.ones(3)}
    new = ac.switch(ac.SGD(params, lr=1.0), ac.Lion)
    params["w"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"params\['w'\]"):
        new.step({"w": np.ones(3)})
    new.rebind(params)
    new.step({"w": np.ones(3)})


def test_an_open_window_goes_on() -> None:
    w = np.zeros(2)
    old = ac.AdamW({"w": w}, lr=1.0)
    old.accumulate({"w": np.array([1.0, 0.0])}, weight=3)
    new = ac.switch(old, ac.SGD, weight_decay=0.0)
    assert new.accumulated == 1
    new.accumulate({"w": np.array([0.0, 1.0])})
    new.step()
    assert w.tolist() == [-0.75, -0.25]


def test_averages_go_on() -> None:
    pairs = [trained() for _ in range(2)]
    handles = []
    for _, opt in pairs:
        handles.append([ac.EMA(opt, 0.5), ac.SWA(opt, start=5), ac.Lookahead(opt, k=3)])
        for seed in range(4):
            opt.step(gradients(pairs[0][0], seed))
    (params, one), (_, other) = pairs
    one = ac.switch(one, ac.AdamW, nonfinite="skip")
    for seed in range(4):
        one.step(gradients(params, seed))
        other.step(gradients(params, seed))
    assert everything(one) == everything(other)
    for mine, yours in zip(*handles, strict=True):
        assert mine.count == yours.count > 0
        assert bits(mine.arrays["w"]) == bits(yours.arrays["w"])
        assert repr(mine) == repr(yours)
    ema, last = handles[0][0], params["w"].copy()
    with ema.swap():
        assert bits(params["w"]) != bits(last)
        with pytest.raises(RuntimeError):
            one.step(gradients(params))
    assert bits(params["w"]) == bits(last)
    assert pickle.loads(pickle.dumps((one, ema)))[1].count == ema.count  # noqa: S301


def test_averages_belong_to_the_new_optimizer_in_fit() -> None:
    class Line:
        def batches(self, rng: np.random.Generator) -> Any:
            return iter([rng.standard_normal(4)])

        def loss_and_grad(self, params: Any, _: Any) -> tuple[float, Any]:
            return float(np.square(params["b"]).sum()), {"w": params["w"] * 0, "b": 2 * params["b"]}

    _, opt = trained()
    ema = ac.EMA(opt, 0.5)
    opt = ac.switch(opt, ac.SGD, momentum=0.5)
    run = ac.fit(Line(), opt, steps=3, ema=ema, progress=None)
    assert run.step == ema.count == 3


def test_a_spike_guard_goes_on() -> None:
    guards = [ac.SpikeGuard(window=8, action="skip") for _ in range(2)]
    (params, one), (_, other) = (trained(clip_norm=guard) for guard in guards)
    for seed in range(20):
        one.step(gradients(params, seed))
        other.step(gradients(params, seed))
    one = ac.switch(one, ac.AdamW)
    assert one.options["clip_norm"] is guards[0]
    assert guards[0].history == guards[1].history
    spike = {name: 1e3 * g for name, g in gradients(params).items()}
    assert one.step(spike).skipped
    assert other.step(spike).skipped
    one.step(gradients(params))
    other.step(gradients(params))
    assert guards[0].history == guards[1].history
    assert everything(one) == everything(other)
    with pytest.raises(ValueError, match="another AdamW has this SpikeGuard"):
        ac.SGD(np.ones(2), clip_norm=guards[0])
    two = ac.switch(one, ac.SGD, clip_norm=None)
    ac.SGD(np.ones(2), clip_norm=guards[0])  # it is free
    assert two.options["clip_norm"] is None


def test_a_loss_scaler_goes_on() -> None:
    w, scaler = np.ones(3, F16), ac.LossScaler(8.0, growth_interval=2)
    old = ac.AdamW({"w": w}, lr=0.1)
    old.step({"w": np.full(3, 8, F16)}, loss_scale=scaler)
    new = ac.switch(ac.switch(old, ac.RMSprop), ac.SGD, momentum=0.5)
    new.step({"w": np.full(3, 8, F16)}, loss_scale=scaler)
    assert scaler.scale == 16.0
    with pytest.raises(ValueError, match="another SGD has been stepped with this LossScaler"):
        ac.SGD(np.ones(3, F16)).step(np.ones(3, F16), loss_scale=scaler)
    with pytest.raises(RuntimeError, match="AdamW: this optimizer has been switched"):
        old.step({"w": np.full(3, 8, F16)}, loss_scale=scaler)


class Broken(ac.SGD):
    """An optimizer whose constructor fails at the end."""

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        raise ZeroDivisionError("broken")


def refused(t: int) -> float:
    raise ZeroDivisionError(t)


BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (3, {}, TypeError, "switch: cls must be the class of an optimizer, such as adamcore.SGD, got 3"),
    (ac.Optimizer, {}, TypeError, "switch: cls must be the class of an optimizer"),
    (dict, {}, TypeError, "switch: cls must be the class of an optimizer"),
    (ac.SGD, {"beta": 0.5}, TypeError, "beta"),
    (ac.SGD, {"momentum": -1.0}, ValueError, "SGD: .*momentum"),
    (ac.SGD, {"nesterov": True}, ValueError, "nesterov needs momentum"),
    (ac.SGD, {"clip_norm": -1.0}, ValueError, "clip_norm"),
    (ac.ScheduleFreeAdamW, {"betas": (0.0, 0.9)}, ValueError, "betas"),
    (ac.SGD, {"lr": refused}, ZeroDivisionError, "0"),
    (ac.SGD, {"precision": ac.Precision(master="remainder")}, ValueError, "precision"),
    (Broken, {}, ZeroDivisionError, "^broken$"),
]


@pytest.mark.parametrize(("cls", "options", "error", "message"), BAD, ids=[bad[-1] for bad in BAD])
def test_a_failure_changes_nothing(cls: Any, options: Any, error: type[Exception], message: str) -> None:
    guard = ac.SpikeGuard()
    _, opt = trained(clip_norm=guard)
    before = all_of(opt)
    with pytest.raises(error, match=message):
        ac.switch(opt, cls, **options)
    assert all_of(opt) == before
    with pytest.raises(ValueError, match="another AdamW has this SpikeGuard"):
        ac.SGD(np.ones(2), clip_norm=guard)
    opt.step({"w": np.ones((3, 2)), "b": np.ones(4)})


def test_no_optimizer() -> None:
    with pytest.raises(TypeError, match="switch: opt must be an optimizer, got 3"):
        ac.switch(3, ac.SGD)  # type: ignore[type-var]


def test_an_optimizer_in_use_is_refused() -> None:
    _, opt = trained()
    ema = ac.EMA(opt)
    with ema.swap(), pytest.raises(RuntimeError, match="AdamW"):
        ac.switch(opt, ac.SGD)
    ac.switch(opt, ac.SGD)

    def rate(_: int) -> float:
        ac.switch(other, ac.SGD)
        return 0.1

    other = ac.SGD(np.ones(2), lr=0.1)
    other.param_groups[0]["lr"] = rate
    with pytest.raises(RuntimeError, match="SGD"):
        other.step(np.ones(2))


def test_a_copy_is_switched_by_itself() -> None:
    params, opt = trained()
    others, other = copy.deepcopy((params, opt))
    new = ac.switch(opt, ac.SGD, momentum=0.9)
    other.step(gradients(others))
    twin_params, twin = pickle.loads(pickle.dumps((params, new)))  # noqa: S301
    assert twin.switched == new.switched
    new.step(gradients(params))
    twin.step(gradients(params))
    assert everything(new) == everything(twin)
    assert bits(twin_params["w"]) == bits(params["w"])


def test_half_precision_goes_on_with_the_same_bits() -> None:
    pairs = []
    for _ in range(2):
        w = np.linspace(-1, 1, 12).astype(F16)
        opt: ac.Optimizer = ac.Adam({"w": w}, lr=0.01, precision=ac.Precision(state="bfloat16", seed=3))
        for k in range(5):
            opt.step({"w": np.full(12, 0.1 + k, F32)})
        pairs.append((w, opt))
    (one, first), (other, second) = pairs
    first = ac.switch(first, ac.Adam)
    for opt in (first, second):
        opt.step({"w": np.ones(12, F32)})
    assert bits(one) == bits(other)
    assert everything(first) == everything(second)
