"""Batches that are gathered until there are enough rows to measure curvature."""

from __future__ import annotations

from typing import Any

from adamcore._arrays.libraries import library_of
from adamcore._files.trees import Encoder

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
        encoder = Encoder("batch", lambda _, value: None if library_of(value) is None else 0)
        try:
            encoder.encode(self.batches)
        except (TypeError, ValueError):
            return []
        return list(self.batches)


def _rows_of(batch: Any) -> int:
    """Return how many rows a batch has: the length of the first array in it, or 0 if it has none."""
    if isinstance(batch, dict):
        batch = list(batch.values())
    if isinstance(batch, (list, tuple)):
        return next((rows for rows in map(_rows_of, batch) if rows), 0)
    shape: Any = getattr(batch, "shape", ())
    return int(shape[0]) if len(shape) else 0
