"""Whether a run is well: its weights, its losses and what it shares with other runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

from adamcore.schedules._detector import BLOCKS, block_medians, rises_surely
from adamcore.training.problem import ProblemError, name_of

_WORSE = 0.1
_GROWTH = 10
_SHORTEST = 7
_SURELY = 3.3
"""Standard deviations: of runs in which nothing happens, one in 2000 seems to rise."""
_MANY = 8
"""So many first losses are all lower than the medians of 8 blocks by chance in one of 1500 runs."""


def has_diverged(losses: Sequence[float], validations: Sequence[float] = (), growth: float = 1.0) -> bool:
    """Whether the losses of a run have risen from the beginning to the end.

    Losses that jump up in the first steps do not rise later. They count if they end 11 times as high as the first one
    and the largest parameter has grown to more than 10 times its size: `growth`.

    Validation losses, from the first to the last, overrule them: if they end 10% lower, the run is well. If they end
    10% higher, it is not, unless the training losses have fallen: such a run has learned its data by heart. These 10%
    are of the first validation or of the first training loss, whichever is larger, so that a model that is almost
    perfect at the beginning may end where noise lets it.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(validations) > 1 and finite:
        first, last = validations[0], validations[-1]
        if last < first - _WORSE * abs(first):
            return False
        base = min(abs(finite[0]), abs(median(_first(finite))))
        if last > first + _WORSE * max(abs(first), base):
            return not _has_fallen(finite)
    return _rises(finite) or (growth > _GROWTH and _has_exploded(finite))


def _has_exploded(losses: Sequence[float]) -> bool:
    return bool(losses) and block_medians(losses)[-1] > losses[0] + _GROWTH * abs(losses[0])


def _has_fallen(losses: Sequence[float]) -> bool:
    is_lower = block_medians(losses)[-1] < min(losses[0], median(_first(losses)))
    return is_lower and _rises([-loss for loss in losses])


def _rises(losses: Sequence[float]) -> bool:
    """Whether losses rise all the time or stay above those of the beginning, which noise alone does not bring about."""
    heights = block_medians(losses)
    if len(heights) < _SHORTEST:
        return False
    if rises_surely(heights, _SURELY):
        return True
    if len(losses) < 2 * BLOCKS:  # heights are single losses
        return False
    begin, late = _first(losses), heights[len(heights) // 2 :]
    if len(begin) >= _MANY and min(late) > max(begin):
        return True
    return _is_far_below(begin, late) or _is_far_below(losses[:1], losses[len(losses) // 2 :])


def _is_far_below(begin: Sequence[float], late: Sequence[float]) -> bool:
    return min(late) - max(begin) > 2 * (max(late) - min(late))


def _first(losses: Sequence[float]) -> Sequence[float]:
    """Return the losses of the first block."""
    return losses[: max(len(losses) // len(block_medians(losses)), 1)]


def require_own_arrays(of_runs: Iterable[Iterable[Any]], problem: Any, owner: str) -> None:
    """Raise ProblemError if two runs, each given by the arrays that it trains, train the same memory."""
    known: set[int] = set()
    for arrays in of_runs:
        own = set(_addresses(arrays))
        if known & own:
            raise ProblemError(
                f"{owner}: init(rng) of the problem {name_of(problem)} returned the same arrays twice, so that several "
                "runs would train the same weights; return new arrays, such as copies, each time"
            )
        known |= own


def require_own_batches(iterators: Iterable[Any], problem: Any, owner: str) -> None:
    """Raise ProblemError if two runs take their batches from the same iterator."""
    known = [id(iterator) for iterator in iterators if iterator is not None]
    if len(set(known)) < len(known):
        raise ProblemError(
            f"{owner}: batches(rng) of the problem {name_of(problem)} returned the same iterator twice, so that each "
            "run would get other batches; return a new one each time"
        )


def _addresses(arrays: Iterable[Any]) -> Iterator[int]:
    for array in arrays:
        if math.prod(array.shape):
            if isinstance(array, np.ndarray):
                yield int(array.__array_interface__["data"][0])
            else:
                yield int(array.data_ptr()) if hasattr(array, "data_ptr") else int(array.data.ptr)
