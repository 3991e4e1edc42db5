"""All detectors of a monitor, and what they have found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore.monitor.finding import Finding
from adamcore.monitor.gradients import GradientWatch
from adamcore.monitor.losses import LossWatch
from adamcore.monitor.signals import NOTHING, Active
from adamcore.monitor.tensors import TensorWatch
from adamcore.monitor.units import UnitWatch
from adamcore.monitor.validation import ValidationWatch
from adamcore.schedules._detector import Plateau
from adamcore.step_stats import StepStats

_PARTS = ("losses", "gradients", "validation", "tensors", "units", "active")


class Watches:
    """The detectors, the findings that hold, and all that have been reported."""

    def __init__(self, training: Plateau, validation: Plateau, every: int) -> None:
        self._has_statistics = every > 0
        self.losses = LossWatch(training)
        self.gradients = GradientWatch()
        self.validation = ValidationWatch(validation)
        self.tensors = TensorWatch(max(every, 1))
        self.units = UnitWatch()
        self.active = Active()
        self.findings: list[Finding] = []

    def step(self, step: int, loss: float, skipped: bool, norm: float | None, guarded: bool) -> list[Finding]:  # noqa: FBT001
        """Take the numbers of one step, and return what is new. This is called in every step, so it does little."""
        gradients = self.gradients
        signals = NOTHING if norm is None else gradients.observe_norm(norm, guarded)
        overflow = skipped and not guarded
        if overflow or gradients.overflows:
            signals += gradients.observe_skip(overflow)
        signals += self.losses.observe(loss, step, overflow, gradients.spiked)
        if self._has_statistics:
            self.tensors.losses.append(loss)
        return self.report(signals, step) if signals else []

    def statistics(self, stats: StepStats, step: int, matrices: NDArray[np.bool_]) -> list[Finding]:
        """Take the statistics of one step, and return what is new."""
        return self.report(self.tensors.observe(stats, step, matrices), step)

    def report(self, signals: Any, step: int) -> list[Finding]:
        """Return what is new among the signals of a step, and remember it."""
        found = self.active.news(signals, step)
        self.findings += found
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        return parts | {"findings": [finding.to_dict() for finding in self.findings]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned. Raises TypeError or ValueError; use a new object then."""
        name = ""
        try:
            for name in _PARTS:
                getattr(self, name).load_state_dict(saved[name])
            name = "findings"
            self.findings = [Finding.from_dict(finding) for finding in saved[name]]
        except KeyError as error:
            raise ValueError(f"Monitor: state_dict: {name}: {error} is missing") from None
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"Monitor: state_dict: {name}: {error}") from error
