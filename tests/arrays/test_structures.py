"""Nested parameters and gradients: names, the forms in which gradients come, and errors that name the leaf."""

from __future__ import annotations

import copy
from collections import OrderedDict, UserDict, defaultdict, namedtuple
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import adamcore as ac

Layer = namedtuple("Layer", ["w", "b"])  # noqa: PYI024  (an untyped tuple, as users have)


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) + 7).standard_normal(shape)


def nested() -> dict[Any, Any]:
    return {
        "enc": {"w": array(3, 4), "b": array(4)},
        "layers": [(array(40), array(2)), Layer(array(33), array(1))],
        3: array(5),
        ("head", 0): [array(6)],
        "empty": [],
        "scale": np.array(0.5),
    }


NAMES = ["enc.w", "enc.b", "layers.0.0", "layers.0.1", "layers.1.0", "layers.1.1", "3", "('head', 0).0", "scale"]


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, (list, tuple)):
        return [leaf for value in tree for leaf in leaves(value)]
    return [tree]


def mapped(tree: Any, f: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {key: mapped(value, f) for key, value in tree.items()}
    if isinstance(tree, Layer):
        return Layer(*(mapped(value, f) for value in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(mapped(value, f) for value in tree)
    return f(tree)


def grads_of(params: Any) -> Any:
    return mapped(params, lambda p: np.sin(3 * p))


def shuffled(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: shuffled(tree[key]) for key in reversed(tree)}
    return [shuffled(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


FORMS: dict[str, Callable[[Any], Any]] = {
    "the same": lambda g: g,
    "other objects": copy.deepcopy,
    "another order, lists for tuples": shuffled,
    "flat by name": lambda g: dict(zip(NAMES, leaves(g), strict=True)),
    "flat in another order": lambda g: dict(reversed([*zip(NAMES, leaves(g), strict=True)])),
    "int keys as str": lambda g: {("3" if key == 3 else key): value for key, value in g.items()},
    "partly flat": lambda g: {
        **{k: v for k, v in g.items() if k != "enc"},
        "enc.b": g["enc"]["b"],
        "enc.w": g["enc"]["w"],
    },
    "other mappings": lambda g: UserDict({**g, "enc": MappingProxyType(g["enc"])}),
    "subclasses": lambda g: OrderedDict(defaultdict(list, g)),
    "pairs": lambda g: [*zip(NAMES, leaves(g), strict=True)],
    "an iterator of pairs": lambda g: zip(NAMES, leaves(g), strict=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_nested_parameters(form: str) -> None:
    """The result has the bits of an optimizer of the flat list, whatever the form of the gradients."""
    params = nested()
    flat = [leaf.copy() for leaf in leaves(params)]
    optimizer, reference = ac.AdamW(params, lr=0.1), ac.AdamW(flat, lr=0.1)
    assert list(optimizer.state) == list(optimizer.steps) == NAMES
    assert optimizer.param_groups[0]["param_names"] == NAMES
    for _ in range(3):
        grads = grads_of(params)
        reference.step(leaves(grads))
        optimizer.step(FORMS[form](grads))
    for leaf, other in zip(leaves(params), flat, strict=True):
        assert leaf.tobytes() == other.tobytes()
    other = ac.AdamW(nested())
    other.load_state_dict(optimizer.state_dict())
    assert other.steps == optimizer.steps


def test_none_leaves_parameters_alone() -> None:
    params = nested()
    optimizer = ac.SGD(params, lr=0.5)
    grads = grads_of(params)
    optimizer.step({**grads, "enc": None, "layers": [(None, grads["layers"][0][1]), None], "scale": None})
    assert [name for name, steps in optimizer.steps.items() if steps] == ["layers.0.1", "3", "('head', 0).0"]


def edited(edit: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(grads: Any) -> Any:
        edit(grads)
        return grads

    return apply


BAD: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "shape": (
        edited(lambda g: g["enc"].update(w=array(4, 3))),
        ValueError,
        r"^grads\['enc'\]\['w'\]: shape \(4, 3\) does not match params\['enc'\]\['w'\], which has shape \(3, 4\)",
    ),
    "dtype": (
        edited(lambda g: g["layers"].__setitem__(0, (g["layers"][0][0].astype(int), array(2)))),
        TypeError,
        r"^grads\['layers'\]\[0\]\[0\]: dtype int64",
    ),
    "no array": (
        edited(lambda g: g["enc"].update(b="b")),
        TypeError,
        r"^grads\['enc'\]\['b'\]: expected a NumPy array",
    ),
    "numbers": (
        edited(lambda g: g.update({3: [1.0] * 5})),
        TypeError,
        r"^grads\[3\]: expected a NumPy array, got list",
    ),
    "missing": (
        edited(lambda g: g["enc"].pop("w")),
        ValueError,
        r"^grads: no gradient for params\['enc'\]\['w'\] \(pass None",
    ),
    "missing in a list": (
        edited(lambda g: g.update(layers=g["layers"][:1])),
        ValueError,
        r"^grads: no gradient for params\['layers'\]\[1\]\[0\]",
    ),
    "more": (
        edited(lambda g: g["enc"].update(x=array(2))),
        ValueError,
        r"^grads\['enc'\]\['x'\]: there is no such param",
    ),
    "more in a list": (
        edited(lambda g: g["layers"].append(array(2))),
        ValueError,
        r"^grads\['layers'\]\[2\]: there is no such parameter",
    ),
    "twice": (
        edited(lambda g: g.update({"enc.w": array(3, 4)})),
        ValueError,
        r"there are two entries for this parameter",
    ),
    "array for dict": (
        edited(lambda g: g.update(enc=array(3, 4))),
        TypeError,
        r"^grads\['enc'\]: expected a structure that contains the gradient of params\['enc'\]\['w'\], got an array of",
    ),
    "overlap": (
        lambda g: {**g, "enc": {"w": PARAMS[0]["enc"]["w"], "b": array(4)}},
        ValueError,
        r"^grads\['enc'\]\['w'\]: shares memory with params\['enc'\]\['w'\]",
    ),
    "flat": (
        lambda g: {**dict(zip(NAMES, leaves(g), strict=True)), "enc.w": array(2)},
        ValueError,
        r"^grads\['enc\.w'\]: shape \(2,\)",
    ),
    "list": (leaves, TypeError, r"^grads: params is a mapping from name to array, so pass gradients by name; got list"),
    "one": (lambda _: array(3), TypeError, "^grads: expected 9 arrays, one for each parameter, got a single one"),
    "cycle": (edited(lambda g: g["enc"].update(x=g["enc"])), ValueError, r"^grads\['enc'\]\['x'\]\['w'\]: there is no"),
}
PARAMS: list[Any] = [None]


@pytest.mark.parametrize("kind", BAD)
def test_errors_name_the_leaf(kind: str) -> None:
    make, error, match = BAD[kind]
    PARAMS[0] = params = nested()
    before = [leaf.tobytes() for leaf in leaves(params)]
    optimizer = ac.AdamW(params)
    with pytest.raises(error, match=match):
        optimizer.step(make(grads_of(params)))
    assert [leaf.tobytes() for leaf in leaves(params)] == before
    assert set(optimizer.steps.values()) == {0}
    optimizer.step(grads_of(params))


def test_not_finite_gradients_are_named() -> None:
    params = {"enc": {"w": array(3)}}
    optimizer = ac.SGD(params, nonfinite="raise")
    bad = np.array([1.0, np.nan, 2.0])
    with pytest.raises(ac.NonFiniteError, match=r"^grads\['enc'\]\['w'\]: "):
        optimizer.step({"enc": {"w": bad}})
    with pytest.raises(ac.NonFiniteError, match=r"^grads\['enc\.w'\]: "):
        optimizer.step({"enc.w": bad})
    optimizer.add_param_group({"params": [array(2)]})
    with pytest.raises(ac.NonFiniteError, match=r"^grads\[0\]: "):
        optimizer.step([bad, None])


LISTS: dict[str, tuple[Any, list[str]]] = {
    "pairs": ([(array(3), array(2)), (array(4), array(1))], ["0.0", "0.1", "1.0", "1.1"]),
    "dicts": ([{"w": array(3)}, {"w": array(4), "b": array(2)}], ["0.w", "1.w", "1.b"]),
    "mixed": ((array(3), {"b": [array(4)]}), ["0", "1.b.0"]),
    "named": ([("w", array(3)), ("b", array(2))], ["w", "b"]),
    "named, nested": ((("w", array(3)), ("enc", {"b": array(2)})), ["w", "enc.b"]),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_structures(kind: str) -> None:
    params, names = LISTS[kind]
    params = copy.deepcopy(params)
    flat = [leaf.copy() for leaf in leaves(params) if not isinstance(leaf, str)]
    optimizer, reference = ac.SGD(params, lr=0.5), ac.SGD(flat, lr=0.5)
    assert list(optimizer.steps) == names
    grads = mapped(params, lambda p: p if isinstance(p, str) else 2 * p)
    arrays = [leaf for leaf in leaves(grads) if not isinstance(leaf, str)]
    for form in (grads, iter(grads), dict(zip(names, arrays, strict=True))):
        optimizer.step(form)
        reference.step(arrays)
    if kind.startswith("named"):
        optimizer.step(arrays)
        reference.step(arrays)
    else:
        with pytest.raises((TypeError, ValueError), match=r"^grads"):
            optimizer.step([*arrays, arrays[0]])
    for leaf, other in zip([x for x in leaves(params) if not isinstance(x, str)], flat, strict=True):
        assert leaf.tobytes() == other.tobytes()


def test_structures_in_groups() -> None:
    enc, head = {"w": array(3), "b": [array(2)]}, [(array(4), array(1))]
    arrays = [leaf.copy() for leaf in leaves([enc, head])]
    optimizer = ac.SGD([{"params": enc, "lr": 0.5}, {"params": head}], lr=0.1)
    reference = ac.SGD([{"params": arrays[:2], "lr": 0.5}, {"params": arrays[2:]}], lr=0.1)
    assert list(optimizer.steps) == ["w", "b.0", "2.0", "2.1"]
    grads = [2 * a for a in arrays]
    by_name = dict(zip(optimizer.steps, grads, strict=True))
    for form in (grads, by_name, {"w": grads[0], "b": [grads[1]], 2: (grads[2], grads[3])}, by_name.items()):
        optimizer.step(form)
        reference.step(grads)
    for leaf, other in zip(leaves([enc, head]), arrays, strict=True):
        assert leaf.tobytes() == other.tobytes()
    with pytest.raises(
        ValueError, match=r"^grads\[1\]: shape \(3,\) does not match params\[0\]\['params'\]\['b'\]\[0\]"
    ):
        optimizer.step([grads[0], grads[0], grads[2], grads[3]])


def test_what_is_no_structure() -> None:
    w, b = array(3), array(2)
    cycle: list[Any] = [w]
    cycle.append(cycle)
    for params, error, match in (
        (
            {"w": w, "lr": 0.1},
            TypeError,
            r"^params: expected a group, .*got one with \['w', 'lr'\]; did you mean 'params'",
        ),
        ([w, {"b": b, "betas": (0.9, 0.99)}], TypeError, r"^params\[1\]: expected a group, .*did you mean 'params'\?"),
        ([{"weights": [w], "momentum": 0.9}], TypeError, r"^params\[0\]: .*did you mean 'params'\?"),
        ({"a.b": w, "a": {"b": b}}, ValueError, r"^params\['a'\]\['b'\]: another parameter is named 'a\.b' already"),
        ({1: w, "1": b}, ValueError, r"^params\['1'\]: another parameter is named '1' already"),
        (
            {"a": {"w": w}, "b": w},
            ValueError,
            r"^params\['b'\]: shares memory with params\['a'\]\['w'\].*tied parameter once",
        ),
        ({"a": {1.5, 2.5}}, TypeError, r"^params\['a'\]: expected a NumPy array, got set"),
        ({"a": (x for x in [w])}, TypeError, r"^params\['a'\]: expected a NumPy array, got generator"),
        ({"a": {"w": None}}, TypeError, r"^params\['a'\]\['w'\]: expected a NumPy array, got NoneType"),
        (cycle, ValueError, r"^params\[1\]\[0\]: the structure contains itself"),
    ):
        with pytest.raises(error, match=match):
            ac.SGD(params)


def test_names_of_hyper_parameters_may_name_arrays() -> None:
    params = {"lr": array(2), "eps": {"momentum": array(3)}}
    assert list(ac.SGD(params).steps) == ["lr", "eps.momentum"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_numbers_as_gradients_without_axes(dtype: type) -> None:
    """What NumPy returns for arrays without axes are numbers and not arrays."""
    x = np.array(2.0, dtype)
    reference = np.array(2.0, dtype)
    one, other = ac.SGD({"x": x}, lr=0.25, momentum=0.5), ac.SGD({"x": reference}, lr=0.25, momentum=0.5)
    for grad in (2 * x, 0.75, np.float32(0.5), np.float16(0.25), np.float64(0.1)):
        one.step({"x": grad})
        other.step({"x": np.asarray(grad)})
        assert x.tobytes() == reference.tobytes()
    single = np.array(2.0)
    optimizer = ac.SGD(single, lr=0.25)
    optimizer.step(2 * single)
    optimizer.step([0.5])
    assert single == 2 - 0.25 * 4 - 0.25 * 0.5
    with pytest.raises(TypeError, match=r"^grads: dtype int64 is not supported"):
        optimizer.step(np.int64(3))
    with pytest.raises(TypeError, match=r"^grads\[0\]: expected a NumPy array, got float"):
        ac.SGD([np.ones(1)]).step([0.5])


def test_norms_of_structures() -> None:
    grads = {"enc": {"w": np.full(4, 1.0)}, "rest": [np.full(5, 1.0), (None,)]}
    assert ac.global_norm(grads) == 3.0
    assert ac.clip_grad_norm_(grads, 1e9) == 3.0
    with pytest.raises(TypeError, match=r"^grads\['rest'\]\[1\]\[0\]: dtype int64"):
        ac.clip_grad_value_({"rest": [np.ones(2), (np.ones(2, int),)]}, 1.0)
