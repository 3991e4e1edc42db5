"""`EarlyStopping`: when to end a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from adamcore._core import short_repr
from adamcore.schedules._detector import Plateau
from adamcore.schedules._progress import (
    Count,
    Criterion,
    Mode,
    OptionalPlateau,
    Progress,
    as_plain_dict,
    read_metric,
    read_progress,
    read_step,
)
from adamcore.schedules._readers import Nonnegative, readers_of

_STATE = ("mode", "step", "best_step", *Progress._fields)


class _Seen(NamedTuple):
    """What is known of the run so far. It is replaced as a whole."""

    step: float | None = None
    best_step: float | None = None
    progress: Progress = Progress()


class _Improvement(Criterion):
    """A criterion whose relative threshold is a share of the absolute value of the best metric.

    PyTorch's is a share of the value itself, so a negative metric would improve by becoming worse.
    """

    def is_better(self, metric: float, best: float | None) -> bool:
        """Whether `metric` counts as an improvement; the first one does."""
        if best is None:
            return True
        by = -self.threshold if self.mode == "min" else self.threshold
        least = best * (1.0 + (by if best >= 0 else -by)) if self.relative else best + by
        return metric < least if self.mode == "min" else metric > least


class EarlyStopping:
    """Says when a validation metric has stopped improving, so that a run can end.

    By default the run ends once more than `patience` metrics in a row have not improved on the best one, as
    `ReduceOnPlateau` lowers a schedule. With a `detector`, it ends when the detector finds the metrics flat; `patience`
    then has no effect.

    Parameters
    ----------
    mode : {"min", "max"}
        Whether a lower or a higher metric is better.
    patience : int
        How many metrics in a row may fail to improve, >= 0.
    min_delta : float
        A metric is an improvement if it is better than the best one by more than this, >= 0.
    relative : bool
        Whether `min_delta` is a share of the absolute value of the best metric.
    detector : Plateau, optional
        A test that noise and lucky values do not mislead.

    Attributes
    ----------
    best : float or None
        The last metric that was an improvement. None before the first one.
    best_step : int, float or None
        Its step.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import adamcore as ac
    >>> stopping = ac.EarlyStopping(mode="min", patience=2)
    >>> [stopping.observe(loss, step=i) for i, loss in enumerate([0.9, 0.5, 0.6, 0.7, 0.6])]
    [False, False, False, False, True]
    >>> stopping.best_step, stopping.best
    (1, 0.5)
    """

    mode: Mode
    patience: int
    min_delta: float
    relative: bool
    detector: Plateau | None

    def __init__(
        self,
        mode: Mode = "min",
        patience: Count = 10,
        min_delta: Nonnegative = 0.0,
        relative: bool = False,  # noqa: FBT001, FBT002  (the order is public)
        detector: OptionalPlateau = None,
    ) -> None:
        given = {"mode": mode, "patience": patience, "min_delta": min_delta, "relative": relative, "detector": detector}
        for name, read in _READERS.items():
            setattr(self, name, read(given[name], f"EarlyStopping: {name}"))
        self._seen = _Seen()

    def observe(self, metric: Any, *, step: float) -> bool:
        """Take the metric of one validation.

        Parameters
        ----------
        metric : number
            Also a NumPy number, an array without dimensions, or a PyTorch scalar. It must be finite.
        step : int or float
            When it was measured, for example ``opt.completed``; not before the step of the last metric.

        Returns
        -------
        bool
            True if the run should end. This is said of the metrics so far: if the run goes on and the metric improves,
            the next answer is False.

        Raises
        ------
        TypeError, ValueError
            If the metric is not a finite number or the step is before the last one. Nothing has changed then.
        """
        number, seen = read_metric(metric, "EarlyStopping: metric"), self._seen
        at = read_step(step, "EarlyStopping: step", since=seen.step)
        if not math.isfinite(number):
            raise ValueError(f"EarlyStopping: metric must be finite, got {number}")
        criterion = _Improvement(self.mode, self.patience, self.min_delta, self.relative, self.detector)
        progress = criterion.advance(seen.progress, number)
        stalled = criterion.has_stalled(progress)
        improved = progress.bad == 0
        self._seen = _Seen(at, at if improved else seen.best_step, progress)
        return stalled

    @property
    def best(self) -> float | None:
        """The last metric that was an improvement."""
        return self._seen.progress.best

    @property
    def best_step(self) -> float | None:
        """The step of `best`."""
        return self._seen.best_step

    def state_dict(self) -> dict[str, Any]:
        """Return what has been observed so far as plain values, for JSON."""
        seen = self._seen
        return {"mode": self.mode, "step": seen.step, "best_step": seen.best_step, **seen.progress.to_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned. The arguments stay this object's own.

        Raises
        ------
        TypeError, ValueError
            If the dict is not from an object with the same `mode`, or not whole. Nothing has changed then.
        """
        label = "EarlyStopping: state_dict"
        saved = as_plain_dict(label, state_dict, _STATE)
        if saved["mode"] != self.mode:
            raise ValueError(f"{label}: mode is {short_repr(saved['mode'])}, but this object's mode is {self.mode!r}")
        step, best_step = (_read_step_or_none(saved[key], f"{label}: {key}") for key in ("step", "best_step"))
        progress = read_progress(saved, label)
        _require_consistent(label, step, best_step, progress)
        self._seen = _Seen(step, best_step, progress)

    def __repr__(self) -> str:
        arguments = (f"{name}={getattr(self, name)!r}" for name in _READERS)
        return f"EarlyStopping({', '.join(arguments)})"


_READERS = readers_of(EarlyStopping.__init__)


def _read_step_or_none(value: Any, label: str) -> float | None:
    return None if value is None else read_step(value, label)


def _require_consistent(label: str, step: float | None, best_step: float | None, progress: Progress) -> None:
    if (best_step is None) != (progress.best is None):
        raise ValueError(f"{label}: best and best_step must both be None or both be numbers")
    if best_step is not None and (step is None or best_step > step):
        raise ValueError(f"{label}: best_step must not be after step, {step}, got {best_step}")
