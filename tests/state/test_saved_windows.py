"""Open windows of accumulation in checkpoints and copies."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from pairs import products
from storage import F16, F32, F64


@products(grad=[F32, F16, F64], leaves=[1, 2], way=["state_dict", "pickle", "deepcopy"])
def test_an_open_window_is_saved(grad: Any, leaves: int, way: str, rng: np.random.Generator) -> None:
    def made() -> tuple[dict[str, np.ndarray], ac.Optimizer]:
        params = {"a": np.ones((3, 4), F32, order="F"), "b": np.ones(5, F16), "c": np.ones(2)}
        return params, ac.Adam(params, clip_norm=0.1)

    params, opt = made()
    for k in range(leaves):
        gradients = {name: rng.normal(size=p.shape).astype(grad) for name, p in params.items()}
        opt.accumulate({**gradients, "b": gradients["b"] if k else None}, weight=0.7 + k)
    if way == "state_dict":
        saved = opt.state_dict()
        assert saved["window"]["leaves"] == leaves
        assert set(saved["window"]["sums"]) == ({"a", "b", "c"} if leaves > 1 else {"a", "c"})
        others, other = made()
        other.accumulate({name: np.ones_like(p) for name, p in params.items()})  # is replaced
        other.load_state_dict(saved)
        assert other.state_dict()["window"]["weight"] == saved["window"]["weight"]
    else:
        copier = copy.deepcopy if way == "deepcopy" else lambda both: pickle.loads(pickle.dumps(both))  # noqa: S301
        others, other = copier((params, opt))
    for each in (opt, other):
        assert each.accumulated == leaves
        each.step(gradients if leaves == 2 else None)
    assert all(params[name].tobytes() == others[name].tobytes() for name in params)
    assert opt.state_dict()["window"] is None
    other.accumulate(gradients)
    other.load_state_dict(opt.state_dict())
    assert other.accumulated == 0


BAD_WINDOWS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"leaves": 0}, ValueError, r"\['window'\]\['leaves'\]: expected an int >= 1, got 0"),
    ({"leaves": True}, ValueError, r"\['window'\]\['leaves'\]"),
    ({"weight": -1.0}, ValueError, r"\['window'\]\['weight'\]: expected a finite number > 0, got -1.0"),
    ({"more": 1}, ValueError, r"\['window'\]: 'more' is not in the optimizer"),
    ({"sums": {"b": np.ones(3, F32)}}, ValueError, r"\['window'\]\['sums'\]\['b'\]: is not in the optimizer"),
    ({"sums": {"w": np.ones(4, F32)}}, ValueError, r"\['window'\]\['sums'\]\['w'\]: shape \(4,\)"),
    ({"sums": {"w": np.ones(3, F16)}}, TypeError, r"\['window'\]\['sums'\]\['w'\]: dtype float16"),
    ({"sums": 3}, TypeError, r"\['window'\]\['sums'\]: expected a dict"),
]


@pytest.mark.parametrize(("changed", "error", "message"), BAD_WINDOWS, ids=str)
def test_a_bad_window_is_not_loaded(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    opt = ac.SGD({"w": np.ones(3, F32)})
    opt.accumulate({"w": np.ones(3, F32)})
    opt.accumulate({"w": np.ones(3, F32)})
    saved = opt.state_dict()
    before = pickle.dumps(saved)
    with pytest.raises(error, match=message):
        opt.load_state_dict({**saved, "window": {**saved["window"], **changed}})
    with pytest.raises(TypeError, match="window"):
        opt.load_state_dict({**saved, "window": 3})
    assert pickle.dumps(opt.state_dict()) == before


def test_a_window_of_other_parameters_is_loaded_as_far_as_it_goes() -> None:
    old = ac.SGD({"a": np.ones(3), "b": np.ones(3)}, lr=1.0)
    old.accumulate({"a": np.ones(3), "b": np.ones(3)})
    p = {"a": np.ones(3), "c": np.ones(3)}
    new = ac.SGD(p, lr=1.0)
    new.load_state_dict(old.state_dict(), strict=False)
    new.step()
    assert (p["a"][0], p["c"][0]) == (0, 1)
