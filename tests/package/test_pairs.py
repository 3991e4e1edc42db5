"""What tests are parametrized by: two values that may meet do, with every rule in CI."""

from __future__ import annotations

import itertools

from pairs import chosen, covering, values
from reference import CASES
from storage import combinations

ROWS = list(itertools.product(CASES, combinations()))


def pairs_of(rows: list) -> set:
    return {pair for row in rows for pair in itertools.combinations(enumerate(values(row)), 2)}


def test_few_rows_cover_all_pairs() -> None:
    few = covering(ROWS)
    assert len(few) < len(ROWS) / 10
    assert pairs_of(few) == pairs_of(ROWS)
    assert few == [row for row in ROWS if row in few]


def test_each_rule_meets_all_pairs_of_the_others() -> None:
    rows = chosen(ROWS, exhaustive=True, whole=False)
    for case in CASES:
        of_case = [row for row in rows if row[0] is case]
        assert pairs_of(of_case) == pairs_of([row for row in ROWS if row[0] is case])
    whole = [case for case in CASES if sum(row[0] is case for row in rows) == len(combinations())]
    assert {len(case.slots) for case in whole} == {min(len(c.slots) for c in CASES), max(len(c.slots) for c in CASES)}
    assert len(whole) == 2


def test_one_axis_stays_whole() -> None:
    assert covering([(1,), (2,)]) == [(1,), (2,)]
    assert covering([]) == []
