"""Hyper-parameters out of range raise an error that names them, in the constructor and when they are set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac

NAN, INF = float("nan"), float("inf")

OUT_OF_RANGE = [
    ("AdamW", {"lr": -1e-3}, "lr"),
    ("AdamW", {"lr": NAN}, "lr"),
    ("AdamW", {"lr": INF}, "lr"),
    ("AdamW", {"lr": 10**400}, "lr"),
    ("AdamW", {"betas": (-0.1, 0.999)}, r"betas\[0\]"),
    ("AdamW", {"betas": (1.0, 0.999)}, r"betas\[0\]"),
    ("AdamW", {"betas": (0.9, 1.0)}, r"betas\[1\]"),
    ("AdamW", {"betas": (0.9, NAN)}, r"betas\[1\]"),
    ("AdamW", {"betas": (0.9,)}, "betas"),
    ("AdamW", {"betas": (0.9, 0.99, 0.999)}, "betas"),
    ("AdamW", {"eps": -1e-8}, "eps"),
    ("AdamW", {"eps": NAN}, "eps"),
    ("AdamW", {"weight_decay": -1.0}, "weight_decay"),
    ("Adam", {"weight_decay": NAN}, "weight_decay"),
    ("SGD", {"lr": -1.0}, "lr"),
    ("SGD", {"momentum": -0.1}, "momentum"),
    ("SGD", {"momentum": NAN}, "momentum"),
    ("SGD", {"dampening": NAN, "momentum": 0.9}, "dampening"),
    ("SGD", {"weight_decay": -0.1}, "weight_decay"),
    ("SGD", {"nesterov": True}, "nesterov needs momentum"),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs momentum"),
    ("RMSprop", {"alpha": 1.5}, "alpha"),
    ("RMSprop", {"alpha": -0.5}, "alpha"),
    ("RMSprop", {"eps": INF}, "eps"),
    ("RMSprop", {"momentum": -1}, "momentum"),
    ("Adagrad", {"lr_decay": -1.0}, "lr_decay"),
    ("Adagrad", {"initial_accumulator_value": -1.0}, "initial_accumulator_value"),
    ("Adagrad", {"eps": NAN}, "eps"),
]

WRONG_TYPE = [
    ("AdamW", {"lr": "1e-3"}, "lr"),
    ("AdamW", {"lr": None}, "lr"),
    ("AdamW", {"lr": 1j}, "lr"),
    ("AdamW", {"betas": 0.9}, "betas"),
    ("AdamW", {"betas": "ab"}, "betas"),
    ("AdamW", {"betas": ("a", "b")}, r"betas\[0\]"),
    ("AdamW", {"eps": [1e-8]}, "eps"),
]


def error_of(case: tuple[str, dict[str, Any], str]) -> type[Exception]:
    return TypeError if case in WRONG_TYPE else ValueError


@pytest.mark.parametrize("bad", OUT_OF_RANGE + WRONG_TYPE, ids=str)
def test_constructor(bad: tuple[str, dict[str, Any], str]) -> None:
    name, options, match = bad
    with pytest.raises(error_of(bad), match=f"^{name}: {match}"):
        getattr(ac, name)(np.ones(3), **options)


WRITTEN = [bad for bad in OUT_OF_RANGE + WRONG_TYPE if bad[1] != {"nesterov": True}]
"""Nesterov's momentum may be 0 for a time: cyclic schedules write such values."""


@pytest.mark.parametrize("bad", WRITTEN, ids=str)
def test_written_between_steps(bad: tuple[str, dict[str, Any], str]) -> None:
    """In the last of two groups. Nothing changes, and the step works after the value has been corrected."""
    name, options, match = bad
    params, grads = [np.ones(40), np.ones(40)], [np.ones(40), np.ones(40)]
    kept = {"momentum": 0.5} if "momentum" in options or "dampening" in options else {}
    optimizer = getattr(ac, name)([{"params": params[0]}, {"params": params[1]}], **kept)
    optimizer.step(grads)
    good = dict(optimizer.param_groups[1])
    optimizer.param_groups[1].update(options)
    before = [p.tobytes() for p in params]
    with pytest.raises(error_of(bad), match=f"^{name}: "):
        optimizer.step(grads)
    assert [p.tobytes() for p in params] == before
    assert optimizer.steps == {"0": 1, "1": 1}
    optimizer.param_groups[1].update(good)
    optimizer.step(grads)
    assert optimizer.steps == {"0": 2, "1": 2}
    assert match


@pytest.mark.parametrize("bad", OUT_OF_RANGE + WRONG_TYPE, ids=str)
def test_in_a_group(bad: tuple[str, dict[str, Any], str]) -> None:
    name, options, match = bad
    with pytest.raises(error_of(bad), match=f"^{name}: {match}"):
        getattr(ac, name)([{"params": np.ones(3)}, {"params": np.ones(3), **options}])


def test_message_says_which_group_and_value() -> None:
    optimizer = ac.AdamW([{"params": np.ones(3)}, {"params": np.ones(3)}])
    optimizer.param_groups[1]["lr"] = NAN
    with pytest.raises(ValueError, match=r"^AdamW: lr must be a finite number >= 0, got nan \(in param_groups\[1\]\)$"):
        optimizer.step([np.ones(3), np.ones(3)])
    dict.__delitem__(optimizer.param_groups[1], "lr")
    with pytest.raises(ValueError, match=r"lr is missing \(in param_groups\[1\]\)"):
        optimizer.step([np.ones(3), np.ones(3)])


def test_numbers_of_any_kind() -> None:
    results = []
    for lr in (1, 1.0, np.float64(1), np.float32(1), np.int64(1), np.array(1.0), True):
        p = np.zeros(3)
        ac.SGD(p, lr=lr).step(np.ones(3))
        results.append(p.tolist())
    assert results == [[-1.0] * 3] * 7


def test_mutable_values_are_read_every_step() -> None:
    lr, betas = np.array(1.0), [0.0, 0.0]
    p = np.zeros(3)
    optimizer = ac.Adam(p, lr=lr, betas=betas, eps=0.0)
    optimizer.step(np.ones(3))
    lr[...] = 2.0
    optimizer.step(np.ones(3))
    assert np.allclose(p, -3)
    betas[0] = 1.0
    with pytest.raises(ValueError, match=r"betas\[0\]"):
        optimizer.step(np.ones(3))


def test_unknown_option_in_a_group() -> None:
    with pytest.raises(TypeError, match="unknown option 'learning_rate' in a group; the known options are lr, betas"):
        ac.AdamW([{"params": np.ones(3), "learning_rate": 1.0}])


def test_nesterov_can_be_turned_on_and_off() -> None:
    """It has the same state as momentum."""
    p, expected = np.zeros(3), np.zeros(3)
    optimizer = ac.SGD(p, lr=1.0, momentum=0.5)
    optimizer.step(np.ones(3))
    optimizer.param_groups[0]["nesterov"] = True
    optimizer.step(np.ones(3))
    buffer = 1.0
    expected -= buffer
    buffer = 0.5 * buffer + 1
    expected -= 1 + 0.5 * buffer
    assert np.array_equal(p, expected)


@pytest.mark.parametrize("loss_scale", [0.0, -1.0, NAN, INF, 1e-39, 1e39, "big", None])
def test_bad_loss_scale(loss_scale: Any) -> None:
    p = np.ones(3)
    with pytest.raises((TypeError, ValueError), match="loss_scale must be a finite number > 0"):
        ac.SGD(p).step(np.ones(3), loss_scale=loss_scale)
    assert np.all(p == 1)


def test_maximize_without_a_truth_value_changes_nothing() -> None:
    p = np.ones(3)
    optimizer = ac.SGD(p)
    dict.__setitem__(optimizer.param_groups[0], "maximize", np.ones(2))
    with pytest.raises(ValueError, match="truth value"):
        optimizer.step(np.ones(3))
    assert np.all(p == 1)
    assert optimizer.steps["0"] == 0
