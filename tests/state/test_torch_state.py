"""State dicts of PyTorch's optimizers, in and out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from files import whole

torch = pytest.importorskip("torch")

CASES: list[tuple[str, dict[str, Any]]] = [
    ("Adam", {}),
    ("Adam", dict(amsgrad=True, weight_decay=0.1)),
    ("AdamW", dict(betas=(0.8, 0.99), maximize=True)),
    ("AdamW", dict(amsgrad=True)),
    ("SGD", dict(weight_decay=0.1)),
    ("SGD", dict(momentum=0.9, nesterov=True)),
    ("SGD", dict(momentum=0.9, dampening=0.3, weight_decay=0.01)),
    ("RMSprop", {}),
    ("RMSprop", dict(momentum=0.9, centered=True, alpha=0.9)),
    ("Adagrad", dict(lr_decay=0.1)),
    ("Adagrad", dict(initial_accumulator_value=0.5)),
    ("Adafactor", dict(weight_decay=0.1)),
]

Params = list[np.ndarray]


def start(dtype: Any = np.float64) -> Params:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape).astype(dtype) for shape in ((5, 7), (37,))]


def tensors(params: Params) -> list[Any]:
    return [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in params]


def torch_steps(optimizer: Any, params: list[Any], rng: np.random.Generator, count: int) -> None:
    for _ in range(count):
        for p in params:
            p.grad = torch.from_numpy(rng.standard_normal(tuple(p.shape))).to(p.dtype)
        optimizer.step()


def steps(optimizer: ac.Optimizer, params: Params, rng: np.random.Generator, count: int) -> None:
    for _ in range(count):
        optimizer.step([rng.standard_normal(p.shape) for p in params])


def arrays(params: list[Any]) -> Params:
    return [p.detach().numpy().copy() for p in params]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_twenty_steps_there_and_twenty_here(name: str, options: dict[str, Any]) -> None:
    """And twenty more there again: as sixty there."""
    there = tensors(start())
    optimizer = getattr(torch.optim, name)(there, lr=0.05, **options)
    rng = np.random.default_rng(2)
    torch_steps(optimizer, there, rng, 20)

    here = arrays(there)
    own = getattr(ac, name)(here)
    own.load_state_dict(optimizer.state_dict())
    assert own.completed == (0 if name == "SGD" else 20)
    steps(own, here, rng, 20)

    back = tensors(here)
    last = getattr(torch.optim, name)(back)
    last.load_state_dict(own.torch_state_dict())
    torch_steps(last, back, rng, 20)

    unbroken = tensors(start())
    optimizer = getattr(torch.optim, name)(unbroken, lr=0.05, **options)
    rng = np.random.default_rng(2)
    torch_steps(optimizer, unbroken, rng, 40)
    for p, q in zip(here, arrays(unbroken), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-12)
    torch_steps(optimizer, unbroken, rng, 20)
    for p, q in zip(arrays(back), arrays(unbroken), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-12)


def test_names_decide_where_both_have_them() -> None:
    """In whichever order, and in whichever groups."""
    a, b = tensors(start())
    there = torch.optim.AdamW([("b", b), ("a", a)], lr=0.5)
    torch_steps(there, [b, a], np.random.default_rng(3), 3)
    own = ac.AdamW({"a": arrays([a])[0], "b": arrays([b])[0]})
    own.load_state_dict(there.state_dict())
    assert own.state["a"]["exp_avg"].shape == (5, 7)
    assert np.array_equal(own.state["b"]["exp_avg"], there.state[b]["exp_avg"].numpy())
    other = ac.AdamW({"b": arrays([b])[0], "c": np.ones(2)})
    with pytest.raises(ValueError, match="'c' is missing"):
        other.load_state_dict(there.state_dict())
    assert other.load_state_dict(there.state_dict(), strict=False) == (["c"], ["a"])
    assert other.steps["b"] == 3
    names = own.torch_state_dict()["param_groups"][0]["param_names"]
    assert names == ["a", "b"]


def test_groups_frozen_parameters_and_numbers_in_tensors() -> None:
    a, b = tensors(start())
    there = torch.optim.Adam([{"params": [a], "lr": torch.tensor(0.25, dtype=torch.float64)}, {"params": [b]}])
    scheduler = torch.optim.lr_scheduler.StepLR(there, 1)  # which writes "initial_lr" into groups
    a.grad = torch.ones_like(a)
    there.step()
    scheduler.step()
    saved = there.state_dict()
    own = ac.Adam([{"params": arrays([a])}, {"params": arrays([b])}], lr=9.0)
    steps(own, start(), np.random.default_rng(0), 2)
    own.load_state_dict(saved)
    assert dict(own.steps) == {"0": 1, "1": 0}
    assert own.param_groups[0]["lr"] == pytest.approx(0.025)
    assert own.param_groups[1]["lr"] == pytest.approx(1e-4)
    assert not own.state["1"]["exp_avg"].any(), "a parameter without a gradient so far begins anew"
    back = own.torch_state_dict()
    assert list(back["state"]) == [0]
    assert back["state"][0]["step"].dtype == torch.float32
    with pytest.raises(ValueError, match=r"groups of \[1, 1\] parameters, but the optimizer has \[2\]"):
        ac.Adam(start()).load_state_dict(saved)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_types_of_state(dtype: str) -> None:
    """State of half precision becomes the optimizer's float32, which has all of its numbers."""
    kind = getattr(torch, dtype)
    w = torch.nn.Parameter(torch.ones(40, dtype=kind))
    there = torch.optim.Adam([w], lr=0.1)
    torch_steps(there, [w], np.random.default_rng(4), 2)
    mine = w.detach().clone()
    own = ac.Adam([mine])
    own.load_state_dict(there.state_dict())
    assert own.state["0"]["exp_avg"].dtype == np.float32
    assert np.array_equal(own.state["0"]["exp_avg"], there.state[w]["exp_avg"].float().numpy())
    half = ac.Adam([mine], precision=ac.Precision(state="bfloat16"))
    if dtype == "float32":
        with pytest.raises(TypeError, match=r"dtype float32 does not match the optimizer's, which is bfloat16"):
            half.load_state_dict(there.state_dict())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", dict(amsgrad=True)),
        ("SGD", dict(momentum=0.9)),
        ("RMSprop", dict(centered=True, momentum=0.9)),
        ("Adagrad", dict(initial_accumulator_value=0.5)),
        ("Adafactor", {}),
    ],
)
@pytest.mark.parametrize("trained", [0, 1])
def test_parameters_without_a_gradient_so_far(name: str, options: dict[str, Any], trained: int) -> None:
    """Their state begins with the next step there and here, whatever options the optimizer here was made with."""
    there = tensors(start())
    optimizer = getattr(torch.optim, name)(there, lr=0.05, **options)
    if trained:
        there[0].grad = torch.ones_like(there[0])
        optimizer.step()
        there[0].grad = None
    here = arrays(there)
    own = getattr(ac, name)(here)
    steps(own, here, np.random.default_rng(9), 2)
    for p, q in zip(here, arrays(there), strict=True):
        p[...] = q
    own.load_state_dict(optimizer.state_dict())
    rng = np.random.default_rng(10)
    torch_steps(optimizer, there, np.random.default_rng(10), 3)
    steps(own, here, rng, 3)
    for p, q in zip(here, arrays(there), strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-12)


def test_momentum_of_half_precision_where_there_was_none() -> None:
    w = torch.nn.Parameter(torch.ones(40, dtype=torch.bfloat16))
    there = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    torch_steps(there, [w], np.random.default_rng(4), 2)
    own = ac.SGD([w.detach().clone()])
    own.load_state_dict(there.state_dict())
    assert np.array_equal(own.state["0"]["momentum_buffer"], there.state[w]["momentum_buffer"].float().numpy())


def test_own_things_stay() -> None:
    """Averages, and schedules if they are asked to."""
    there = tensors(start())
    optimizer = torch.optim.SGD(there, lr=0.5, momentum=0.9)
    torch_steps(optimizer, there, np.random.default_rng(5), 3)
    rate = ac.schedules.Constant(0.125)
    own = ac.SGD(arrays(there), lr=rate, momentum=0.5)
    ema = ac.EMA(own)
    steps(own, start(), np.random.default_rng(6), 2)
    average = ema.arrays["0"].copy()
    with pytest.raises(ValueError, match="schedules='own'"):
        own.load_state_dict(optimizer.state_dict())
    own.load_state_dict(optimizer.state_dict(), schedules="own")
    assert own.param_groups[0]["lr"] is rate
    assert own.param_groups[0]["momentum"] == 0.9
    assert np.array_equal(ema.arrays["0"], average)
    assert ema.count == 2
    assert np.array_equal(own.state["0"]["momentum_buffer"], optimizer.state[there[0]]["momentum_buffer"].numpy())


def test_what_does_not_fit() -> None:
    there = tensors(start())
    adam, adamw = torch.optim.Adam(there), torch.optim.AdamW(there)
    rms = torch.optim.RMSprop(there)
    for optimizer in (adam, adamw, rms):
        torch_steps(optimizer, there, np.random.default_rng(7), 1)
    own = ac.Adam(start())
    before = whole(own)

    def refused(saved: Any, message: str) -> None:
        with pytest.raises((TypeError, ValueError), match=message):
            own.load_state_dict(saved)
        assert whole(own) == before

    refused(adamw.state_dict(), "of torch.optim.AdamW, and cannot be loaded into Adam")
    refused(rms.state_dict(), "'square_avg' is no state of torch.optim.Adam")
    saved = adam.state_dict()
    group = saved["param_groups"][0]
    refused({**saved, "param_groups": [{**group, "lr": torch.ones(2)}]}, r"\['lr'\]: expected a number")
    refused({**saved, "param_groups": [group, {**group, "params": []}]}, "got 2 groups|groups of")
    refused({**saved, "param_groups": [{**group, "params": [0, 0]}]}, "a parameter is in two places")
    refused({**saved, "state": []}, "expected a dict, got")
    refused({**saved, "param_groups": 5}, "expected a list")
    refused({**saved, "state": {**saved["state"], 9: {}}}, "9 is in no group")
    refused({**saved, "state": {0: {**saved["state"][0], "step": torch.tensor(1.5)}}}, "expected a number of steps")
    refused({**saved, "state": {0: {"exp_avg": torch.ones(5, 7)}}}, "'step' is missing")
    refused({**saved, "state": {0: {**saved["state"][0], "exp_avg": 3}}}, "expected a tensor")
    wrong = {**saved["state"][0], "exp_avg": torch.ones(7, 5, dtype=torch.float64)}
    refused({**saved, "state": {0: wrong, 1: saved["state"][1]}}, r"shape \(7, 5\) does not match")
    negative = {**saved["state"][0], "exp_avg_sq": -torch.ones(5, 7, dtype=torch.float64)}
    refused({**saved, "state": {0: negative, 1: saved["state"][1]}}, "numbers below 0")
    with pytest.raises(ValueError, match="Lion: PyTorch has no such optimizer"):
        ac.Lion(start()).load_state_dict(saved)
    with pytest.raises(ValueError, match="Lion: PyTorch has no such optimizer"):
        ac.Lion(start()).torch_state_dict()
    with pytest.raises(ValueError, match="has no option 'cautious'"):
        ac.AdamW(start(), cautious=True).torch_state_dict()


def test_it_is_a_copy() -> None:
    params = start()
    own = ac.Adam(params)
    steps(own, params, np.random.default_rng(8), 1)
    before = whole(own)
    for slots in own.torch_state_dict()["state"].values():
        for tensor in slots.values():
            tensor.zero_()
    assert whole(own) == before
