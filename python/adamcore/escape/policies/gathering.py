"""Batches that are gathered until there are enough rows to measure curvature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore._checkpoints.draft import Draft

ROWS, MOST = 512, 8
"""So many rows are enough, and so are so many batches."""


class Gathering:
    """The batches of the present steps."""

    def __init__(self, batches: list[Any] | None = None) -> None:
        self.batches: list[Any] = [] if batches is None else batches

    def add(self, batch: Any) -> bool:
        """Add a batch. Return whether there are enough."""
        self.batches.append(batch)
        rows = [_rows_of(each) for each in self.batches]
        return 0 in rows or sum(rows) >= ROWS or len(rows) >= MOST

    def state(self) -> list[Any]:
        """Return the batches for a file, or none of them if a file cannot have them: others are gathered then."""
        if not all(map(_is_plain, self.batches)):
            return []
        try:
            Draft("").encoded(self.batches, "batches", "")
        except (TypeError, ValueError):
            return []
        return list(self.batches)


def _is_plain(batch: Any) -> bool:
    """Whether its lists, tuples and dicts are no subclasses, such as named tuples, which a file does not know."""
    if isinstance(batch, (list, tuple, Mapping)):
        items = batch.values() if isinstance(batch, Mapping) else batch
        return type(batch) in (list, tuple, dict) and all(map(_is_plain, items))
    return True


def _rows_of(batch: Any) -> int:
    """Return how many rows a batch has: the length of the first array in it, or 0 if it has none."""
    if isinstance(batch, dict):
        batch = list(batch.values())
    if isinstance(batch, (list, tuple)):
        return next((rows for rows in map(_rows_of, batch) if rows), 0)
    shape: Any = getattr(batch, "shape", ())
    return int(shape[0]) if len(shape) else 0
