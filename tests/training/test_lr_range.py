"""`LrRange`: suggestions on curves whose shape is known, texts, and pictures."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adamcore.training.lr_range import LrRange, longest_fall


def curve(*parts: tuple[int, float], noise: float = 0.0) -> LrRange:
    """A smoothed loss that changes by so much in each of so many steps, part after part."""
    slopes = [slope for count, slope in parts for _ in range(count)]
    smoothed = 5 + np.cumsum([0.0, *slopes])
    losses = smoothed + noise * np.random.default_rng(1).standard_normal(len(smoothed))
    return LrRange(1e-5 * 1.2 ** np.arange(len(smoothed)), losses, smoothed, "high")


def test_the_steepest_fall_the_minimum_and_the_valley() -> None:
    found = curve((30, 0.0), (10, -0.01), (6, -0.2), (12, -0.05), (3, 0.1), (3, 1.0))
    assert found.suggestion in found.rates[41:46]
    assert found.minimum_tenth == found.rates[58] / 10
    # It falls from point 30, or any of the equal ones before, of which the first counts, to point 58.
    assert found.valley == found.rates[10 + 32]


def test_the_first_ten_points_do_not_count() -> None:
    found = curve((8, -1.0), (20, 0.0), (10, -0.02), (5, 0.3))
    assert found.suggestion is not None
    assert found.rates[27] < found.suggestion < found.rates[38]
    assert found.minimum_tenth == found.rates[38] / 10
    assert found.valley is not None
    assert found.rates[27] < found.valley <= found.rates[38]


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_loss_that_never_falls_has_no_suggestions(noise: float) -> None:
    found = curve((40, 0.0), (40, 0.02), noise=noise)
    assert (found.suggestion, found.minimum_tenth, found.valley) == (None, None, None)
    assert "the loss never falls" in str(found)
    assert "the loss never falls" in repr(found)


def test_a_fall_smaller_than_the_scatter_is_none() -> None:
    assert curve((30, 0.0), (20, -0.004), noise=0.5).suggestion is None
    assert curve((30, 0.0), (20, -0.004), noise=0.01).suggestion is not None


def test_a_sweep_that_ends_at_once_has_no_suggestions() -> None:
    found = curve((5, -0.1))
    assert found.suggestion is found.valley is found.minimum_tenth is None
    assert "begin with a lower rate" in str(found)
    nothing = LrRange(*(np.zeros(0) for _ in range(3)), "nonfinite")  # type: ignore[misc]
    assert str(nothing).startswith("no rates; then the loss or a gradient was not finite")
    assert nothing.suggestion is None


def by_force(values: list[float]) -> int:
    """The length of the longest decreasing subsequence."""
    for length in range(len(values), 0, -1):
        for chosen in itertools.combinations(values, length):
            if all(a > b for a, b in itertools.pairwise(chosen)):
                return length
    return 0


def test_the_longest_fall(rng: np.random.Generator) -> None:
    assert longest_fall(np.array([1.0, 5.0, 4.0, 9.0, 3.0, 7.0, 2.0])) == (1, 6)
    assert longest_fall(np.array([3.0, 2.0, 1.0, 6.0, 5.0, 4.0])) == (0, 2)
    assert longest_fall(np.array([1.0, 1.0])) == (0, 0)
    for _ in range(30):
        values = rng.integers(0, 9, 9).astype(float)
        begin, end = longest_fall(values)
        length = by_force(values.tolist())
        assert by_force(values[begin : end + 1].tolist()) == length
        assert length == 1 or values[begin] > values[end]


def test_the_text_has_a_range() -> None:
    found = curve((30, 0.0), (10, -0.01), (6, -0.2), (12, -0.05), (3, 0.1))
    rates = sorted([found.suggestion, found.minimum_tenth, found.valley])  # type: ignore[type-var]
    assert f"try rates from {rates[0]:.2g} to {rates[2]:.2g}: " in str(found)
    assert str(found).startswith(f"62 rates from 1e-05 to {found.rates[-1]:.2g}; then all rates were tried")
    assert repr(found).startswith("<LrRange: try rates from")
    assert "higher rates" not in str(found)
    assert "at 0.091, the last one: higher rates may be better" in str(curve((30, 0.0), (20, -0.1)))


def test_it_is_json() -> None:
    found = curve((30, 0.0), (10, -0.01), (6, -0.2), (12, -0.05), (3, 0.1))
    data: dict[str, Any] = json.loads(json.dumps(found.to_dict()))
    assert data["rates"] == found.rates.tolist()
    assert data["smoothed"] == found.smoothed.tolist()
    assert (data["suggestion"], data["valley"]) == (found.suggestion, found.valley)
    assert data["ended"] == "high"


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = curve((30, 0.0), (10, -0.01), (6, -0.2), (12, -0.05), (3, 1e3))
    figure = found.plot(tmp_path / "range.png")
    assert (tmp_path / "range.png").stat().st_size > 1000
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:2] == ["loss", "smoothed"]
    assert [label.split(":")[0] for label in labels[2:]] == ["steepest", "minimum/10", "valley"]
    assert axes.get_ylim()[1] < 10, "the explosion is left out"
    lines = {line.get_label(): line.get_xdata()[0] for line in axes.lines[2:]}
    assert set(lines.values()) == {found.suggestion, found.minimum_tenth, found.valley}
    assert len(curve((40, 0.0)).plot().axes[0].get_legend().get_texts()) == 2
