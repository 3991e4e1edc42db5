"""What decides how good a run is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from adamcore._core import short_repr
from adamcore.training.problem import deciding, metrics_of

_LAST = 0.1
"""Where there are no validations, the metric is the median of that share of all losses: of the last ones."""


_HIGH = ("acc", "auc", "f1", "precision", "r2", "recall", "right", "score")
"""Parts of the names of metrics that are good where they are high."""


class Metric(NamedTuple):
    """What decides, by its name."""

    name: str
    is_low_good: bool

    def of(self, found: dict[str, float], owner: str) -> float:
        """Return its value among the metrics of a problem."""
        if self.name in found:
            return found[self.name]
        raise ValueError(f"{owner}: evaluate(params) gave no {self.name!r}, but {', '.join(found)}")

    def cost(self, value: float | None) -> float:
        """Return a number that is low where the value is good; infinity for a run that diverged."""
        if value is None:
            return math.inf
        return value if self.is_low_good else -value

    @property
    def doubt(self) -> str | None:
        """What to look at if the name suggests that high values are good, and low ones count as good; or None."""
        if not (self.is_low_good and any(word in self.name.lower() for word in _HIGH)):
            return None
        return f'low values of {self.name} count as good; pass mode="max" (--mode max) if high ones are'


def choose_metric(problem: Any, metric: Any, mode: str, owner: str) -> Metric:
    """Return what decides. This asks the problem once what it measures."""
    if metric is not None and not isinstance(metric, str):
        raise TypeError(f"{owner}: metric must be a str or None, got {short_repr(metric)}")
    if not callable(getattr(problem, "evaluate", None)):
        if mode == "max":
            raise ValueError(f'{owner}: mode="max" needs a problem with evaluate(params): low losses are good')
        if metric not in (None, "loss"):
            raise ValueError(f"{owner}: metric {metric!r} needs a problem with evaluate(params)")
        return Metric("loss", is_low_good=True)
    with np.errstate(all="ignore"):
        found = metrics_of(problem, problem.init(np.random.default_rng(0)), owner)
    name = deciding(found) if metric is None else metric
    name = name if name.startswith("val_") else f"val_{name}"
    decides = Metric(name, is_low_good=mode == "min")
    decides.of(found, owner)
    return decides


def late_loss(losses: Sequence[float]) -> float:
    """Return the metric of a run without validations: the median of its last losses that are finite, or NaN."""
    last = losses[-math.ceil(_LAST * len(losses)) :]
    finite = [loss for loss in last if math.isfinite(loss)]  # steps may be skipped
    return float(np.median(finite)) if finite else math.nan
