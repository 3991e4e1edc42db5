"""What can be trained: arrays that are updated in place, each under one name. Everything else is refused by name."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import functional


class Dataset:
    """Behaves like an HDF5 data set: its rows are copies."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, place: Any) -> np.ndarray:
        return self.values[place].copy()

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))


class Frame(Dataset):
    """A table: by columns, with keys, and a copy in __array__."""

    def __init__(self, values: np.ndarray) -> None:
        super().__init__(values)
        del self.shape, self.dtype

    def keys(self) -> list[str]:
        return [str(i) for i in range(len(self))]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.values, dtype)


OPAQUE: list[Callable[[np.ndarray], Any]] = [
    Dataset,
    Frame,
    lambda a: memoryview(a.tobytes()),
    lambda a: memoryview(a.ravel()),
    lambda a: array.array("d", a.ravel().tolist()),
    lambda a: bytearray(a.tobytes()),
]
KINDS = ["Dataset", "Frame", "memoryview", "memoryview", "array.array", "bytearray"]


@pytest.mark.parametrize(("kind", "name"), list(zip(OPAQUE, KINDS, strict=True)), ids=KINDS)
def test_arrays_whose_memory_cannot_be_had(kind: Callable[[np.ndarray], Any], name: str) -> None:
    """As a whole, in a list, in a mapping, in a group: each is one array, and not a sequence of its rows."""
    values = np.ones((3, 4))
    thing = kind(values)
    for params, label in (
        (thing, "params"),
        ([np.ones(3), thing], r"params\[1\]"),
        ({"w": thing}, r"params\['w'\]"),
        ([{"params": thing}], r"params\[0\]\['params'\]"),
        ([{"params": [thing]}], r"params\[0\]\['params'\]\[0\]"),
        ([{"params": {"w": thing}}], r"params\[0\]\['params'\]\['w'\]"),
    ):
        with pytest.raises(TypeError, match=rf"^{label}: expected a NumPy array, got {name}; pass a = np\.asarray"):
            ac.SGD(params)
    optimizer = ac.SGD(np.ones(3))
    with pytest.raises(TypeError, match=rf"^param_groups\[1\]\['params'\]: expected a NumPy array, got {name}"):
        optimizer.add_param_group({"params": thing})
    for call in (ac.global_norm, lambda g: ac.clip_grad_norm_(g, 1e-3), lambda g: ac.clip_grad_value_(g, 1e-3)):
        for grads, label in ((thing, "grads"), ([thing], r"grads\[0\]"), ({"w": thing}, r"grads\['w'\]")):
            with pytest.raises(TypeError, match=rf"^{label}: expected a NumPy array, got {name}"):
                call(grads)
    with pytest.raises(TypeError, match=rf"^p: expected a NumPy array, got {name}"):
        functional.sgd(thing, np.ones((3, 4)), t=1)
    with pytest.raises(TypeError, match=rf"^g: expected a NumPy array, got {name}; pass np.asarray\(a\)"):
        functional.sgd(np.ones((3, 4)), thing, t=1)
    assert np.all(values == 1)


@pytest.mark.parametrize(("kind", "name"), list(zip(OPAQUE, KINDS, strict=True)), ids=KINDS)
def test_such_arrays_as_gradients(kind: Callable[[np.ndarray], Any], name: str) -> None:
    """Rows that would match are not accepted as gradients either."""
    thing = kind(np.ones((3, 4)))
    params = [np.zeros(4), np.zeros(4), np.zeros(4)]
    optimizer = ac.SGD(params)
    with pytest.raises(TypeError, match=rf"^grads: expected a NumPy array, got {name}; pass np.asarray\(a\)"):
        optimizer.step(thing)
    with pytest.raises(TypeError, match=rf"^grads\[1\]: expected a NumPy array, got {name}"):
        optimizer.step([np.ones(4), thing, np.ones(4)])
    assert all(np.all(p == 0) for p in params)
    assert set(optimizer.steps.values()) == {0}


class Lazy(Mapping[str, np.ndarray]):
    """A file of arrays, which reads an array again at each access."""

    def __init__(self, arrays: dict[str, np.ndarray], *, copies: bool) -> None:
        self.arrays, self.copies = arrays, copies

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name].copy() if self.copies else self.arrays[name][...]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


class Rows:
    """A sequence without a shape."""

    def __init__(self, arrays: list[np.ndarray], *, copies: bool) -> None:
        self.arrays, self.copies = arrays, copies

    def __iter__(self) -> Iterator[np.ndarray]:
        return (a.copy() if self.copies else a[...] for a in self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


def test_containers_that_give_copies(tmp_path: Path) -> None:
    w, b = np.ones(3), np.zeros(2)
    np.savez(tmp_path / "weights.npz", w=w, b=b)
    with np.load(tmp_path / "weights.npz") as stored:
        for params, label in (
            (stored, r"params\['w'\]: NpzFile"),
            (Lazy({"w": w, "b": b}, copies=True), r"params\['w'\]: Lazy"),
            (Rows([w, b], copies=True), r"params\[0\]: Rows"),
        ):
            with pytest.raises(TypeError, match=f"^{label} returns a new copy at each access"):
                ac.SGD(params)
            with pytest.raises(TypeError, match="returns a new copy at each access"):
                ac.SGD([{"params": params}])
            with pytest.raises(TypeError, match="returns a new copy at each access"):
                ac.clip_grad_norm_(params, 1e-3)
        assert ac.global_norm(stored) == 3**0.5  # what is only read may be a copy
    assert np.all(w == 1)


def test_containers_that_give_their_own_arrays() -> None:
    """The same for views that are new at each access."""
    w, b = np.ones(3), np.zeros(0)
    for k, params in enumerate((Lazy({"w": w, "b": b}, copies=False), Rows([w, b], copies=False))):
        optimizer = ac.SGD(params, lr=1.0)
        optimizer.step([np.ones(3), None] if k else {"w": np.ones(3), "b": None})
    assert np.all(w == -1)


def test_names_of_a_group() -> None:
    """The given names are used for state, steps, checkpoints, gradients and errors."""
    w, b = np.ones(3), np.ones(2)
    optimizer = ac.AdamW([{"params": [w, b], "param_names": ("w", "b"), "name": "all", "lr": 0.5}])
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]
    assert list(optimizer.state) == list(optimizer.steps) == list(optimizer.state_dict()["state"]) == ["w", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["w", "b"]
    optimizer.step({"w": np.ones(3), "b": None})
    optimizer.step([np.ones(3), np.ones(2)])
    assert optimizer.steps == {"w": 2, "b": 1}
    with pytest.raises(ValueError, match=r"grads: no gradient for params\[0\]\['params'\]\[1\] \('b'\)"):
        optimizer.step({"w": np.ones(3)})
    with pytest.raises(ValueError, match=r"params\[0\]\['params'\]\[0\] \('v'\): .*read-only"):
        ac.AdamW([{"params": [np.broadcast_to(1.0, 3)], "param_names": ["v"]}])
    optimizer.add_param_group({"params": np.ones(4), "param_names": ["v"]})
    assert list(optimizer.steps) == ["w", "b", "v"]
    other = ac.AdamW([{"params": {"w": np.ones(3), "b": np.ones(2)}, "name": "all"}, {"params": {"v": np.ones(4)}}])
    other.load_state_dict(optimizer.state_dict())
    assert other.steps == {"w": 2, "b": 1, "v": 0}


def test_groups_of_another_optimizer() -> None:
    params = {"w": np.ones(3), "b": np.ones(2)}
    one = ac.AdamW([{"params": {"w": params["w"]}, "lr": 0.5, "name": "first"}, {"params": {"b": params["b"]}}])
    two = ac.AdamW(one.param_groups, weight_decay=0.3)
    assert list(two.state) == ["w", "b"]
    assert [g["param_names"] for g in two.param_groups] == [["w"], ["b"]]
    assert [g["lr"] for g in two.param_groups] == [0.5, 1e-3]
    two.load_state_dict(one.state_dict())
    two.param_groups[0]["lr"] = 0.25
    assert one.param_groups[0]["lr"] == 0.5
    two.step({"w": np.ones(3), "b": np.ones(2)})
    assert one.steps == {"w": 0, "b": 0}


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        (["w"], ValueError, "1 name for 2 arrays"),
        (["w", "b", "c"], ValueError, "3 names for 2 arrays"),
        (["w", "w"], ValueError, "the name 'w' appears twice"),
        (["w", 1], TypeError, "the names of parameters must be str, got 1"),
        ("wb", TypeError, "expected a list of str, got 'wb'"),
        ({"w", "b"}, TypeError, "expected a list of str"),
        (2, TypeError, "expected a list of str, got 2"),
        (["w", "\udc80"], ValueError, "UTF-8"),
        (["w", "v"], ValueError, "another parameter is named 'v' already"),
    ],
)
def test_bad_names(names: Any, error: type[Exception], match: str) -> None:
    group = {"params": [np.ones(3), np.ones(2)], "param_names": names}
    with pytest.raises(error, match=match):
        ac.SGD([{"params": {"v": np.ones(1)}}, group])
    optimizer = ac.SGD({"v": np.ones(1)})
    with pytest.raises(error, match=match):
        optimizer.add_param_group(group)
    assert list(optimizer.steps) == ["v"]
    assert len(optimizer.param_groups) == 1


def test_names_of_a_mapping_are_its_own() -> None:
    group = {"params": {"w": np.ones(3)}, "param_names": ["w"]}
    assert list(ac.SGD([group]).steps) == ["w"]
    with pytest.raises(ValueError, match=r"params\[0\]\['param_names'\]: the names are not those of"):
        ac.SGD([{**group, "param_names": ["v"]}])
    with pytest.raises(ValueError, match="UTF-8"):
        ac.SGD({"\udc80": np.ones(3)})
    with pytest.raises(TypeError, match="the name of a group must be str, got 3"):
        ac.SGD([{"params": np.ones(3), "name": 3}])
