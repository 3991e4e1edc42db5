"""What losses tell: plateaus, and losses that become too large."""

from __future__ import annotations

from typing import Any

from adamcore.monitor.detectors.signals import NOTHING, Signal
from adamcore.monitor.detectors.standstill import Standstill
from adamcore.monitor.detectors.trend import Trend
from adamcore.monitor.reading import LARGEST
from adamcore.monitor.saved import Saved
from adamcore.schedules._detector import Plateau, median_of

_ABOVE, _STEPS_ABOVE = 3.0, 32
_EXPLODED, _REPEATED, _WITHIN = 10.0, 3, 32
_NOT_FINITE = 8
_LEAST = -LARGEST
_LOSSES = 16
_RECENT = 64
_CALM = 32
"""After so many ordinary losses in a row, it is over that losses were too large."""

_KEYS = ("trend", "best", "best_at", "first", "begin", "is_known", "above", "not_finite", "exploded", "calm", "plateau")


class LossWatch:
    """Watches the losses of steps: plateau, lr_large, and exploding."""

    def __init__(self, test: Plateau) -> None:
        self.trend = Trend(test)
        self.best: float | None = None
        """The lowest median of 16 losses or more, so that no lucky loss decides. Where no loss has been as low as the
        first one, before which there was no step, it is that one."""
        self._first: float | None = None
        self.begin: float | None = None
        """The first loss of all."""
        self._best_at = 0
        self._is_known = False
        self._blocks = max(_LOSSES // self.trend.block, 1)
        self._limit = LARGEST
        self._above = 0
        self._not_finite = 0
        self._exploded: list[int] = []
        self._calm, self._is_calm = 0, False
        self._standstill = Standstill(test)

    def is_falling(self, step: int) -> bool:
        """Whether losses have been lower within the last 64 steps than ever before."""
        return self.best is not None and step - self._best_at < _RECENT + self.trend.block

    def observe(self, loss: float, step: int, skipped: bool, spike: bool) -> tuple[Signal, ...]:  # noqa: FBT001
        """Take the loss of one step: whether it was skipped for an overflow, and whether its norm was a spike."""
        if self._is_calm and _LEAST <= loss <= self._limit:  # nearly all losses, and so without another call
            trend = self.trend
            trend.first.append(loss)
            return NOTHING if len(trend.first) < trend.block else self._end_block(step)
        if not _LEAST <= loss <= LARGEST:
            return NOTHING if skipped else self._see_not_finite(loss)
        if self.best is None:
            self._first = self.begin = loss
            self._take_best(loss, step)
        elif self._first is not None and loss < self._first:
            self._first = None
        signals = self._see_large(loss, step, spike=spike) if loss > self._limit else self._see_ordinary()
        self._not_finite = 0
        self.trend.first.append(loss)
        if len(self.trend.first) == self.trend.block:
            signals += self._end_block(step)
        return signals

    def _see_not_finite(self, loss: float) -> tuple[Signal, ...]:
        self._not_finite += 1
        self._calm, self._is_calm = 0, False
        evidence = {"loss": loss, "best": self.best, "steps": self._not_finite}
        signals: tuple[Signal, ...] = (Signal("lr_large", None, "note", evidence),)
        if self._not_finite >= _NOT_FINITE:
            signals += (Signal("exploding", None, "stop", evidence),)
        return signals

    def _see_ordinary(self) -> tuple[Signal, ...]:
        self._above = 0
        self._exploded = []  # bad batches are no explosion: the losses between them are as low as before
        self._calm += 1
        if self._calm < _CALM:
            return NOTHING
        self._is_calm = True
        return (Signal("lr_large"), Signal("exploding"))

    def _see_large(self, loss: float, step: int, *, spike: bool) -> tuple[Signal, ...]:
        self._above += 1
        self._calm, self._is_calm = 0, False
        evidence = {"loss": loss, "best": self.best, "steps": self._above}
        signals: tuple[Signal, ...] = NOTHING
        if self._above >= _STEPS_ABOVE:
            signals = (Signal("lr_large", None, "note", evidence),)
        level = self.trend.level
        if level is not None and loss > self._times(_EXPLODED, level):
            self._exploded = [at for at in self._exploded if step - at <= _WITHIN]
            if len(self._exploded) >= _REPEATED:  # a few bad batches in a row are followed by a good one
                times = {"loss": loss, "median": level, "spikes": len(self._exploded)}
                signals += (Signal("exploding", None, "stop", times),)
            if spike:
                self._exploded.append(step)
        return signals

    def _times(self, factor: float, height: float) -> float:
        """Return what is so many times as high, or as much higher where heights may be near zero or negative."""
        scale = self.trend.test.scale
        return height + (factor - 1) * (abs(height) if scale is None else scale)

    def _end_block(self, step: int) -> tuple[Signal, ...]:
        trend = self.trend
        trend.end_block()
        last = trend.heights[-self._blocks :]
        if len(last) == min(self._blocks, trend.count):
            if self._first is None and not self._is_known:
                self.best = None
            self._is_known = True
            self._take_best(median_of(last), step)
        verdict = "undecided" if self._above else trend.verdict
        return self._standstill.observe(trend.heights, verdict, {"loss": trend.level, "window": trend.test.window})

    def _take_best(self, height: float, step: int) -> None:
        if self.best is None or height < self.best:
            self.best, self._best_at = height, step
            self._limit = min(self._times(_ABOVE, height), LARGEST)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "trend": self.trend.state_dict(),
            "best": self.best,
            "best_at": self._best_at,
            "first": self._first,
            "begin": self.begin,
            "is_known": self._is_known,
            "above": self._above,
            "not_finite": self._not_finite,
            "exploded": list(self._exploded),
            "calm": self._calm,
            "plateau": self._standstill.state(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned."""
        saved = Saved(state, _KEYS)
        self.trend.load_state_dict(saved["trend"])
        self._above, self._not_finite, self._calm = (saved.count(key) for key in ("above", "not_finite", "calm"))
        self._is_calm = self._calm >= _CALM
        self._exploded = saved.counts("exploded", _WITHIN + 1)
        self._standstill.load(saved.number_or_none("plateau"))
        self._first, self._is_known = saved.number_or_none("first"), saved.flag("is_known")
        self.begin = saved.number_or_none("begin")
        best = saved.number_or_none("best")
        if best is not None:
            self._take_best(best, saved.count("best_at"))
