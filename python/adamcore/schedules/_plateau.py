"""`ReduceOnPlateau`: a schedule that validation metrics lower."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from adamcore._core import short_repr
from adamcore.schedules._base import Schedule
from adamcore.schedules._family import Family, family
from adamcore.schedules._progress import (
    Count,
    Criterion,
    Factor,
    OptionalPlateau,
    Progress,
    as_plain_dict,
    read_count,
    read_factor,
    read_metric,
    read_progress,
    read_step,
)
from adamcore.schedules._readers import Nonnegative, Part

__all__ = ["ReduceOnPlateau"]

Ledger = tuple[tuple[float, float], ...]


class _State(NamedTuple):
    """What a schedule has observed. It is replaced as a whole, and holds numbers only."""

    ledger: Ledger = ()
    step: float | None = None
    cooldown: int = 0
    progress: Progress = Progress()


@family
@dataclass(frozen=True, repr=False, eq=False)
class ReduceOnPlateau(Family):
    """Lower a schedule whenever a validation metric has stopped improving.

    ``observe`` takes one metric after the other. By default the value is lowered once more than `patience` metrics in a
    row are not better than the best one: PyTorch's ``ReduceLROnPlateau`` to the letter. One lucky metric then hides all
    later progress, and noise can look like a plateau. With a `detector`, the value is lowered when the detector finds
    the metrics flat; it begins anew after that, and `patience` and `threshold` have no effect.

    Make it the outermost schedule. Inside one that changes the clock (`Warmup`, `Join`, ``shift``, ``stretch``,
    ``every``), it counts time by that clock, for which ``opt.completed`` would be a wrong `step`.

    The steps at which the value was lowered are kept in a ledger. At time ``t`` the value is that of the schedule,
    multiplied by the factors of the entries up to ``t``, so values of the past do not change. The state is in
    ``to_dict``, and so in the state dict of an optimizer.

    Parameters
    ----------
    schedule_or_value : Schedule or float
        What is lowered.
    mode : {"min", "max"}
        Whether a lower or a higher metric is better.
    factor : float
        What the value is multiplied by when it is lowered, > 0 and < 1.
    patience : int
        How many metrics in a row may fail to improve, >= 0.
    threshold : float
        A metric is better than the best one if it differs from it by more than this, >= 0.
    threshold_mode : {"rel", "abs"}
        Whether `threshold` is a share of the best metric.
    cooldown : int
        How many metrics are not counted after the value was lowered, >= 0.
    min_value : float
        The value is not lowered below this, >= 0. Where the schedule itself is lower, it stays as it is.
    eps : float
        The value stays as it is where it would be lowered by `eps` or less, >= 0.
    detector : Plateau, optional
        A test that noise and lucky metrics do not mislead.
    on_nan : {"raise", "ignore"}
        What happens with a metric that is not finite: `ValueError`, or nothing.

    Attributes
    ----------
    ledger : tuple of (step, factor)
        When the value was lowered, and by which factor.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from adamcore.schedules import ReduceOnPlateau
    >>> rate = ReduceOnPlateau(0.5, patience=1, factor=0.5)
    >>> [rate.observe(loss, step=i) for i, loss in enumerate([0.9, 0.8, 0.8, 0.8, 0.7])]
    [False, False, False, True, False]
    >>> rate(2), rate(3), rate.ledger
    (0.5, 0.25, ((3, 0.5),))
    """

    schedule_or_value: Part
    _: KW_ONLY
    mode: Literal["min", "max"] = "min"
    factor: Factor = 0.1
    patience: Count = 10
    threshold: Nonnegative = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: Count = 0
    min_value: Nonnegative = 0.0
    eps: Nonnegative = 1e-8
    detector: OptionalPlateau = None
    on_nan: Literal["raise", "ignore"] = "raise"

    _has_state = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "_memory", {"state": _State()})
        super().__post_init__()

    def _native_arguments(self) -> dict[str, Any]:
        return {"schedule": self.schedule_or_value, "min_value": self.min_value, "memory": self._memory}

    @property
    def ledger(self) -> Ledger:
        """When the value was lowered, and by which factor."""
        ledger: Ledger = self._memory["state"].ledger
        return ledger

    def observe(self, metric: Any, *, step: float) -> bool:
        """Take the metric of one validation, and lower the value from `step` on if the metrics have stopped improving.

        Parameters
        ----------
        metric : number
            Also a NumPy number, an array without dimensions, or a PyTorch scalar.
        step : int or float
            When it was measured: the number of completed steps, ``opt.completed``, if this is the outermost schedule.
            Not before the step of the last metric.

        Returns
        -------
        bool
            True if the value was lowered.

        Raises
        ------
        TypeError, ValueError
            If the metric is not a finite number or the step is before the last one. Nothing has changed then.
        """
        number, state = read_metric(metric, "ReduceOnPlateau: metric"), self._memory["state"]
        at = read_step(step, "ReduceOnPlateau: step", since=state.step)
        if not math.isfinite(number):
            if self.on_nan == "ignore":
                return False
            raise ValueError(
                f'ReduceOnPlateau: metric must be finite, got {number}; on_nan="ignore" skips such metrics'
            )
        progress, cooldown, stalled = self._advance(state, number)
        lowers = stalled and self._can_lower(at)
        ledger = (*state.ledger, (at, self.factor)) if lowers else state.ledger
        self._memory["state"] = _State(ledger, at, cooldown, progress)
        return lowers

    def _advance(self, state: _State, metric: float) -> tuple[Progress, int, bool]:
        """Return the new progress and cooldown, and whether the metrics have stopped improving."""
        criterion = Criterion(self.mode, self.patience, self.threshold, self.threshold_mode == "rel", self.detector)
        progress = criterion.advance(state.progress, metric)
        if state.cooldown > 0:
            return progress.restarted(), state.cooldown - 1, False
        if criterion.has_stalled(progress):
            return progress.restarted(), self.cooldown, True
        return progress, 0, False

    def _can_lower(self, at: float) -> bool:
        """Whether lowering changes the value by more than `eps`, as PyTorch decides it."""
        base, now = self.schedule_or_value, self(at)
        least = min(self.min_value, base(at) if isinstance(base, Schedule) else base)
        return now - max(now * self.factor, least) > self.eps

    def _state_to_dict(self) -> dict[str, Any]:
        state = self._memory["state"]
        return {
            "ledger": [list(entry) for entry in state.ledger],
            "step": state.step,
            "cooldown": state.cooldown,
            **state.progress.to_dict(),
        }

    def _state_from_dict(self, saved: Any) -> _State:
        label = "ReduceOnPlateau: state"
        given = as_plain_dict(label, saved, ("ledger", "step", "cooldown", *Progress._fields))
        ledger = _read_ledger(given["ledger"], f"{label}: ledger")
        step = None if given["step"] is None else read_step(given["step"], f"{label}: step")
        if ledger and (step is None or step < ledger[-1][0]):
            raise ValueError(
                f"{label}: step must not be before the last one of the ledger, {ledger[-1][0]}, got {step}"
            )
        return _State(ledger, step, read_count(given["cooldown"], f"{label}: cooldown"), read_progress(given, label))


def _read_ledger(value: Any, label: str) -> Ledger:
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(row, (list, tuple)) and len(row) == 2 for row in value
    ):
        raise TypeError(f"{label} must be a list of pairs (step, factor), got {short_repr(value)}")
    ledger = tuple(
        (read_step(step, f"{label}: step"), read_factor(factor, f"{label}: factor")) for step, factor in value
    )
    for (before, _), (step, _) in pairwise(ledger):
        if step < before:
            raise ValueError(f"{label}: steps must be in ascending order, got {step} after {before}")
    return ledger
