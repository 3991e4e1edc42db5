"""Whether a metric still improves: what `ReduceOnPlateau` and `adamcore.EarlyStopping` share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from adamcore._checks.numbers import as_float, as_int
from adamcore._core import short_repr
from adamcore.schedules._detector import Plateau


class Progress(NamedTuple):
    """What is remembered of the metrics so far. It holds numbers only."""

    best: float | None = None
    """The last metric that counted as an improvement."""
    bad: int = 0
    """How many metrics have come since then."""
    values: tuple[float, ...] = ()
    """The last metrics, for a detector; falling ones improve."""

    def restarted(self) -> Progress:
        """Return what is remembered when counting begins anew."""
        return Progress(self.best)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {**self._asdict(), "values": list(self.values)}


@dataclass(frozen=True)
class Criterion:
    """When a metric has stopped improving. `threshold` is relative to the best one if `relative`."""

    mode: str
    patience: int
    threshold: float
    relative: bool
    detector: Plateau | None

    def is_better(self, metric: float, best: float | None) -> bool:
        """Whether `metric` counts as an improvement: PyTorch's comparison, operation for operation."""
        if self.mode == "min":
            best = math.inf if best is None else best
            return metric < (best * (1.0 - self.threshold) if self.relative else best - self.threshold)
        best = -math.inf if best is None else best
        return metric > (best * (self.threshold + 1.0) if self.relative else best + self.threshold)

    def advance(self, progress: Progress, metric: float) -> Progress:
        """Return `progress` with one more metric."""
        better = self.is_better(metric, progress.best)
        values = progress.values
        if self.detector is not None:
            values = (*values, metric if self.mode == "min" else -metric)[-self.detector.longest :]
        return Progress(metric if better else progress.best, 0 if better else progress.bad + 1, values)

    def has_stalled(self, progress: Progress) -> bool:
        """Whether the metrics have stopped improving."""
        if self.detector is None:
            return progress.bad > self.patience
        return self.detector.judge(progress.values) == "flat"


def read_count(value: Any, label: str) -> int:
    """Return `value` as an int >= 0."""
    return as_int(value, label, "an int >= 0", 0)


def read_factor(value: Any, label: str) -> float:
    """Return `value` as a number between 0 and 1."""
    return _number(value, label, "a number > 0 and < 1", lambda x: 0 < x < 1)


def read_plateau(value: Any, label: str) -> Plateau | None:
    """Return `value` if it is a `Plateau` or None."""
    if value is not None and not isinstance(value, Plateau):
        raise TypeError(f"{label} must be a Plateau or None, got {short_repr(value)}")
    return value


Mode = Literal["min", "max"]
Count = Annotated[int, read_count]
Factor = Annotated[float, read_factor]
OptionalPlateau = Annotated[Plateau | None, read_plateau]


def read_metric(value: Any, label: str) -> float:
    """Return a metric, which need not be finite: a number, or an array without dimensions."""
    return as_float(value, label, "a number")


def read_step(value: Any, label: str, *, since: float | None = None) -> float:
    """Return when a metric was measured, not before `since`: an int if it is whole."""
    step = _number(value, label, "a number >= 0", lambda x: 0 <= x < math.inf)
    if since is not None and step < since:
        raise ValueError(f"{label} must not be before the last one, {since}, got {short_repr(value)}")
    return int(step) if step.is_integer() else step


def read_progress(saved: Mapping[str, Any], label: str) -> Progress:
    """Return what `Progress.to_dict` gave."""
    best, values = saved["best"], saved["values"]
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{label}: values must be a list of numbers, got {short_repr(values)}")
    return Progress(
        None if best is None else _number(best, f"{label}: best", "a finite number or None", math.isfinite),
        read_count(saved["bad"], f"{label}: bad"),
        tuple(_number(value, f"{label}: values", "finite numbers", math.isfinite) for value in values),
    )


def as_plain_dict(label: str, saved: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return `saved` as a dict, or raise TypeError or ValueError unless it has these keys and no others."""
    if not isinstance(saved, Mapping):
        raise TypeError(f"{label} must be a dict, got {short_repr(saved)}")
    given: dict[str, Any] = dict(saved)
    for key in keys:
        if key not in given:
            raise ValueError(f"{label}: {key!r} is missing")
    for key in given:
        if key not in keys:
            raise ValueError(f"{label}: unknown key {short_repr(key)}")
    return given


def _number(value: Any, label: str, wanted: str, is_right: Callable[[float], bool]) -> float:
    number = as_float(value, label, wanted)
    if not is_right(number):
        raise ValueError(f"{label} must be {wanted}, got {short_repr(value)}")
    return number
