"""What the norm of gradients and skipped steps tell: spikes, and loops of overflows."""

from __future__ import annotations

from collections import deque
from typing import Any

from adamcore._core import SpikeHistory
from adamcore.monitor.detectors.signals import NOTHING, Signal
from adamcore.monitor.saved import Saved
from adamcore.schedules._detector import median_of

_DEVIATIONS, _WINDOW = 6.0, 128
_SKIPS, _OF_STEPS = 5, 20
_IN_A_ROW = 3


class GradientWatch:
    """Watches norms for spikes, by the rule of `SpikeGuard`, and counts steps that are skipped."""

    def __init__(self) -> None:
        self._history = _history_of([])
        self.spikes = 0
        """How many of the last norms were spikes, without one between that was not."""
        self._skips: deque[bool] = deque(maxlen=_OF_STEPS)
        self.overflows = 0
        """How many of the last 20 steps were skipped. While it is 0, steps that are not need not be observed."""

    def forget(self) -> None:
        """Compare norms with none that were before."""
        self._history, self.spikes = _history_of([]), 0

    def observe_norm(self, norm: float, guarded: bool) -> tuple[Signal, ...]:  # noqa: FBT001
        """Take the norm of one step; `guarded` if a `SpikeGuard` has found it to be a spike."""
        spike = self._history.observe(norm) or guarded
        if not spike and not self.spikes:
            return NOTHING
        if not spike:
            self.spikes = 0
            return (Signal("spike"),)
        self.spikes += 1
        norms = self._history.norms
        found = Signal("spike", None, "note", {"grad_norm": norm, "median": median_of(norms) if norms else None})
        # Every bad batch is news. More of them in a row are no batches: gradients have become larger.
        return (Signal("spike"), found) if self.spikes <= _IN_A_ROW else (found,)

    def observe_skip(self, skipped: bool) -> tuple[Signal, ...]:  # noqa: FBT001
        """Take whether a step was skipped because gradients were not finite."""
        if len(self._skips) == _OF_STEPS:
            self.overflows -= self._skips[0]
        self._skips.append(skipped)
        self.overflows += skipped
        if not self.overflows:
            return (Signal("overflow_loop"),)
        if self.overflows <= _SKIPS:
            return NOTHING
        return (Signal("overflow_loop", None, "warning", {"skips": self.overflows, "steps": _OF_STEPS}),)

    def observe_scale(self, scale: float) -> tuple[Signal, ...]:
        """Take the loss scale."""
        return (Signal("overflow_loop", None, "warning" if scale < 1 else None, {"scale": scale}, "scale"),)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"norms": self._history.norms, "spikes": self.spikes, "skips": list(self._skips)}

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned."""
        saved = Saved(state, ("norms", "spikes", "skips"))
        norms = saved.numbers("norms", _WINDOW)
        if not all(norm > 0 for norm in norms):
            raise ValueError("norms must be > 0")
        self._history, self.spikes = _history_of(norms), saved.count("spikes")
        self._skips = deque(saved.flags("skips", _OF_STEPS), maxlen=_OF_STEPS)
        self.overflows = sum(self._skips)


def _history_of(norms: list[float]) -> SpikeHistory:
    return SpikeHistory(_DEVIATIONS, _WINDOW, False, 1, norms, 0)  # noqa: FBT003  (it clips)
