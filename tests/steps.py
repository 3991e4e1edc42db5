"""One step from equal inputs, within bounds in ulp of the float64 reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from helpers import load, make, ulp
from reference import Case, ReferenceOptimizer, magnitudes, random_state
from reference.sums import recorded, replayed


def random_arrays(rng: np.random.Generator, shapes: Sequence[tuple[int, ...]], dtype: Any) -> dict[str, np.ndarray]:
    """Return arrays of these shapes, with numbers of several magnitudes, named as those of a list are."""
    return {str(i): np.asarray(magnitudes(rng, shape), dtype) for i, shape in enumerate(shapes)}


def check_one_step(case: Case, dtype: Any, shapes: Sequence[tuple[int, ...]], t: int, rng: np.random.Generator) -> None:
    """One step from equal inputs: state within 2 ulp, weights within 2 ulp of themselves and 4 of their change.

    The unit is that of the sum of the terms' magnitudes. It is the result's own except where terms of opposite sign
    cancel: there no arithmetic in the arrays' own type keeps the digits. The terms come from a run of the reference on
    magnitudes, in which sums over tensors are what they were.
    """
    params, grads = (random_arrays(rng, shapes, dtype) for _ in range(2))
    states = {name: random_state(case, rng, p) for name, p in params.items()}
    reference = ReferenceOptimizer(case, params, dtype, states, t - 1)
    before, terms = reference.params.copy(), reference.absolute()
    with recorded() as sums:
        reference.step(grads)
    with replayed(sums):
        terms.step({name: np.abs(g) for name, g in grads.items()}, maximize=False)

    optimizer = make(case, arrays := [p.copy() for p in params.values()])
    load(optimizer, states, t - 1)
    optimizer.step(list(grads.values()))

    # The reference is in float64 itself, so that for float64 it adds errors of its own.
    more = 1 if dtype == np.float32 else 4
    for name, p in zip(params, arrays, strict=True):
        expected = reference.params[name]
        for slot, array in optimizer.state[name].items():
            wanted, described = reference.states[name][slot], case.slots_of(p.shape)[slot]
            if described.starts_as_param:
                require_weights(array, states[name][slot], wanted, terms.states[name][slot], more, dtype)
                continue
            if described.shape == "number":
                assert array[()] == pytest.approx(wanted[()], rel=1e-12)
                continue
            # RMSprop's buffer is no moment: it averages quotients, which a root, a sum and a division have rounded.
            budget = 3 if case.optimizer == "RMSprop" and slot == "momentum_buffer" else 2
            error = np.abs(array - wanted)
            assert np.all(error <= more * budget * ulp(terms.states[name][slot], dtype)), (name, slot)
        require_weights(p, before[name], expected, terms.params[name], more, dtype)
        assert optimizer.steps[name] == t
        for number, value in optimizer.numbers.items():
            tolerance = 1e-6 if dtype == np.float32 else 1e-12
            assert value == pytest.approx(float(reference.states[name][number]), rel=tolerance)
    moved = [np.any(p != params[name]) for name, p in zip(params, arrays, strict=True) if p.size]
    assert not moved or any(moved)


def require_weights(
    found: np.ndarray, before: np.ndarray, expected: np.ndarray, terms: np.ndarray, more: float, dtype: Any
) -> None:
    """Require weights within 2 ulp of themselves and 4 of their change. `terms` are the magnitudes of all terms."""
    change = np.maximum(np.abs(np.abs(before) - terms), np.abs(before - expected))
    scale = np.maximum(np.abs(before), np.abs(expected))
    assert np.all(np.abs(found - expected) <= more * (2 * ulp(scale, dtype) + 4 * ulp(change, dtype)))
