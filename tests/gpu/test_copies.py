"""Deep copies and pickles of optimizers on the device."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, Library, assert_same, everything


class Model:
    def __init__(self, library: Library, rng: np.random.Generator) -> None:
        self.params = {
            name: library.put(rng.standard_normal(n).astype(np.float32)) for name, n in (("w", 33), ("b", 4))
        }
        self.opt = ac.SGD(self.params, lr=self.rate, momentum=0.9)

    def rate(self, step: int) -> float:
        return 0.5 / (1 + step)


def draw(library: Library, rng: np.random.Generator) -> dict[str, Any]:
    return {name: library.put(rng.standard_normal(n).astype(np.float32)) for name, n in (("w", 33), ("b", 4))}


def test_deep_copies(library: Library, rng: np.random.Generator) -> None:
    model = Model(library, rng)
    model.opt.step({**draw(library, rng), "b": None})
    other = copy.deepcopy(model)
    assert other.opt.param_groups[0]["params"][0] is other.params["w"]
    for _ in range(3):
        assert_same(everything(other.opt, library.get), everything(model.opt, library.get))
        grads = draw(library, rng)
        model.opt.step(grads)
        other.opt.step(grads)
    assert np.array_equal(library.get(other.params["w"]), library.get(model.params["w"]))


@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles(protocol: int, rng: np.random.Generator) -> None:
    model = Model(CUPY, rng)
    model.opt.step(draw(CUPY, rng))
    other = pickle.loads(pickle.dumps(model, protocol))  # noqa: S301
    grads = draw(CUPY, rng)
    model.opt.step(grads)
    other.opt.step(grads)
    assert_same(everything(other.opt, CUPY.get), everything(model.opt, CUPY.get))


def test_views_that_would_come_apart(rng: np.random.Generator) -> None:
    base = CUPY.put(rng.standard_normal(8))
    optimizer = ac.SGD({"w": base[:4]})
    with pytest.raises(TypeError, match="'w' is a view of an array"):
        copy.deepcopy(optimizer)
