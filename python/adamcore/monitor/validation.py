"""What validations tell: overfitting, and plateaus of the metric."""

from __future__ import annotations

import math
from typing import Any

from adamcore.monitor.signals import NOTHING, Signal
from adamcore.schedules._detector import Plateau, median_of


class ValidationWatch:
    """Watches the metrics of validations, of which small ones are good, and the training loss at each of them."""

    def __init__(self, test: Plateau) -> None:
        self.test = test
        self._metrics: list[float] = []
        self._losses: list[float | None] = []

    def observe(self, metric: float, loss: float | None) -> tuple[Signal, ...]:
        """Take one metric, and the level of the training loss, or None if there is none yet."""
        if not math.isfinite(metric):
            return NOTHING
        self._metrics.append(metric)
        self._losses.append(loss)
        del self._metrics[: -self.test.longest], self._losses[: -self.test.longest]
        if len(self._metrics) < self.test.window:
            return NOTHING
        window = self._metrics[-self.test.window :]
        if self.test.judge([-value for value in window]) == "improving":
            return self._see_rise(window, loss)
        verdict = self.test.judge(self._metrics)
        over = Signal("overfitting")
        if verdict == "flat":
            found = {"metric": median_of(window[-4:]), "window": self.test.window}
            return over, Signal("plateau", None, "warning", found, "validation")
        return (over, Signal("plateau", about="validation")) if verdict == "improving" else NOTHING

    def _see_rise(self, window: list[float], loss: float | None) -> tuple[Signal, ...]:
        before = self._losses[-self.test.window]
        if before is None or loss is None or not loss < before:
            return NOTHING
        evidence = {"metric": window[-1], "best": min(self._metrics), "loss": loss, "loss_before": before}
        return (Signal("overfitting", None, "warning", evidence),)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"metrics": list(self._metrics), "losses": list(self._losses)}

    def load_state_dict(self, saved: Any) -> None:
        """Go on from what `state_dict` returned."""
        metrics = [float(value) for value in saved["metrics"]]
        losses = [None if value is None else float(value) for value in saved["losses"]]
        if len(metrics) != len(losses) or len(metrics) > self.test.longest:
            raise ValueError("metrics and losses must be of the same validations")
        self._metrics, self._losses = metrics, losses
