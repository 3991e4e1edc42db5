"""What gradients tell of each unit of a layer: rows and columns that get none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.flatten import flatten_grads
from adamcore.monitor.signals import Signal

_CHECKS = 8
_MANY = 0.2


class UnitWatch:
    """Looks at gradients now and then, and counts in how many looks in a row a row or a column was zero."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], NDArray[np.int64]] = {}

    def observe(self, grads: Any) -> list[Signal]:
        """Take the gradients of one step, in the structure in which the step took them."""
        flat = flatten_grads(grads, written=False)
        signals = []
        for name, grad in zip(flat.names, flat.arrays, strict=True):
            if grad is not None and np.ndim(grad) > 1:
                signals.append(self._see(name, np.asarray(grad)))
        return signals

    def _see(self, name: str, grad: NDArray[Any]) -> Signal:
        worst: tuple[float, int] = (0.0, 0)
        for axis in (0, grad.ndim - 1):
            others = tuple(i for i in range(grad.ndim) if i != axis)
            idle = ~(grad != 0).any(axis=others)
            before = self._counts.get((name, axis))
            counts = np.zeros(len(idle), np.int64) if before is None or before.shape != idle.shape else before
            self._counts[name, axis] = counts = np.where(idle, counts + 1, 0)
            worst = max(worst, (float((counts >= _CHECKS).mean()), axis))
        share, axis = worst
        if not share:
            return Signal("dead", name, about="units")
        severity = "warning" if share >= _MANY else "note"
        evidence = {"axis": axis, "share": share, "units": round(share * grad.shape[axis])}
        return Signal("dead", name, severity, evidence, "units")  # type: ignore[arg-type]

    def state_dict(self) -> list[Any]:
        """Return plain values."""
        return [[*key, counts.tolist()] for key, counts in self._counts.items()]

    def load_state_dict(self, saved: Any) -> None:
        """Go on from what `state_dict` returned."""
        self._counts = {
            (str(name), int(axis)): np.array([int(count) for count in counts], np.int64) for name, axis, counts in saved
        }
