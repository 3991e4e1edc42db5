"""What gradients tell of each unit of a layer: rows and columns that get none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore.monitor.detectors.signals import Signal
from adamcore.monitor.saved import Saved

_CHECKS = 8
_MANY = 0.2

Array = NDArray[Any]


class UnitWatch:
    """Looks at gradients now and then, and counts in how many looks in a row a row or a column was zero."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], NDArray[np.int64]] = {}

    def observe(self, grads: Mapping[str, Array]) -> list[Signal]:
        """Take the gradients of one step by name."""
        return [self._see(name, grad) for name, grad in grads.items() if grad.ndim > 1 and grad.size]

    def _see(self, name: str, grad: Array) -> Signal:
        share, axis = 0.0, 0
        for place in (0, grad.ndim - 1):
            counts = self._count(name, place, grad)
            share, axis = max((share, axis), (float((counts >= _CHECKS).mean()), place))
        if not share:
            return Signal("dead", name, about="units")
        evidence = {"axis": axis, "share": share, "units": round(share * grad.shape[axis])}
        return Signal("dead", name, "warning" if share >= _MANY else "note", evidence, "units")

    def _count(self, name: str, axis: int, grad: Array) -> NDArray[np.int64]:
        """Return in how many looks in a row each unit along an axis was zero."""
        idle = ~(grad != 0).any(axis=tuple(i for i in range(grad.ndim) if i != axis))
        before = self._counts.get((name, axis))
        counts = np.zeros(len(idle), np.int64) if before is None or before.shape != idle.shape else before
        self._counts[name, axis] = counts = np.where(idle, counts + 1, 0)
        return counts

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"counts": [[*key, counts.tolist()] for key, counts in self._counts.items()]}

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned."""
        rows = [
            Saved(dict(zip(_ROW, row, strict=True)), _ROW, "counts")
            for row in Saved(state, ("counts",)).rows("counts", len(_ROW), "a name, an axis and counts")
        ]
        self._counts = {(row.text("name"), row.count("axis")): np.array(row.counts("counts"), np.int64) for row in rows}


_ROW = ("name", "axis", "counts")
