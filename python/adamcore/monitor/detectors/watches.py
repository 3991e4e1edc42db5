"""All detectors of a monitor, and what they have found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from adamcore.monitor.act import Act
from adamcore.monitor.acts import Acts
from adamcore.monitor.arguments import Arguments
from adamcore.monitor.detectors.gradients import GradientWatch
from adamcore.monitor.detectors.losses import LossWatch
from adamcore.monitor.detectors.signals import NOTHING, Active, Signal
from adamcore.monitor.detectors.sizes import Sizes
from adamcore.monitor.detectors.tensors import TensorWatch
from adamcore.monitor.detectors.units import UnitWatch
from adamcore.monitor.detectors.validation import ValidationWatch
from adamcore.monitor.finding import Finding
from adamcore.monitor.log import Log
from adamcore.monitor.reading import Columns
from adamcore.monitor.traits import Traits

_MOVES = ("perturb", "along_curvature", "rewind", "undo")
"""After these acts, gradients and moments are those of another place."""

PARTS = ("losses", "gradients", "sizes", "validation", "tensors", "units", "active", "log", "acts")


class Watches:
    """The detectors, the findings that hold, and those that have been reported."""

    def __init__(self, arguments: Arguments) -> None:
        self._has_statistics = arguments.every > 0
        self._arguments = arguments
        self.validation = ValidationWatch(arguments.validation, arguments.sign)
        self.log = Log()
        self.acts = Acts()
        self._begin()

    def _begin(self) -> None:
        """Watch weights of which nothing is known."""
        every = max(self._arguments.every, 1)
        self.losses = LossWatch(self._arguments.training)
        self.gradients = GradientWatch()
        self.sizes = Sizes(every)
        self.tensors = TensorWatch(every)
        self.units = UnitWatch()
        self.active = Active()

    def step(self, step: int, loss: float | None, skipped: bool, norm: float | None, guarded: bool) -> list[Finding]:  # noqa: FBT001
        """Take the numbers of one step, and return what is new. This is called in every step, so it does little."""
        gradients = self.gradients
        signals, spike = NOTHING, False  # of a step without a norm, nothing is known
        if norm is not None:
            signals = gradients.observe_norm(norm, guarded)
            spike = gradients.spikes > 0
        overflow = skipped and not guarded
        if overflow or gradients.overflows:
            signals += gradients.observe_skip(overflow)
        if loss is not None:
            signals += self.losses.observe(loss, step, overflow, spike)
            if self._has_statistics:
                self.tensors.losses.append(loss)
        elif self._has_statistics:
            self.tensors.losses.append(math.nan)
        return self.report(self._with_agreement(signals), step) if signals else []

    def _with_agreement(self, signals: tuple[Signal, ...]) -> tuple[Signal, ...]:
        """Say of a plateau that gradients agree on it, where they do: a rate that is far too small makes one, too."""
        agree = self.tensors.agree if self._has_statistics else None
        if agree is None:
            return signals
        return tuple(
            signal._replace(evidence={**signal.evidence, "cos": agree}) if signal.kind == "plateau" else signal
            for signal in signals
        )

    def statistics(self, columns: Columns, step: int, traits: Traits) -> list[Finding]:
        """Take the statistics of one step, and return what is new."""
        self.sizes.observe(columns, traits.sizes)
        return self.report(self.tensors.observe(columns, step, traits, self.losses.is_falling(step)), step)

    def note(self, act: Act) -> None:
        """Remember what was done to the run. After a restart, and back from one, it has other weights."""
        self.acts.add(act)
        if act.done and "restart" in (act.kind, act.numbers.get("of")):
            begin = self.losses.begin
            self._begin()
            self.losses.begin = begin
        elif act.done and act.kind in _MOVES:
            self.gradients.forget()
            self.tensors.forget_moments()
            for signal in (Signal("spike"), *(Signal("stale", name) for name in self.active.tensors("stale"))):
                self.active.news([signal], 0)

    def report(self, signals: Iterable[Signal], step: int) -> list[Finding]:
        """Return what is new among the signals of a step, and remember it."""
        found = self.active.news(signals, step)
        self.log.add(found)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name).state_dict() for name in PARTS}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned. Raises TypeError or ValueError; use a new object then."""
        name = ""
        try:
            for name in PARTS:
                getattr(self, name).load_state_dict(saved[name])
        except (TypeError, ValueError) as error:
            wrong = TypeError if isinstance(error, TypeError) else ValueError
            raise wrong(f"Monitor: state_dict: {name}: {error}") from None
