"""Precision's choices, and stochastic rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from storage import BF16, F16, HALVES, bits_of, toward


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"master": "float64"}, "master must be one of 'float32', 'remainder', None"),
        ({"rounding": "up"}, "rounding must be one of"),
        ({"state": "float64"}, "state must be one of"),
        ({"state_rounding": "up"}, "state_rounding must be one of 'stochastic', 'nearest', got 'up'"),
        ({"state_rounding": None}, "state_rounding must be one of"),
        ({"rounding": "stochastic"}, "rounding='stochastic' needs master=None"),
        ({"master": "remainder", "rounding": "compensated"}, "rounding='compensated' needs master=None"),
        ({"seed": -1}, "seed must be in"),
        ({"seed": 2**64}, "seed must be in"),
    ],
)
def test_bad_combinations_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ac.Precision(**options)


def test_bad_precision_is_refused_by_name() -> None:
    half, single, double = np.ones(3, np.float16), np.ones(3, np.float32), np.ones(3)
    with pytest.raises(ValueError, match=r"^params\['h'\]: master='remainder' keeps the 16 bits that bfloat16 lacks"):
        ac.SGD({"s": single, "h": half}, precision=ac.Precision(master="remainder"))
    with pytest.raises(ValueError, match=r"^params\[1\]: state='bfloat16' is for parameters .* float64"):
        ac.Adam([single, double], precision=ac.Precision(state="bfloat16"))
    with pytest.raises(TypeError, match=r"precision must be an adamcore\.Precision"):
        ac.SGD(half, precision="float32")
    with pytest.raises(TypeError, match="seed must be an int"):
        ac.Precision(seed="x")
    for precision in (ac.Precision(master="remainder"), ac.Precision(master=None, rounding="stochastic")):
        with pytest.raises(ValueError, match="for half-precision parameters, and there are none"):
            ac.SGD([single, double], precision=precision)
        ac.SGD([single, np.ones(3, BF16)], precision=precision)


def test_float32_and_float64_are_not_concerned(rng: np.random.Generator) -> None:
    """In a model with several dtypes they are updated as usual."""
    g = rng.standard_normal(300)
    for precision in (ac.Precision(master="remainder"), ac.Precision(master=None, rounding="compensated")):
        p, q = np.ones(300), np.ones(300)
        ac.AdamW([p, np.ones(3, BF16)], precision=precision).step([g, None])
        ac.AdamW(q).step(g)
        assert p.tobytes() == q.tobytes()


def test_state_dicts_of_another_precision_are_refused() -> None:
    p = np.ones(3, BF16)
    saved = ac.SGD(p, precision=ac.Precision(master=None, rounding="stochastic", seed=1)).state_dict()
    other = ac.SGD(p, precision=ac.Precision(master=None, rounding="stochastic", seed=2))
    with pytest.raises(ValueError, match=r"state_dict\['precision'\]: seed is 1, but the optimizer's is 2"):
        other.load_state_dict(saved)


def rounded(dtype: np.dtype, weight: float, count: int, seed: int = 0, steps: int = 1) -> np.ndarray:
    """`weight`, between two numbers of `dtype`, rounded stochastically `count` times."""
    p = np.zeros(count, dtype)
    precision = ac.Precision(master=None, rounding="stochastic", seed=seed)
    optimizer = ac.SGD(p, lr=1.0, maximize=True, precision=precision)
    for _ in range(steps):
        p[:] = 0
        optimizer.step(np.full(count, weight, np.float32))
    return p.astype(np.float64)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.77])
@pytest.mark.parametrize("base", [1.0, -3.0, 1024.0, 2.0**-20])
def test_stochastic_rounding_is_unbiased(dtype: np.dtype, fraction: float, base: float) -> None:
    """Upward as often as the weight is near to the number above: within 6 standard deviations of a binomial count.

    Were all right, one of these 32 tests would fail in 16 million runs of all; seeds are fixed, so none does by chance.
    """
    count = 1 << 20
    low = np.asarray(base, dtype)
    high = np.nextafter(low, np.asarray(np.inf * np.sign(base), dtype))
    gap = float(high) - float(low)
    weight = float(np.float32(float(low) + fraction * gap))
    true_fraction = (weight - float(low)) / gap
    values = rounded(dtype, weight, count, seed=11)
    ups = int(np.sum(values == float(high)))
    assert ups + int(np.sum(values == float(low))) == count
    deviation = np.sqrt(count * true_fraction * (1 - true_fraction))
    assert abs(ups - count * true_fraction) <= 6 * deviation


def test_random_numbers_differ_by_seed_step_name_and_element() -> None:
    n = 1 << 14
    runs = [rounded(BF16, 1.003, n, seed=s) for s in (0, 1, 2**32, 2**63)]
    runs += [rounded(BF16, 1.003, n, steps=k) for k in (2, 3)]
    for name in ("a", "b"):
        p = {name: np.zeros(n, BF16)}
        precision = ac.Precision(master=None, rounding="stochastic")
        ac.SGD(p, lr=1.0, maximize=True, precision=precision).step({name: np.full(n, 1.003, np.float32)})
        runs.append(p[name].astype(np.float64))
    ups = [run > 1.003 for run in runs]
    for i, a in enumerate(ups):
        assert 0.3 < a.mean() < 0.45
        # Neighbours, and the same elements of other runs, agree as often as independent ones do: 0.384^2 + 0.616^2.
        for b in (*ups[:i], np.roll(a, 1), np.roll(a, 8), np.roll(a, 128)):
            assert abs((a == b).mean() - (a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))) < 0.03


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_stochastic_rounding_goes_to_a_neighbour(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = rng.integers(0, 2**32, 100_000, np.uint32).view(np.float32)
    largest = float(np.finfo(np.float16).max) if dtype == F16 else 3.38e38
    x = x[np.isfinite(x) & (np.abs(x) < largest)]
    p = np.zeros(x.size, dtype)
    ac.SGD(p, lr=1.0, maximize=True, precision=ac.Precision(master=None, rounding="stochastic")).step(x)
    stored, wide = p.astype(np.float64), x.astype(np.float64)
    assert np.all((stored == toward(wide, dtype, -1)) | (stored == toward(wide, dtype, 1)))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_stochastic_rounding_is_infinite_where_nearest_is(dtype: np.dtype) -> None:
    """From half a unit beyond the largest number on; alone, and beside numbers in range."""
    largest = float(np.finfo(np.float16).max) if dtype == F16 else float(np.asarray(0x7F7F, np.uint16).view(dtype))
    half_unit = 16.0 if dtype == F16 else 2.0**119
    beyond = [x for x in (largest + half_unit, 65530.0, 1e38, 3.4e38, 2.0**128 - 2.0**104) if x >= largest + half_unit]
    for x in (*beyond, np.inf):
        for others in (0, 300):
            p = np.zeros(2 + others, dtype)
            g = np.array([x, -x, *np.ones(others)], np.float32)
            ac.SGD(p, lr=1.0, maximize=True, precision=ac.Precision(master=None, rounding="stochastic")).step(g)
            assert np.array_equal(p.astype(np.float64)[:2], [np.inf, -np.inf]), x
            assert np.all(p.astype(np.float64)[2:] == 1)
    below = np.nextafter(np.float32(largest + half_unit), np.float32(0))
    assert np.all(rounded(dtype, float(below), 1000) == largest)
    assert np.all(rounded(dtype, -float(below), 1000) == -largest)


def test_what_needs_no_rounding_is_not_rounded() -> None:
    for dtype in HALVES:
        halves = np.arange(65536, dtype=np.uint16).view(dtype)
        halves = halves[np.isfinite(halves.astype(np.float32)) & (halves.astype(np.float32) != 0)]
        p = np.zeros(halves.size, dtype)
        precision = ac.Precision(master=None, rounding="stochastic")
        ac.SGD(p, lr=1.0, maximize=True, precision=precision).step(halves)
        assert np.array_equal(bits_of(p), bits_of(halves))


@pytest.mark.parametrize("way", ["stochastic", "compensated"])
def test_small_updates_add_up(way: str) -> None:
    """1000 updates of 1/100 of a unit in the last place: lost when rounded to nearest, kept otherwise."""
    results = {}
    for rounding in ("nearest", way):
        p = np.ones(4000, BF16)
        optimizer = ac.SGD(p, lr=1.0, precision=ac.Precision(master=None, rounding=rounding))
        for _ in range(1000):
            optimizer.step(np.full(4000, -(2.0**-7) / 100, np.float32))
        results[rounding] = p.astype(np.float64).mean()
    assert results["nearest"] == 1
    assert results[way] == pytest.approx(1 + 10 * 2.0**-7, rel=2e-3)
