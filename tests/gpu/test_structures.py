"""Nested parameters and gradients on a device: the same names, bits and errors as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import Library
from storage import F32


def nested(put: Callable[[np.ndarray], Any], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> Any:
        return put(rng.standard_normal(shape).astype(F32))

    return {"enc": {"w": array(30, 40), "b": array(40)}, "layers": [(array(50), array(2))], 3: array(500)}


def flat(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in flat(value)]
    return [leaf for value in tree for leaf in flat(value)] if isinstance(tree, (list, tuple)) else [tree]


def test_nested_parameters(library: Library) -> None:
    params, reference = nested(library.put, 0), nested(np.copy, 0)
    optimizer, on_host = ac.AdamW(params), ac.AdamW(reference)
    assert list(optimizer.steps) == ["enc.w", "enc.b", "layers.0.0", "layers.0.1", "3"]
    for seed in range(1, 4):
        grads = nested(library.put, seed)
        by_name = dict(zip(optimizer.steps, flat(grads), strict=True))
        optimizer.step(by_name if seed == 2 else grads)
        on_host.step(nested(np.copy, seed))
    for array, other in zip(flat(params), flat(reference), strict=True):
        assert library.get(array).tobytes() == other.tobytes()


def test_errors_name_the_leaf(library: Library) -> None:
    params = nested(library.put, 0)
    optimizer = ac.SGD(params, nonfinite="raise")
    grads = nested(library.put, 1)
    grads["enc"]["w"] = library.put(np.ones((40, 30), F32))
    with pytest.raises(
        ValueError, match=r"^grads\['enc'\]\['w'\]: shape \(40, 30\) does not match params\['enc'\]\['w'\]"
    ):
        optimizer.step(grads)
    grads["enc"]["w"] = library.put(np.full((30, 40), np.nan, F32))
    with pytest.raises(ac.NonFiniteError, match=r"^grads\['enc'\]\['w'\]: there are values"):
        optimizer.step(grads)
    params["layers"][0] = (library.put(np.ones(50, F32)), params["layers"][0][1])
    with pytest.raises(ValueError, match=r"^params\['layers'\]\[0\]\[0\]: another array has taken its place"):
        optimizer.step(nested(library.put, 1))
    assert set(optimizer.steps.values()) == {0}
