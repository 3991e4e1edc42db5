"""Products of parameters: by default so much of each that any two values meet, for CI nearly the whole.

ADAMCORE_EXHAUSTIVE asks for more: the whole product for the rules with the fewest and the most slots, and for every
other rule so much that any two of the remaining values meet with it. So a new rule costs a few tests and not a product.
ADAMCORE_EXHAUSTIVE=all asks for every product whole, as bench/gpu.sh does on a GPU, and for all runs of the tables in
tests/monitor.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import astuple, is_dataclass
from typing import Any

import numpy as np
import pytest

from reference import Case

EXHAUSTIVE = "ADAMCORE_EXHAUSTIVE" in os.environ
WHOLE = os.environ.get("ADAMCORE_EXHAUSTIVE") == "all"
FIXTURES = {"isa"}
"""Names that are fixtures with parameters: a value goes through the fixture."""


def products(**axes: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrize a test by a product of named axes, of which one may be `case`, a list of rules' cases."""
    names = list(axes)
    rows = chosen(list(itertools.product(*axes.values())))
    params = [pytest.param(*row, id="-".join(map(label, row))) for row in rows]
    return pytest.mark.parametrize(names, params, indirect=[name for name in names if name in FIXTURES])


def chosen(rows: list[tuple[Any, ...]], *, exhaustive: bool = EXHAUSTIVE, whole: bool = WHOLE) -> list[tuple[Any, ...]]:
    """Return the rows to test, of a whole product."""
    if not exhaustive:
        return covering(rows)
    if whole:
        return rows
    cases = {value.id: value for row in rows for value in row if isinstance(value, Case)}
    if not cases:
        return rows
    extremes = {extreme(cases, key=lambda name: len(cases[name].slots)) for extreme in (min, max)}
    found = []
    for name, case in cases.items():
        of_case = [row for row in rows if any(value is case for value in row)]
        found += of_case if name in extremes else covering(of_case)
    return found


def covering(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return few of the rows, in their order: two values that meet in any row meet in one of those returned.

    Fields of dataclasses count as values of their own. Greedy: next comes the row with the most new pairs.
    """
    if len(rows) < 2:
        return list(rows)
    pairs = [list(itertools.combinations(enumerate(values(row)), 2)) for row in rows]
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(itertools.chain.from_iterable(pairs)))}
    table = np.array([[numbers[pair] for pair in row] for row in pairs])
    if table.shape[1] == 0:  # a single axis
        return list(rows)
    missing = np.ones(len(numbers), bool)
    taken = []
    while missing.any():
        taken.append(int(missing[table].sum(axis=1).argmax()))
        missing[table[taken[-1]]] = False
    return [rows[number] for number in sorted(taken)]


def values(row: Iterable[Any]) -> tuple[Hashable, ...]:
    found: list[Hashable] = []
    for value in row:
        if isinstance(value, Case):
            found.append(value.id)
        elif is_dataclass(value) and not isinstance(value, type):
            found += map(str, astuple(value))
        else:
            found.append(label(value))
    return tuple(found)


def label(value: Any) -> str:
    if isinstance(value, tuple):
        return "-".join(map(label, value))
    return value.id if isinstance(value, Case) else value.__name__ if isinstance(value, type) else str(value)
