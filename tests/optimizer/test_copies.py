"""Pickles and deep copies: the optimizer in the copy of a model updates the arrays of that copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, make
from pairs import products
from reference import CASES, Case
from storage import BF16, F32, F64

COPIERS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    **{f"protocol {p}": (lambda x, p=p: pickle.loads(pickle.dumps(x, p))) for p in range(2, 6)},  # noqa: S301
}


@pytest.fixture(params=COPIERS.values(), ids=COPIERS)
def copied(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return request.param


class Schedule:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, step: int) -> float:
        return self.rate / (1 + step)


class Model:
    """A model that has its parameters, its optimizer, and a schedule."""

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        self.rate = 0.1
        self.W = np.asfortranarray(rng.standard_normal((3, 5))).astype(dtype)
        self.layers = [{"b": rng.standard_normal(4).astype(dtype)}, {"b": np.array(0.5, dtype)}]

    @property
    def params(self) -> dict[str, Any]:
        return {"W": self.W, "layers": self.layers}

    def schedule(self, step: int) -> float:
        return self.rate / (1 + step)


class Named(ac.SGD):
    """A user's own class with attributes."""

    __slots__ = ("slot",)

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, lr=0.5, **options)
        self.extra = {"a": [1]}
        self.slot = 7


def grads(rng: np.random.Generator) -> dict[str, Any]:
    return {"W": rng.standard_normal((3, 5)), "layers.0.b": rng.standard_normal(4), "layers.1.b": np.array(0.25)}


def assert_goes_on_alike(model: Any, other: Any, rng: np.random.Generator) -> None:
    assert everything(model.opt) == everything(other.opt)
    for t in range(3):
        g = grads(rng)
        if t == 1:
            g["W"] = None
        model.opt.step(g)
        other.opt.step(g)
        assert everything(model.opt) == everything(other.opt)
        assert model.opt.steps == other.opt.steps
    assert other.opt.param_groups[0]["params"][0] is other.W
    assert other.W is not model.W
    assert other.W.tobytes("F") == model.W.tobytes("F")


@products(case=CASES, dtype=[F32, F64, BF16], copier=list(COPIERS))
def test_models(case: Case, dtype: Any, copier: str, rng: np.random.Generator) -> None:
    model = Model(rng, dtype)
    model.opt = make(case, model.params)
    for _ in range(2):
        model.opt.step(grads(rng))
    other = COPIERS[copier](model)
    assert type(other.opt) is type(model.opt)
    assert repr(other.opt) == repr(model.opt)
    assert_goes_on_alike(model, other, rng)


def test_groups_schedules_and_options(copied: Callable[[Any], Any], rng: np.random.Generator) -> None:
    model = Model(rng)
    groups = [
        {"params": {"W": model.W}, "lr": Schedule(0.5), "name": "first"},
        {"params": {"layers": model.layers}, "lr": model.schedule, "weight_decay": np.float32(0.5)},
    ]
    model.opt = ac.AdamW(groups, clip_norm=1.0, nonfinite="skip", precision=ac.Precision(seed=7))
    model.opt.step(grads(rng))
    model.opt.defaults["lr"] = 0.25
    other = copied(model)
    assert other.opt.options == model.opt.options
    assert other.opt.defaults == model.opt.defaults
    assert other.opt.param_groups[0]["name"] == "first"
    assert other.opt.param_groups[0]["lr"] is not model.opt.param_groups[0]["lr"]
    assert other.opt.param_groups[1]["lr"].__self__ is other
    assert_goes_on_alike(model, other, rng)
    other.opt.add_param_group({"params": {"c": np.ones(2)}})
    with pytest.raises(TypeError, match="unknown option"):
        other.opt.param_groups[0]["learning_rate"] = 1.0


def test_the_container_is_the_copied_one(copied: Callable[[Any], Any], rng: np.random.Generator) -> None:
    model = Model(rng)
    model.all = model.params
    model.opt = ac.SGD(model.all)
    other = copied(model)
    other.layers[0]["b"] = np.zeros(4, np.float32)
    model.opt.step(grads(rng))
    with pytest.raises(ValueError, match=r"params\['layers'\]\[0\]\['b'\]: another array has taken its place"):
        other.opt.step(grads(rng))
    other.opt.rebind(other.all)
    other.opt.step({"W": None, "layers": [{"b": np.ones(4)}, {"b": None}]})
    again = copied(other)
    again.opt.step({"W": None, "layers": [{"b": np.ones(4)}, {"b": None}]})


def test_the_optimizer_alone_and_again(copied: Callable[[Any], Any], rng: np.random.Generator) -> None:
    optimizer = ac.Adam({"w": rng.standard_normal(5)}, amsgrad=True)
    optimizer.step({"w": np.ones(5)})
    for _ in range(3):
        optimizer = copied(optimizer)
        optimizer.step({"w": np.ones(5)})
    assert optimizer.steps["w"] == 4


def test_classes_and_attributes_of_users(copied: Callable[[Any], Any]) -> None:
    optimizer = Named([np.ones(3)])
    optimizer.me = optimizer
    other = copied(optimizer)
    assert type(other) is Named
    assert (other.extra, other.slot) == ({"a": [1]}, 7)
    assert other.me is other
    other.extra["a"].append(2)
    assert optimizer.extra == {"a": [1]}


def test_state_as_it_is(copied: Callable[[Any], Any], rng: np.random.Generator) -> None:
    """State that is NaN, that is not in use, or that is to begin."""
    model = Model(rng)
    model.opt = ac.SGD(model.params, lr=0.1, momentum=0.9, dampening=0.5, nesterov=False)
    model.opt.step({**grads(rng), "W": None})
    model.opt.param_groups[0]["momentum"] = 0.0
    model.opt.step(grads(rng))
    model.opt.state["layers.1.b"]["momentum_buffer"][...] = np.nan
    other = copied(model)
    assert everything(other.opt) == everything(model.opt)
    for each in (model, other):
        each.opt.param_groups[0]["momentum"] = 0.9
    again = copied(other)
    g = grads(rng)
    for each in (model, other, again):
        each.opt.step(g)
    assert everything(other.opt) == everything(model.opt) == everything(again.opt)


def views(rng: np.random.Generator, tmp_path: Path) -> dict[str, tuple[Any, Any]]:
    """Views that would come apart, and what they are views of."""
    base, square = rng.standard_normal(12), rng.standard_normal((4, 3))
    mapped = np.memmap(tmp_path / "file", np.float64, "w+", shape=(4,))
    return {
        "part": (base[:4], base),
        "transposed": (square.T, square),
        "memory map": (mapped, None),
        "part of a memory map": (np.asarray(mapped)[:2], None),
    }


@pytest.mark.parametrize("kind", ["part", "transposed", "memory map", "part of a memory map"])
def test_views_that_would_come_apart(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    view, _base = views(rng, tmp_path)[kind]
    optimizer = ac.SGD({"b": np.ones(2), "w": view})
    for copier in COPIERS.values():
        with pytest.raises(TypeError, match=r"SGD: the parameter 'w' is a view of (an array|a memory map)"):
            copier((view, optimizer))
    optimizer.step({"b": np.ones(2), "w": np.ones(view.shape)})


def test_a_buffer_that_others_hold() -> None:
    buffer = bytearray(32)
    optimizer = ac.SGD(np.frombuffer(buffer))
    with pytest.raises(TypeError, match="the parameter '0' is a view of"):
        copy.deepcopy(optimizer)


def test_views_that_nobody_else_sees(copied: Callable[[Any], Any]) -> None:
    flat = np.arange(20.0)
    params = {"w": np.arange(12.0).reshape(3, 4), "a": flat[:8].reshape(2, 4), "b": flat[8:]}
    del flat
    optimizer = ac.SGD(params, lr=1.0)
    new, other = copied((params, optimizer))
    other.step({name: np.ones(a.shape) for name, a in params.items()})
    assert all(np.array_equal(new[name], params[name] - 1) for name in params)


def test_loss_scalers(copied: Callable[[Any], Any], rng: np.random.Generator) -> None:
    """A copied scaler has the numbers, and belongs to the optimizer that uses it first."""
    model = Model(rng)
    model.opt, model.scaler = ac.SGD(model.params), ac.LossScaler(8.0, growth_interval=1)
    model.opt.step(grads(rng), loss_scale=model.scaler)
    other = copied(model)
    assert other.scaler.scale == model.scaler.scale == 16.0
    other.opt.step(grads(rng), loss_scale=other.scaler)
    with pytest.raises(ValueError, match="LossScaler"):
        model.opt.step(grads(rng), loss_scale=other.scaler)


def test_joblib(tmp_path: Path, rng: np.random.Generator) -> None:
    """joblib writes an array anew wherever it meets it, but the container of the parameters once."""
    joblib = pytest.importorskip("joblib")
    model = Model(rng)
    params = model.params
    model.opt = ac.Adam(params)
    model.opt.step(grads(rng))
    joblib.dump((params, model.opt), tmp_path / "file")
    new, optimizer = joblib.load(tmp_path / "file")
    g = grads(rng)
    model.opt.step(g)
    optimizer.step(g)
    assert everything(optimizer) == everything(model.opt)
    assert np.array_equal(new["W"], model.W)
    with pytest.raises(ValueError, match=r"params\['W'\].*read-only"):
        joblib.load(tmp_path / "file", mmap_mode="r")


def test_torch_parameters(copied: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 2)
    module.opt = ac.AdamW(dict(module.named_parameters()))
    module.weight.register_hook(lambda grad, _owner=module.opt: grad)
    other = copied(module) if copied is copy.deepcopy else copied((dict(module.named_parameters()), module.opt))
    params, optimizer = other if isinstance(other, tuple) else (dict(other.named_parameters()), other.opt)
    g = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}
    optimizer.step(g)
    module.opt.step(g)
    assert all(torch.equal(params[name], p) for name, p in module.named_parameters())
    assert optimizer.param_groups[0]["params"][0] is params["weight"]
    part = torch.ones(6)[:3]
    with pytest.raises(TypeError, match="'w' is a view of a larger storage"):
        copy.deepcopy(ac.SGD({"w": part}))


def test_pickles_of_versions_without_an_option_mean_what_these_did() -> None:
    optimizer = ac.AdamW({"w": np.ones(3)})
    make, arguments, state = optimizer.__reduce_ex__(2)
    for hyper in (state["defaults"], state["groups"][0]["hyper"]):
        del hyper["cautious"]
    restored = make(*arguments)
    restored.__setstate__(state)
    assert restored.param_groups[0]["cautious"] is False
    assert restored.step({"w": np.ones(3)}).skipped is False
