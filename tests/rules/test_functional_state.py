"""State of functions that has another shape than the parameter, or an order that the rule demands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import functional
from helpers import bits


def ones(*shape: int, dtype: Any = np.float32, order: Any = "C") -> np.ndarray:
    return np.ones(shape, dtype, order)


ADAFACTOR, NOVOGRAD, LAMB = functional.adafactor, functional.novograd, functional.lamb

REFUSED: list[tuple[Callable[..., None], list[np.ndarray], type[Exception], str]] = [
    (ADAFACTOR, [ones(3, 4), ones(1, 4)], ValueError, r"row_var: shape must be \(3, 1\) beside p, got \(3, 4\)"),
    (ADAFACTOR, [ones(3, 1), ones(4)], ValueError, r"col_var: shape must be \(1, 4\) beside p, got \(4,\)"),
    (ADAFACTOR, [ones(3, 1), ones(1, 4, dtype=float)], TypeError, "col_var: dtype must be float32, got float64"),
    (ADAFACTOR, [ones(3, 1), ones(1, 4, dtype=np.float16)], TypeError, "col_var: dtype must be float32, got float16"),
    (ADAFACTOR, [ones(3, 1), ones(1, 8)[:, ::2]], ValueError, "col_var: a state array must be dense"),
    (ADAFACTOR, [ones(3, 4)], TypeError, "the state array 'col_var' is missing"),
    (NOVOGRAD, [ones(3, 4), ones(dtype=np.float32)], TypeError, "exp_avg_sq: dtype must be float64, got float32"),
    (NOVOGRAD, [ones(3, 4), ones(1, dtype=float)], ValueError, r"exp_avg_sq: shape must be \(\) beside p, got \(1,\)"),
    (NOVOGRAD, [ones(4), ones(dtype=float)], ValueError, r"exp_avg: shape \(4,\) does not match p"),
    (LAMB, [ones(3, 4, order="F"), ones(3, 4)], ValueError, "exp_avg: this rule's state must be in C order"),
    (LAMB, [ones(3, 4), ones(3, 4, order="F")], ValueError, "exp_avg_sq: the axes are in another order in memory"),
]


@pytest.mark.parametrize(
    ("function", "state", "error", "message"), REFUSED, ids=[f"{case[0].__name__}-{case[3]}" for case in REFUSED]
)
def test_bad_state_is_named(
    function: Callable[..., None], state: list[np.ndarray], error: type[Exception], message: str
) -> None:
    """Nothing has changed then."""
    p = ones(3, 4)
    before = bits(p, *state)
    with pytest.raises(error, match=message):
        function(p, ones(3, 4), *state, t=1)
    assert bits(p, *state) == before


def test_matrices_and_vectors_are_updated_in_two_calls() -> None:
    p = [ones(3, 4), ones(4)]
    with pytest.raises(
        TypeError, match="adafactor: p has matrices and arrays with fewer than two axes, which have other"
    ):
        functional.adafactor(p, p, [ones(3, 1), ones(4)], [ones(1, 4), ones(4)], t=1)
    with pytest.raises(TypeError, match="unexpected argument 'row_var': the rule has no such state"):
        functional.adafactor(p[1], p[1], t=1, row_var=ones(3, 1), variance=ones(4))
    functional.adafactor(p[0], p[0].copy(), t=1, row_var=ones(3, 1), col_var=ones(1, 4))
    functional.adafactor(p[1:], [ones(4)], t=1, variance=[ones(4)])


def test_complex_parameters_have_no_rows_and_columns() -> None:
    p = ones(3, 4, dtype=np.complex64)
    with pytest.raises(TypeError, match="p: dtype complex64 is not supported by adafactor, which averages over rows"):
        functional.adafactor(p, p.copy(), ones(3, 1), ones(1, 4), t=1)


@pytest.mark.parametrize("order", ["C", "F"])
def test_any_layout_of_parameters(order: str, rng: np.random.Generator) -> None:
    """The bits are those of an optimizer of dense arrays."""
    p, q = ones(6, 5, dtype=float), ones(6, 5, dtype=float, order=order)
    optimizer = ac.Adafactor(p, lr=0.1)
    row_var, col_var = np.zeros((6, 1)), np.zeros((1, 5))
    for t in range(1, 4):
        g = rng.standard_normal((6, 5))
        optimizer.step(g)
        functional.adafactor(q, np.asarray(g, order="F"), row_var, col_var, t=t, lr=0.1)
    assert bits(p, *optimizer.state["0"].values()) == bits(np.ascontiguousarray(q), row_var, col_var)
