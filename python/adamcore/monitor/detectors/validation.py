"""What validations tell: overfitting, and plateaus of the metric."""

from __future__ import annotations

from typing import Any

from adamcore.monitor.detectors.signals import NOTHING, Signal
from adamcore.monitor.detectors.standstill import Standstill
from adamcore.monitor.reading import LARGEST
from adamcore.monitor.saved import Saved
from adamcore.schedules._detector import Plateau, block_medians, median_of, rises_surely

_DEVIATIONS = 3.1
"""Metrics rise if so many of their pairs do as happens once in a thousand times without a trend. A window of 20 is
looked at after every validation, so with the 90% of plateaus there would be a false alarm in every 70 of them."""


class ValidationWatch:
    """Watches the metrics of validations, and the training loss at each of them.

    `sign` is 1 if small metrics are good, and -1 if large ones are.
    """

    def __init__(self, test: Plateau, sign: int) -> None:
        self._test, self._sign = test, sign
        self._metrics: list[float] = []  # of which small ones are good
        self._losses: list[float | None] = []
        self._standstill = Standstill(test, "validation")

    def observe(self, metric: float, loss: float | None, first: float | None = None) -> tuple[Signal, ...]:
        """Take one metric, the level of the training loss, or None if there is none yet, and the first loss of all."""
        if not -LARGEST <= metric <= LARGEST:
            return NOTHING
        self._metrics.append(self._sign * metric)
        self._losses.append(loss)
        del self._metrics[: -self._test.longest], self._losses[: -self._test.longest]
        if len(self._metrics) < self._test.window:
            return NOTHING
        heights = block_medians(self._metrics[-self._test.window :])
        verdict = self._test.judge(self._metrics)
        rises = rises_surely(heights, _DEVIATIONS)
        level = {"metric": self._sign * median_of(heights[-4:]), "window": self._test.window}
        signals = self._standstill.observe(heights, "undecided" if rises else verdict, level)
        if rises:
            return signals + self._see_rise(loss, first)
        return (*signals, Signal("overfitting")) if verdict == "improving" else signals

    def _see_rise(self, loss: float | None, first: float | None) -> tuple[Signal, ...]:
        before = self._losses[-self._test.window]
        if before is None or loss is None or not loss < before:
            return NOTHING
        if first is not None and loss > first:
            return NOTHING  # it falls back from where a rate that is too large has left it
        metric, best = self._sign * self._metrics[-1], self._sign * min(self._metrics)
        evidence = {"metric": metric, "best": best, "loss": loss, "loss_before": before}
        return (Signal("overfitting", None, "warning", evidence),)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "metrics": list(self._metrics),
            "losses": list(self._losses),
            "plateau": self._standstill.state(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned."""
        saved = Saved(state, ("metrics", "losses", "plateau"))
        metrics, losses = saved.numbers("metrics", self._test.longest), saved.numbers_or_nones("losses")
        if len(metrics) != len(losses):
            raise ValueError("metrics and losses must be of the same validations")
        self._metrics, self._losses = metrics, losses
        self._standstill.load(saved.number_or_none("plateau"))
