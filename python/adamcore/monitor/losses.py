"""What losses tell: plateaus, and losses that become too large."""

from __future__ import annotations

import math
from typing import Any

from adamcore.monitor.signals import NOTHING, Signal
from adamcore.monitor.trend import Trend
from adamcore.schedules._detector import Plateau

_ABOVE, _STEPS_ABOVE = 3.0, 32
_EXPLODED, _REPEATED, _WITHIN = 10.0, 3, 32
_NOT_FINITE = 8
_LEAST = -math.inf


class LossWatch:
    """Watches the losses of steps: plateau, lr_large, and exploding."""

    def __init__(self, test: Plateau) -> None:
        self.trend = Trend(test)
        self.best: float | None = None
        """The lowest median of a block."""
        self._limit = math.inf
        self._above = 0
        self._not_finite = 0
        self._exploded: list[int] = []
        self._flat_at: float | None = None
        self._flat_since = 0
        self._is_quiet = True

    def observe(self, loss: float, step: int, skipped: bool, spike: bool) -> tuple[Signal, ...]:  # noqa: FBT001
        """Take the loss of one step: whether it was skipped for an overflow, and whether its norm was a spike."""
        if self._is_quiet and _LEAST < loss <= self._limit:  # nearly all losses, and so without another call
            trend = self.trend
            trend.first.append(loss)
            return NOTHING if len(trend.first) < trend.block else self._end_block(step)
        signals: tuple[Signal, ...] = NOTHING
        if not math.isfinite(loss):
            signals = NOTHING if skipped else self._see_not_finite(loss)
        else:
            signals = self._see_finite(loss, step, spike=spike)
            self.trend.first.append(loss)
            if len(self.trend.first) == self.trend.block:
                signals += self._end_block(step)
        self._is_quiet = not (self._above or self._not_finite or self._exploded)
        return signals

    def _see_not_finite(self, loss: float) -> tuple[Signal, ...]:
        self._not_finite += 1
        evidence = {"loss": loss, "best": self.best, "steps": self._not_finite}
        signals: tuple[Signal, ...] = (Signal("lr_large", None, "note", evidence),)
        if self._not_finite >= _NOT_FINITE:
            signals += (Signal("exploding", None, "stop", evidence),)
        return signals

    def _see_finite(self, loss: float, step: int, *, spike: bool) -> tuple[Signal, ...]:
        signals: tuple[Signal, ...] = NOTHING
        if self._not_finite:
            self._not_finite = 0
            signals = (Signal("lr_large"), Signal("exploding"))
        if self._exploded and step - self._exploded[-1] > _WITHIN:
            self._exploded = []
            signals += (Signal("exploding"),)
        if loss > self._limit:
            return signals + self._see_large(loss, step, spike=spike)
        if self._above >= _STEPS_ABOVE:
            signals += (Signal("lr_large"),)
        self._above = 0
        return signals

    def _see_large(self, loss: float, step: int, *, spike: bool) -> tuple[Signal, ...]:
        self._above += 1
        evidence = {"loss": loss, "best": self.best, "steps": self._above}
        signals: tuple[Signal, ...] = NOTHING
        if self._above >= _STEPS_ABOVE:
            signals = (Signal("lr_large", None, "note", evidence),)
        level = self.trend.level
        if spike and level is not None and loss > _EXPLODED * abs(level):
            self._exploded = [at for at in self._exploded if step - at <= _WITHIN] + [step]
            if len(self._exploded) >= _REPEATED:
                times = {"loss": loss, "median": level, "spikes": len(self._exploded)}
                signals += (Signal("exploding", None, "stop", times),)
        return signals

    def _end_block(self, step: int) -> tuple[Signal, ...]:
        self.trend.end_block()
        self._take_best(self.trend.heights[-1])
        level, verdict = self.trend.level, self.trend.verdict
        assert level is not None
        if verdict == "flat" and not self._above:
            if self._flat_at is None:
                self._flat_at, self._flat_since = level, step
            return (Signal("plateau", None, "warning", {"loss": level, "window": self.trend.test.window}),)
        if verdict == "improving" and self._is_lower(level, step):
            self._flat_at = None
            return (Signal("plateau"),)
        return NOTHING

    def _take_best(self, height: float) -> None:
        if self.best is None or height < self.best:
            scale = self.trend.test.scale
            self.best = height
            self._limit = height + (_ABOVE - 1) * (abs(height) if scale is None else scale)

    def _is_lower(self, level: float, step: int) -> bool:
        """Whether losses have left their plateau. One window in twenty seems to improve by chance."""
        if self._flat_at is None:
            return False
        test = self.trend.test
        least = test.tol * (abs(self._flat_at) if test.scale is None else test.scale)
        return step - self._flat_since >= test.window and level < self._flat_at - least

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "trend": self.trend.state_dict(),
            "best": self.best,
            "above": self._above,
            "not_finite": self._not_finite,
            "exploded": list(self._exploded),
            "flat": [self._flat_at, self._flat_since],
        }

    def load_state_dict(self, saved: Any) -> None:
        """Go on from what `state_dict` returned."""
        flat_at, flat_since = saved["flat"]
        self._flat_at, self._flat_since = None if flat_at is None else float(flat_at), int(flat_since)
        self._above, self._not_finite = int(saved["above"]), int(saved["not_finite"])
        self._exploded = [int(at) for at in saved["exploded"]]
        self.trend.load_state_dict(saved["trend"])
        if saved["best"] is not None:
            self._take_best(float(saved["best"]))
        self._is_quiet = not (self._above or self._not_finite or self._exploded)
