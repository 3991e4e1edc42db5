"""What does not fit is refused by name and changes nothing; `strict=False` loads what both sides have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from files import small, varied, whole


def of(names: str, **options: Any) -> tuple[dict[str, np.ndarray], ac.Optimizer]:
    params = {name: np.full(i + 2, ord(name) / 10) for i, name in enumerate(names)}
    optimizer = ac.Adam(params, **options)
    optimizer.step({name: np.cos(p) for name, p in params.items()})
    return params, optimizer


def test_parameters_of_both(tmp_path: Path) -> None:
    old, optimizer = of("abc", lr=0.5)
    optimizer.accumulate({name: np.ones_like(p) for name, p in old.items()})
    optimizer.save(tmp_path / "run")
    params, new = of("abz")
    own = params["z"].copy(), new.state["z"]["exp_avg"].copy()
    before = whole(new)
    with pytest.raises(ValueError, match=r"run: the file has no parameter 'z'; strict=False"):
        new.load(tmp_path / "run")
    assert whole(new) == before
    assert new.load(tmp_path / "run", strict=False) == {}
    for name in "ab":
        assert np.array_equal(params[name], old[name])
        assert np.array_equal(new.state[name]["exp_avg"], optimizer.state[name]["exp_avg"])
    assert np.array_equal(params["z"], own[0])
    assert np.array_equal(new.state["z"]["exp_avg"], own[1])
    assert new.current()["lr"] == 0.5
    assert new.accumulated == 1
    new.step()
    optimizer.step()
    assert np.array_equal(params["a"], old["a"])


def test_partial_loads_read_only_what_they_need(tmp_path: Path) -> None:
    """An array that is damaged does not matter to those who do not want it."""
    old, optimizer = of("abc")
    optimizer.save(tmp_path / "run")
    data = bytearray((tmp_path / "run").read_bytes())
    at = data.rindex(old["c"].tobytes())
    data[at] ^= 1
    (tmp_path / "run").write_bytes(data)
    params, new = of("ab")
    new.load(tmp_path / "run", strict=False)
    assert np.array_equal(params["a"], old["a"])
    with pytest.raises(ac.CheckpointError, match=r"'param/c/value': the array is damaged"):
        optimizer.load(tmp_path / "run")


def test_parts_of_both(tmp_path: Path) -> None:
    _, optimizer = of("a")
    scaler = ac.LossScaler(64.0)
    ac.save(tmp_path / "run", optimizer, scaler=scaler, extra=5)
    with pytest.raises(ValueError, match=r"the file has a part 'scaler': pass scaler=\.\.\."):
        ac.load(tmp_path / "run", optimizer)
    stopping = ac.EarlyStopping("min", 3)
    with pytest.raises(ValueError, match="there is no part 'stopping' in the file"):
        ac.load(tmp_path / "run", optimizer, scaler=scaler, stopping=stopping)
    assert ac.load(tmp_path / "run", optimizer, strict=False) == 5
    scaler.scale = 2.0
    assert ac.load(tmp_path / "run", optimizer, strict=False, scaler=scaler, stopping=stopping) == 5
    assert scaler.scale == 64.0
    scaler.scale = 2.0
    assert ac.load(tmp_path / "run", None, scaler=scaler) == 5
    assert scaler.scale == 64.0
    assert ac.load(tmp_path / "run", None, strict=False) == 5


def test_nothing_of_both(tmp_path: Path) -> None:
    """Another prefix of all names, for example, is not what `strict=False` is for."""
    _, optimizer = of("ab")
    optimizer.save(tmp_path / "run")
    _, other = of("cd")
    before = whole(other)
    with pytest.raises(ValueError, match="there is no parameter of both: the file has 'a', the optimizer 'c'"):
        other.load(tmp_path / "run", strict=False)
    assert whole(other) == before


def test_groups_that_take_the_same_saved_group(tmp_path: Path) -> None:
    """Each of them is compared with it."""
    cosine, other = ac.schedules.Cosine(0.1, steps=100), ac.schedules.Cosine(0.2, steps=100)
    ac.SGD({"a": np.ones(2), "b": np.ones(2)}, lr=cosine).save(tmp_path / "run")

    def made(rate: Any) -> ac.Optimizer:
        return ac.SGD([{"params": {"a": np.ones(2)}, "lr": cosine}, {"params": {"b": np.ones(2)}, "lr": rate}])

    for rate in (0.5, other):
        optimizer = made(rate)
        optimizer.load(tmp_path / "run", strict=False, schedules="saved")
        assert [group["lr"] for group in optimizer.param_groups] == [cosine, cosine]
    with pytest.raises(ValueError, match=r"run: state_dict\['param_groups'\]\[0\]\['lr'\]: .*schedules='own'"):
        made(other).load(tmp_path / "run", strict=False)


def test_modes_of_schedule_free(tmp_path: Path) -> None:
    """A parameter that is left out would be in the other mode than the optimizer."""

    def made(names: str) -> tuple[dict[str, np.ndarray], ac.ScheduleFreeAdamW]:
        params = {name: np.full(3, 5.0) for name in names}
        optimizer = ac.ScheduleFreeAdamW(params, lr=0.1)
        for step in range(4):
            optimizer.step({name: np.cos(p) + step for name, p in params.items()})
        return params, optimizer

    _, old = made("w")
    old.eval()
    old.save(tmp_path / "run")
    params, new = made("wv")
    points = params["v"].copy()
    before = whole(new)
    with pytest.raises(ValueError, match=r"'v', which is not in the state_dict, .*call eval\(\) before"):
        new.load(tmp_path / "run", strict=False)
    assert whole(new) == before
    new.eval()
    new.load(tmp_path / "run", strict=False)
    new.train()
    assert np.allclose(params["v"], points, rtol=1e-12)


class Mine(ac.AdamW):
    """An optimizer with more state, as users write them."""

    more = 0

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "more": self.more}

    def load_state_dict(self, state_dict: Any, **options: Any) -> Any:
        others = {key: value for key, value in state_dict.items() if key != "more"}
        unmatched = super().load_state_dict(others, **options)
        self.more = state_dict["more"]
        if self.more == 13:
            raise ValueError("13")
        return unmatched


def test_state_dicts_of_a_users_class(tmp_path: Path) -> None:
    params = {"w": np.ones(3)}
    optimizer = Mine(params)
    optimizer.more = 5
    optimizer.step({"w": np.ones(3)})
    optimizer.save(tmp_path / "run")
    before = whole(optimizer)
    others = {"w": np.zeros(3)}
    other = Mine(others)
    other.load(tmp_path / "run")
    assert whole(other) == before
    other.more = 13
    other.save(tmp_path / "run")
    optimizer.step({"w": np.ones(3)})
    before = whole(optimizer)
    with pytest.raises(ValueError, match="run: 13"):
        optimizer.load(tmp_path / "run")
    assert whole(optimizer) == before

    class Lazy(Mine):
        def load_state_dict(self, state_dict: Any, **_: Any) -> Any:
            """Load nothing."""

    with pytest.raises(TypeError, match="load_state_dict must call that of its base class"):
        Lazy({"w": np.zeros(3)}).load(tmp_path / "run")


OTHERS: dict[str, tuple[Callable[[], ac.Optimizer], str]] = {
    "shape": (lambda: ac.Adam({"w": np.zeros((20, 1), np.float32)}), r"'w': the file has shape \(20,\)"),
    "dtype": (lambda: ac.Adam({"w": np.zeros(20)}), "'w': the file has dtype float32, and the array has float64"),
    "rule": (lambda: ac.AdamW({"w": np.zeros(20, np.float32)}), "was saved by Adam and cannot be loaded into AdamW"),
    "name": (lambda: ac.Adam({"v": np.zeros(20, np.float32)}), "the file has no parameter 'v'"),
    "more": (
        lambda: ac.Adam({"w": np.zeros(20, np.float32), "v": np.ones(3), "u": np.ones(2)}),
        r"no parameter 'v' \(and 1 more\)",
    ),
    "precision": (
        lambda: ac.Adam({"w": np.zeros(20, np.float32)}, precision=ac.Precision(state="bfloat16")),
        "precision",
    ),
    "groups": (
        lambda: ac.Adam([{"params": {"w": np.zeros(20, np.float32)}}, {"params": {}}]),
        "got 1 groups, but the optimizer has 2",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_does_not_fit(tmp_path: Path, kind: str) -> None:
    make, message = OTHERS[kind]
    w, optimizer = small()
    optimizer.step({"w": np.ones_like(w)})
    optimizer.save(tmp_path / "run")
    other = make()
    before = whole(other)
    with pytest.raises((TypeError, ValueError), match=message) as error:
        other.load(tmp_path / "run")
    assert not isinstance(error.value, ac.CheckpointError)
    assert whole(other) == before


def test_averages_must_be_there(tmp_path: Path) -> None:
    w, optimizer = small()
    ac.EMA(optimizer)
    optimizer.save(tmp_path / "run")
    v, other = small()
    before = whole(other)
    with pytest.raises(ValueError, match="ema"):
        other.load(tmp_path / "run")
    assert whole(other) == before
    assert np.array_equal(v, w)


class Refusing:
    """A part that changes and then raises an error."""

    def __init__(self, error: BaseException) -> None:
        self.value = 1
        self.error = error
        self.refused = [2]

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]
        if self.value in self.refused:
            raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_parts_are_as_before_if_a_later_one_raises(tmp_path: Path, error: BaseException) -> None:
    """Whatever its place, also if it has changed before it raised."""
    _, optimizer = varied(steps=2)
    w, other = small()
    scaler, part, array = ac.LossScaler(4.0), Refusing(error), np.arange(3.0)
    part.value = 2
    ac.save(tmp_path / "run", optimizer, other=other, scaler=scaler, array=array, part=part)
    optimizer.step()
    other.step({"w": np.ones_like(w)})
    other.param_groups[0]["lr"] = rate = lambda t: 0.5 + t
    scaler.scale, part.value = 8.0, 1
    array += 1
    before = whole(optimizer), whole(other), scaler.state_dict(), array.tolist()
    for parts in (dict(other=other, scaler=scaler, array=array, part=part), dict(part=part, array=array, other=other)):
        with pytest.raises(type(error)):
            ac.load(tmp_path / "run", optimizer, strict=False, schedules="saved", **parts)
        assert (whole(optimizer), whole(other), scaler.state_dict(), array.tolist()) == before
        assert part.value == 1
        assert other.param_groups[0]["lr"] is rate


def test_other_parts_are_as_before_if_one_cannot_be(tmp_path: Path) -> None:
    _, optimizer = small()
    scaler, part, array = ac.LossScaler(4.0), Refusing(ValueError("no")), np.arange(3.0)
    part.value = 2
    ac.save(tmp_path / "run", optimizer, scaler=scaler, array=array, part=part)
    scaler.scale, part.value, part.refused = 8.0, 1, [1, 2]
    array += 1
    with pytest.raises(RuntimeError, match="could not be made what it was: no"):
        ac.load(tmp_path / "run", optimizer, scaler=scaler, array=array, part=part)
    assert (scaler.scale, array.tolist()) == (8.0, [1.0, 2.0, 3.0])


def test_parts_are_as_before_if_the_optimizer_does_not_fit(tmp_path: Path) -> None:
    _, optimizer = small()
    _, other = varied(steps=2)
    scaler = ac.LossScaler(4.0)
    ac.save(tmp_path / "run", optimizer, scaler=scaler, other=other)
    scaler.scale = 8.0
    other.step()
    before = whole(other)
    wrong = ac.AdamW({"w": np.zeros(20, np.float32)})
    with pytest.raises(ValueError, match="was saved by Adam"):
        ac.load(tmp_path / "run", wrong, scaler=scaler, other=other)
    assert scaler.scale == 8.0
    assert whole(other) == before


def test_parts_without_an_optimizer_are_all_or_nothing(tmp_path: Path) -> None:
    """Also the last one, and one that has several arrays."""
    _, optimizer = small()
    part, array = Refusing(ValueError("no")), np.arange(3.0)
    part.value = 2
    ac.save(tmp_path / "run", optimizer, array=array, part=part)
    part.value = 1
    array += 1
    with pytest.raises(ValueError, match="no"):
        ac.load(tmp_path / "run", None, array=array, part=part)
    assert part.value == 1
    assert array.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (np.zeros(4), r"array: the file has shape \(3,\), and the array has \(4,\)"),
        (np.zeros(3, np.float32), "array: the file has dtype float64, and the array has float32"),
        ([np.zeros(3)], "array: the file has an array|expected an array"),
        (ac.LossScaler(), "array: the file has 'arrays', and 'object' cannot take it"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, own: Any, message: str) -> None:
    _, optimizer = small()
    ac.save(tmp_path / "run", optimizer, array=np.arange(3.0))
    with pytest.raises((TypeError, ValueError), match=message):
        ac.load(tmp_path / "run", optimizer, array=own)
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="array: the array is read-only"):
        ac.load(tmp_path / "run", optimizer, array=fixed)
