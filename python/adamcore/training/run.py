"""`Run`: what `fit` returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from adamcore._history.columns import History
from adamcore.averages import EMA, SWA
from adamcore.monitor.act import Act
from adamcore.monitor.finding import Finding
from adamcore.monitor.monitor import Monitor
from adamcore.optimizer import Optimizer
from adamcore.training.summary import headline, summarize

Ended = Literal["running", "steps", "epochs", "early_stopping", "callback", "policy", "interrupted"]
"""Why a run ended; "running" is what callbacks see."""


def new_history() -> History:
    """Return the columns that every run has."""
    return History({"step": "q", "wall": "d", "loss": "d", "lr": "d", "grad_norm": "d", "skipped": "b"})


@dataclass(eq=False, repr=False)
class Run:
    """A run of `fit`: what it has trained, and what was measured.

    Attributes
    ----------
    params
        The parameters, which the run has updated in place.
    opt : Optimizer
    history : mapping
        Columns of numbers, one row for each step: step, wall (seconds since the beginning), loss, lr (of the first
        group), grad_norm, skipped, and the metrics of validations, whose names begin with "val_". What was not measured
        in a step is NaN.
    ended : str
        Why the run ended: "steps", "epochs", "early_stopping", "callback", "policy" or "interrupted". It is "running"
        until then.
    monitor : Monitor or None
    best, best_step : float and int, or None
        The best validation so far, if there is early stopping. At the end, the parameters are those of that step.
    ema : EMA, SWA or None
        The average of weights.
    seconds, step_seconds : float
        The time of all steps with their batches and gradients, and the optimizer's share of it.
    """

    params: Any
    opt: Optimizer
    history: History = field(default_factory=new_history)
    ended: Ended = "running"
    monitor: Monitor | None = None
    best: float | None = None
    best_step: float | None = None
    ema: EMA | SWA | None = None
    seconds: float = 0.0
    step_seconds: float = 0.0

    @property
    def step(self) -> int:
        """How many steps there have been, with those that were skipped."""
        return self.history.rows

    @property
    def findings(self) -> list[Finding]:
        """What the monitor has found; nothing without one."""
        return [] if self.monitor is None else self.monitor.findings

    @property
    def acts(self) -> list[Act]:
        """What a policy or functions of `adamcore.escape` have done; nothing is known of it without a monitor."""
        return [] if self.monitor is None else self.monitor.acts

    def describe(self) -> str:
        """Return the run in about ten lines: losses, validations, findings, speed, and what to try next."""
        return summarize(self)

    @property
    def to_csv(self) -> Callable[..., str]:
        """The history's."""
        return self.history.to_csv

    @property
    def to_json(self) -> Callable[..., str]:
        """The history's."""
        return self.history.to_json

    @property
    def to_tensorboard(self) -> Callable[..., None]:
        """The history's."""
        return self.history.to_tensorboard

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the history, with what the monitor has found; as ``history.plot``."""
        # Findings count the steps of the optimizer, which may have been trained before.
        before = 0 if self.monitor is None else self.monitor._first
        findings = [replace(finding, step=finding.step - before) for finding in self.findings]
        return self.history.plot(path, findings)

    def __repr__(self) -> str:
        return f"<Run of {headline(self)}>"
