"""What users do with statistics, and what they get wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything
from stats_reference import COLUMNS


def grads_of(w: float = 1.0) -> dict[str, np.ndarray]:
    return {"w": np.full((2, 3), w), "b": np.ones(3), "frozen": np.ones(2)}


@pytest.fixture
def optimizer() -> ac.Optimizer:
    return ac.AdamW({"w": np.ones((2, 3)), "b": np.zeros(3), "frozen": np.ones(2)}, lr=0.1)


@pytest.fixture
def stats(optimizer: ac.Optimizer) -> ac.StepStats:
    found = optimizer.step({"w": np.full((2, 3), 2.0), "b": np.full(3, 4.0), "frozen": None}, stats=True).stats
    assert isinstance(found, ac.StepStats)
    return found


def test_there_are_none_by_default(optimizer: ac.Optimizer) -> None:
    assert optimizer.step(grads_of()).stats is None
    assert optimizer.step(grads_of(), stats=[]).stats is None
    scaler = ac.LossScaler(2.0)
    assert optimizer.step(grads_of(), loss_scale=scaler).stats is None


def test_truth_may_be_numpys(optimizer: ac.Optimizer) -> None:
    columns = [optimizer.step(grads_of(), stats=truth).stats for truth in np.array([True, False])]
    assert columns[0] is not None
    assert columns[0].columns == COLUMNS
    assert columns[1] is None


def test_columns(stats: ac.StepStats) -> None:
    assert stats.columns == COLUMNS
    assert stats.names == ("w", "b", "frozen")
    assert len(stats) == 3
    assert stats.size.tolist() == [6, 3, 2]
    assert stats.size.dtype == np.int64
    for column in COLUMNS:
        array = getattr(stats, column)
        assert (array.dtype, array.shape) == (np.float64, (3,))
        assert column in dir(stats)
    assert "3 parameters" in repr(stats)


def test_worst(stats: ac.StepStats) -> None:
    assert stats.worst("grad_max") == [("b", 4.0), ("w", 2.0)]
    assert stats.worst("grad_max", n=1) == [("b", 4.0)]
    assert stats.worst("ratio")[0] == ("b", np.inf)
    assert stats.worst("cos") == []
    with pytest.raises(ValueError, match=r"StepStats.worst: there is no column 'grad_rsm'; did you mean 'grad_rms'\?"):
        stats.worst("grad_rsm")
    for wrong in (-1, 1.5, True):
        with pytest.raises((TypeError, ValueError), match=r"StepStats.worst: n must be an int >= 0"):
            stats.worst("ratio", wrong)  # type: ignore[arg-type]


def test_the_smallest_cosine_is_the_worst() -> None:
    optimizer = ac.SGD({"a": np.ones(2), "b": np.ones(2)}, lr=0.1, momentum=0.9)
    optimizer.step({"a": np.ones(2), "b": np.ones(2)})
    stats = optimizer.step({"a": np.ones(2), "b": -np.ones(2)}, stats="cos").stats
    assert stats is not None
    assert [name for name, _ in stats.worst("cos")] == ["b", "a"]


def test_text_and_plain_lists(stats: ac.StepStats) -> None:
    lines = stats.table().splitlines()
    assert lines[0].split() == ["name", "size", *COLUMNS]
    assert lines[2].split()[:3] == ["b", "3", "4"]
    assert lines[3].split() == ["frozen", "2", *"-" * len(COLUMNS)]
    assert len({len(line) for line in lines}) == 1
    found = json.loads(json.dumps(stats.to_dict()))
    assert list(found) == ["names", "size", *COLUMNS]
    assert found["grad_max"][:2] == [2.0, 4.0]


def test_some_columns(optimizer: ac.Optimizer) -> None:
    grads = grads_of()
    stats = optimizer.step(grads, stats=("ratio", "grad_rms")).stats
    assert stats is not None
    assert stats.columns == ("grad_rms", "ratio")
    with pytest.raises(AttributeError, match="StepStats: the step was not asked for 'cos', but for grad_rms, ratio"):
        _ = stats.cos
    with pytest.raises(AttributeError, match="no attribute 'grads'"):
        _ = stats.grads  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"StepStats.worst: the step was not asked for 'cos'"):
        stats.worst("cos")
    assert list(stats.to_dict()) == ["names", "size", "grad_rms", "ratio"]


@pytest.mark.parametrize("loss_scale", [1.0, 2, ac.LossScaler(4.0)], ids=str)
def test_wrong_columns(optimizer: ac.Optimizer, loss_scale: float) -> None:
    grads, before = grads_of(), everything(optimizer)
    with pytest.raises(ValueError, match=r"AdamW.step: stats: there is no column 'norm'"):
        optimizer.step(grads, stats="norm", loss_scale=loss_scale)
    with pytest.raises(ValueError, match=r"there is no column 'ratios'; did you mean 'ratio'\?"):
        optimizer.step(grads, stats=["cos", "ratios"], loss_scale=loss_scale)
    wrong: Any
    for wrong in ([3], [np.zeros(2)], b"cos"):
        with pytest.raises(TypeError, match=r"AdamW.step: stats must be names of columns, got"):
            optimizer.step(grads, stats=wrong, loss_scale=loss_scale)
    with pytest.raises(TypeError, match=r"AdamW.step: stats must be True, False, or the names of columns"):
        optimizer.step(grads, stats=np.array(1), loss_scale=loss_scale)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="stats must be True, False, or the names of columns, got 3"):
        optimizer.step(grads, stats=3, loss_scale=loss_scale)  # type: ignore[arg-type]
    assert everything(optimizer) == before


def test_statistics_outlive_the_next_step(optimizer: ac.Optimizer) -> None:
    first = optimizer.step(grads_of(), stats=True).stats
    kept = first.to_dict()  # type: ignore[union-attr]
    optimizer.step(grads_of(7.0), stats=True)
    np.testing.assert_equal(first.to_dict(), kept)  # type: ignore[union-attr]


def test_an_error_changes_nothing(optimizer: ac.Optimizer) -> None:
    before = everything(optimizer)
    with pytest.raises(ValueError, match="grads"):
        optimizer.step({**grads_of(), "w": np.ones((2, 2))}, stats=True)
    assert everything(optimizer) == before
    nonfinite = ac.SGD({"w": np.ones(2)}, lr=0.1, nonfinite="raise")
    with pytest.raises(ac.NonFiniteError):
        nonfinite.step({"w": np.array([1, np.nan])}, stats=True)
    assert nonfinite.steps["w"] == 0
