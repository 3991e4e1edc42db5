"""What the tables of networks share: a watched run, and counts of what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import adamcore as ac

ADAMW = partial(ac.AdamW, lr=3e-3)


def watch(
    problem: Any,
    make: Any,
    *,
    steps: int,
    seed: int,
    validate_every: int | None = None,
    scaler: ac.LossScaler | None = None,
    units: bool = False,
    callbacks: Iterable[Callable[[Any], object]] = (),
) -> Any:
    """Return a run of `steps` steps with a monitor. It may diverge."""
    with np.errstate(all="ignore"):
        return ac.fit(
            problem,
            make,
            steps=steps,
            seed=seed,
            validate_every=validate_every or steps,
            scaler=scaler,
            monitor=partial(ac.Monitor, scaler=scaler, units=units),
            callbacks=callbacks,
            progress=None,
        )


def found(run: Any, kind: str) -> list[ac.Finding]:
    """Return what the monitor of a run has found of one kind."""
    return [finding for finding in run.monitor.findings if finding.kind == kind]


def level(run: Any, last: int = 64) -> float:
    """Return the mean of the last losses, or inf if they are not finite."""
    mean = float(np.mean(run.history["loss"][-last:]))
    return mean if np.isfinite(mean) else np.inf


def metrics(run: Any) -> NDArray[np.float64]:
    """Return the held-out losses of all validations of a run."""
    losses = run.history["val_loss"]
    return np.asarray(losses[np.isfinite(losses)])


def rise(losses: NDArray[np.float64], window: int = 8) -> float:
    """Return by which share the last held-out losses are above the best ones: medians of 8 in a row."""
    medians = np.median(sliding_window_view(losses, min(window, len(losses))), axis=1)
    return float(medians[-1] / medians.min() - 1)


def share(flags: Iterable[bool]) -> str:
    """Return how many of them are true, as text."""
    each = list(flags)
    return f"{sum(each)}/{len(each)}"
