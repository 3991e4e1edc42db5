"""How a monitor reads what it gets, without raising errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._checks.numbers import as_float
from adamcore.step_info import StepInfo
from adamcore.step_stats import StepStats

_NAN = float("nan")


def values_of(info: StepInfo) -> tuple[bool, float | None, bool]:
    """Return what a step has measured, for which a device is waited for."""
    try:
        return info._values()
    except Exception:  # noqa: BLE001  (the error of a step is the step's to raise)
        return True, None, False


def number_of(loss: Any) -> float:
    """Return a loss or a metric as a float, NaN for what is no number."""
    try:
        return as_float(loss, "loss", "a number")
    except (TypeError, ValueError):
        return _NAN


def summary_of(stats: StepStats, matrices: NDArray[np.bool_]) -> dict[str, float]:
    """Return one number for each column of statistics."""
    found = {}
    if "ratio" in stats.columns:
        found["ratio"] = _median(stats.ratio)
    if "cos" in stats.columns:
        found["cos"] = _median(stats.cos)
    if "grad_rms" in stats.columns:
        sizes = stats.grad_rms[matrices & np.isfinite(stats.grad_rms)]
        if sizes.size and sizes.max() > 0:
            found["share"] = float(sizes.min() / sizes.max())
    return found


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else _NAN
