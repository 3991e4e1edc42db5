"""State dicts of earlier versions, kept as files: they load, and training goes on with the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules

FORMATS = Path(__file__).parent / "formats"


def array(saved: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(saved["bytes"]), saved["dtype"]).reshape(saved["shape"]).copy()


def arrays(saved: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: array(value) for key, value in saved.items()}


def with_arrays(value: Any) -> Any:
    if isinstance(value, list):
        return [with_arrays(item) for item in value]
    if not isinstance(value, dict):
        return value
    return array(value) if "bytes" in value else {key: with_arrays(item) for key, item in value.items()}


def read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    return {
        "state_dict": with_arrays(found["state_dict"]),
        "params": arrays(found["params"]),
        "grads": [arrays(each) for each in found["grads"]],
        "params_after": arrays(found["params_after"]),
    }


def made_with(params: dict[str, np.ndarray], rate: Any) -> ac.AdamW:
    groups = [
        {"params": {key: params[key] for key in ("w", "scalar")}, "lr": rate},
        {"params": {"b": params["b"]}, "name": "biases"},
    ]
    return ac.AdamW(groups, amsgrad=True)


@pytest.mark.parametrize("rate", [lambda t: 0.1 / (1 + t), schedules.InverseTime(0.1, 1.0)], ids=["code", "schedule"])
def test_format_1_goes_on(rate: Any) -> None:
    """It said nothing of a schedule: the optimizer's own counts, as in the version that wrote it."""
    saved = read(FORMATS / "1.json")
    params = saved["params"]
    optimizer = made_with(params, rate)
    optimizer.load_state_dict(saved["state_dict"])
    assert optimizer.completed == 3
    assert optimizer.param_groups[0]["lr"] is rate
    assert optimizer.param_groups[1]["lr"] == 0.05
    for grads in saved["grads"]:
        optimizer.step(grads)
    assert {key: p.tobytes() for key, p in params.items()} == {
        key: p.tobytes() for key, p in saved["params_after"].items()
    }


def test_format_1_leaves_own_numbers_and_schedules() -> None:
    saved = read(FORMATS / "1.json")
    optimizer = made_with(saved["params"], 0.5)
    optimizer.param_groups[1]["lr"] = schedules.Constant(0.25)
    optimizer.load_state_dict(saved["state_dict"])
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, schedules.Constant(0.25)]
    optimizer.load_state_dict(saved["state_dict"], schedules="saved")
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]
    optimizer.param_groups[1]["lr"] = schedules.Constant(0.25)
    assert optimizer.state_dict()["format"] == 2
    again = made_with(saved["params"], 0.125)
    again.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in again.param_groups] == [0.5, schedules.Constant(0.25)]


def made_with_format_2(params: dict[str, np.ndarray]) -> ac.AdamW:
    groups = [
        {"params": {key: params[key] for key in ("w", "scalar")}},
        {"params": {"b": params["b"]}, "name": "biases"},
    ]
    optimizer = ac.AdamW(groups, amsgrad=True, clip_norm=ac.SpikeGuard(window=4))
    ac.EMA(optimizer, decay=0.9)
    return optimizer


@pytest.mark.parametrize("way", ["state_dict", "file"])
def test_format_2_goes_on(way: str) -> None:
    """It has schedules, averages, guards and an open window. Files of version 1 have it with the parameters."""
    saved = read(FORMATS / "2.json")
    params = saved["params"]
    if way == "file":
        params = {key: np.zeros_like(p) for key, p in params.items()}
    optimizer = made_with_format_2(params)
    if way == "file":
        assert optimizer.load(FORMATS.parent.parent / "checkpoints" / "formats" / "1.safetensors") == {"epoch": 4}
    else:
        optimizer.load_state_dict(saved["state_dict"])
    assert optimizer.completed == 4
    assert optimizer.accumulated == 1
    assert isinstance(optimizer.param_groups[0]["lr"], schedules.Warmup)
    for grads in saved["grads"]:
        optimizer.step(grads)
    assert {key: p.tobytes() for key, p in params.items()} == {
        key: p.tobytes() for key, p in saved["params_after"].items()
    }


def test_parts_of_other_parameters(rng: np.random.Generator) -> None:
    """`strict=False` loads what both have, and says what only one has."""

    def make(names: str, **options: Any) -> ac.AdamW:
        shape = {"a": 3, "b": (2, 2), "c": 4, "d": 1}
        groups = [{"params": {name: np.ones(shape[name]) for name in part}} for part in names.split()]
        return ac.AdamW(groups, **options)

    old = make("ab c", lr=0.25)
    old.param_groups[1]["lr"] = 0.5
    for _ in range(2):
        old.step({name: rng.standard_normal(np.shape(old.state[name]["exp_avg"])) for name in "abc"})
    saved = old.state_dict()
    new = make("d cb", weight_decay=0.0)
    new.step({name: rng.standard_normal(np.shape(new.state[name]["exp_avg"])) for name in "bcd"})
    before = new.state["d"]["exp_avg"].copy()
    with pytest.raises(ValueError, match=r"\['param_names'\]: 'd' is missing"):
        new.load_state_dict(saved)
    unmatched = new.load_state_dict(saved, strict=False)
    assert unmatched == (["d"], ["a"])
    assert (unmatched.missing, unmatched.unexpected) == (["d"], ["a"])  # type: ignore[union-attr]
    assert dict(new.steps) == {"d": 1, "c": 2, "b": 2}
    assert new.completed == 2
    assert np.array_equal(new.state["d"]["exp_avg"], before)
    for name in "bc":
        assert np.array_equal(new.state[name]["exp_avg"], old.state[name]["exp_avg"])
    assert [group["lr"] for group in new.param_groups] == [1e-3, 0.25], "the group that has c and a is not the one of b"
    assert [group["weight_decay"] for group in new.param_groups] == [0.0, 0.01]
    assert new.load_state_dict(new.state_dict(), strict=False) == ([], [])
