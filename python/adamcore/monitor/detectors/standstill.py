"""`Standstill`: where values have stopped falling, until they have left this place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adamcore.monitor.detectors.signals import NOTHING, Signal
from adamcore.schedules._detector import Plateau, Verdict, median_of

_EXCEPTIONS = 8
"""One height in so many may be as high as before: fewer than a window has when the test calls a fall flat again."""


class Standstill:
    """Remembers how high values are on a plateau, so that noise does not end it.

    One window in twenty seems to improve by chance, so a verdict does not say that a plateau is over. It is over when
    nearly all heights of a window are lower than the plateau by more than `tol`.
    """

    def __init__(self, test: Plateau, about: str = "") -> None:
        self._test, self._about = test, about
        self._height: float | None = None

    def observe(self, heights: Sequence[float], verdict: Verdict, evidence: Mapping[str, Any]) -> tuple[Signal, ...]:
        """Take the heights of the last window and their verdict. `evidence` is that of the finding, if there is one."""
        signals: tuple[Signal, ...] = NOTHING
        if self._has_been_left(heights):
            self._height = None
            signals = (Signal("plateau", about=self._about),)
        if verdict != "flat":
            return signals
        height = median_of(heights)
        self._height = height if self._height is None else min(height, self._height)
        return (*signals, Signal("plateau", None, "warning", evidence, self._about))

    def _has_been_left(self, heights: Sequence[float]) -> bool:
        if self._height is None:
            return False
        scale = self._test.scale
        limit = self._height - self._test.tol * (abs(self._height) if scale is None else scale)
        return sum(height >= limit for height in heights) <= len(heights) // _EXCEPTIONS

    def state(self) -> float | None:
        """Return how high the plateau is, or None."""
        return self._height

    def load(self, height: float | None) -> None:
        """Go on from what `state` returned."""
        self._height = height
