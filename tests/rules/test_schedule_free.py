"""Schedule-free rules: the points and the averages, and going from one to the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, everywhere
from pairs import products
from reference import magnitudes
from storage import BF16, F16, F32, F64
from storage import computed_weights_of as weights_of

SHAPES = [(33, 5), (7,), (), (4100,)]
STORAGE = [
    (F32, ac.Precision()),
    (F64, ac.Precision()),
    (BF16, ac.Precision()),
    (F16, ac.Precision(state="bfloat16")),
    (BF16, ac.Precision(master="remainder")),
    (BF16, ac.Precision(master=None, rounding="compensated")),
    (BF16, ac.Precision(master=None, rounding="stochastic", seed=3)),
]


def draw(rng: np.random.Generator, dtype: Any, order: Any = "C") -> dict[str, np.ndarray]:
    return {
        f"p{i}": np.array(magnitudes(rng, shape), order=order).astype(dtype, order="K")
        for i, shape in enumerate(SHAPES)
    }


@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_averages_are_those_of_all_points(dtype: Any, rng: np.random.Generator) -> None:
    """With equal learning rates, x is the mean of all z, and y = (1 - beta1) z + beta1 x."""
    p = draw(rng, dtype)
    optimizer = ac.ScheduleFreeAdamW(p, lr=0.1)
    points: dict[str, list[np.ndarray]] = {name: [] for name in p}
    for _ in range(8):
        optimizer.step(draw(rng, dtype))
        for name, found in points.items():
            found.append(np.array(optimizer.state[name]["z"], np.float64))
    y = {name: a.astype(np.float64) for name, a in p.items()}
    optimizer.eval()
    tolerance = 1e-5 if dtype == F32 else 1e-13
    for name, x in p.items():
        mean = np.mean(points[name], axis=0)
        scale = np.abs(points[name]).max() if points[name] else 1.0
        np.testing.assert_allclose(x, mean, atol=tolerance * scale, rtol=0)
        np.testing.assert_allclose(y[name], 0.1 * points[name][-1] + 0.9 * mean, atol=tolerance * scale, rtol=0)


@products(stored=STORAGE, beta=[0.9, 0.5])
def test_modes_exchange_what_the_parameters_hold(stored: Any, beta: float, rng: np.random.Generator) -> None:
    dtype, precision = stored
    p = draw(rng, dtype)
    optimizer = ac.ScheduleFreeAdamW(p, lr=0.1, betas=(beta, 0.99), precision=precision)
    for _ in range(3):
        optimizer.step(draw(rng, dtype))
    assert optimizer.mode == "train"
    optimizer.train()  # it is already
    before = everything(optimizer)
    wide = {name: weights_of(optimizer, name, a) for name, a in p.items()}
    z = {name: np.array(state["z"]) for name, state in optimizer.state.items()}
    optimizer.eval()
    optimizer.eval()
    assert optimizer.mode == "eval"
    T = np.float64 if dtype == F64 else np.float32
    for name, a in p.items():
        y = wide[name].astype(T)
        expected = y + T(1 - 1 / beta) * (z[name] - y)
        found = weights_of(optimizer, name, a).astype(np.float64)
        if precision.master is not None or dtype in (F32, F64):
            assert found.astype(T).tobytes() == np.asarray(expected).tobytes()
        else:
            np.testing.assert_allclose(found, expected, rtol=2.0**-7)
    optimizer.train()
    for name, a in p.items():
        if precision.master is not None or dtype in (F32, F64):
            scale = np.maximum(np.abs(z[name]), np.abs(wide[name]))
            error = np.abs(weights_of(optimizer, name, a).astype(np.float64) - wide[name])
            assert np.all(error <= 8 * np.finfo(T).eps / beta * scale)
    after = everything(optimizer)
    kept = [name for name in after if name.endswith((".z", ".exp_avg_sq", ".lr_max", ".weight_sum"))]
    assert all(after[name] == before[name] for name in kept)


@pytest.mark.parametrize("dtype", [F32, F64, BF16], ids=str)
def test_modes_have_the_same_bits_everywhere(dtype: Any) -> None:
    def run(order: str) -> list[bytes]:
        rng = np.random.default_rng(5)
        p = draw(rng, dtype, order)
        optimizer = ac.ScheduleFreeAdamW(p, lr=0.1)
        found = []
        for _ in range(2):
            optimizer.step(draw(rng, dtype, order))
            for call in (optimizer.eval, optimizer.train):
                call()
                found += [np.ascontiguousarray(a).tobytes() for a in p.values()]
        return found

    first, *others = everywhere(run)
    assert all(other == first for other in others)


def test_groups_have_their_own_beta() -> None:
    a, b = np.zeros(3), np.zeros(3)
    optimizer = ac.ScheduleFreeAdamW([{"params": {"a": a}, "betas": (0.5, 0.9)}, {"params": {"b": b}}], lr=0.1)
    for _ in range(2):
        optimizer.step({"a": np.ones(3), "b": np.ones(3)})
    y = {"a": a.copy(), "b": b.copy()}
    optimizer.eval()
    for name, array, beta in (("a", a, 0.5), ("b", b, 0.9)):
        z = optimizer.state[name]["z"]
        assert np.array_equal(array, y[name] + (1 - 1 / beta) * (z - y[name]))


def test_steps_in_evaluation_raise_an_error() -> None:
    w = np.ones(3)
    optimizer = ac.ScheduleFreeAdamW(w)
    optimizer.step(np.ones(3))
    optimizer.eval()
    before = everything(optimizer)
    with pytest.raises(RuntimeError, match=r"ScheduleFreeAdamW: the parameters hold their averages: call train\(\)"):
        optimizer.step(np.ones(3))
    with pytest.raises(RuntimeError, match=r"call train\(\) before the next step"):
        optimizer.accumulate(np.ones(3))
    assert everything(optimizer) == before
    assert optimizer.accumulated == 0
    optimizer.train()
    assert not optimizer.step(np.ones(3)).skipped


def test_the_mode_is_saved() -> None:
    w = np.ones(3)
    optimizer = ac.ScheduleFreeAdamW({"w": w}, lr=0.1)
    optimizer.step({"w": np.arange(3.0)})
    optimizer.eval()
    saved, at = optimizer.state_dict(), w.copy()
    assert saved["mode"] == "eval"
    other = ac.ScheduleFreeAdamW({"w": at}, lr=0.1)
    other.load_state_dict(saved)
    assert other.mode == "eval"
    for each, array in ((optimizer, w), (other, at)):
        each.train()
        each.step({"w": np.ones(3)})
        assert array.tobytes() == w.tobytes()
    with pytest.raises(ValueError, match=r"state_dict\['mode'\]: expected 'train' or 'eval', got 'test'"):
        other.load_state_dict({**saved, "mode": "test"})
    without = {key: value for key, value in saved.items() if key != "mode"}
    with pytest.raises(ValueError, match="'mode' is missing"):
        other.load_state_dict(without)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.5])
def test_beta1_lies_between_zero_and_one(beta: float) -> None:
    with pytest.raises(ValueError, match=r"beta.* must be a number in \(0, 1\)"):
        ac.ScheduleFreeAdamW(np.ones(3), betas=(beta, 0.9))


def test_a_learning_rate_of_zero_moves_nothing() -> None:
    w = np.ones(3)
    optimizer = ac.ScheduleFreeAdamW(w, lr=0.0)
    for _ in range(2):
        optimizer.step(np.ones(3))
    assert np.all(w == 1)
