"""How a monitor reads what it gets, without raising errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.gradients import gradients_by_name
from adamcore._arrays.libraries import as_numpy
from adamcore.step_info import StepInfo
from adamcore.step_stats import StepStats

LARGEST = 1e300
"""Detectors take larger numbers for infinite ones, because their sums may be."""

COLUMNS = ("grad_rms", "ratio", "zero", "lost", "cos", "second_rms", "floor")
"""The columns of statistics that are looked at."""

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

_NUMBERS = (float, int, np.floating, np.integer)
_NO_NUMBERS = (str, bytes, bytearray, bool, np.bool_)


UNKNOWN = StepInfo()
"""What stands for the result of a step that is none of ours: it tells nothing."""


def number_of(value: Any) -> float | None:
    """Return a loss or a metric as a float, infinite if it is too large for one, or None for what is no number.

    An array with one element is a number too.
    """
    if isinstance(value, _NUMBERS) and not isinstance(value, bool):
        return _float(value)
    try:
        value = _detached(value)
        if getattr(value, "shape", None):
            value = value.item()
        if isinstance(value, _NO_NUMBERS) or _has_no_numbers(value):
            return None
        return _float(value)
    except Exception:  # noqa: BLE001  (whatever an object of a user's raises)
        return None


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _has_no_numbers(value: Any) -> bool:
    """Whether an array or a scalar has complex numbers, texts or times, some of which float() would take."""
    dtype: Any = getattr(value, "dtype", None)
    return getattr(dtype, "kind", "f") in "cSUmM" or getattr(dtype, "is_complex", False) is True


def _detached(value: Any) -> Any:
    detach = getattr(value, "detach", None)
    return detach() if callable(detach) else value


def kept(loss: Any) -> Any:
    """Return a loss that can be read later: without the graph of its gradient, and whatever is written to its array.

    None if this cannot be done.
    """
    if isinstance(loss, (*_NUMBERS, np.ndarray)):
        return number_of(loss)
    try:
        loss = _detached(loss)
        copy = getattr(loss, "clone", None) or getattr(loss, "copy", None)
        return copy() if callable(copy) and hasattr(loss, "dtype") else loss
    except Exception:  # noqa: BLE001
        return None


def values_of(info: StepInfo) -> tuple[bool, float | None, bool]:
    """Return what a step has measured, for which a device is waited for.

    If it raises an error, this is the same as of a skipped step; who reads `info` afterwards gets the error.
    """
    try:
        return info._values()
    except Exception as error:  # noqa: BLE001
        info._read = _Raising(error)
        return True, None, False


class _Raising:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __call__(self) -> NoReturn:
        raise self._error


def columns_of(stats: StepStats) -> Columns:
    """Return the columns of statistics that are looked at. None of them, if reading them raises an error."""
    try:
        return {name: getattr(stats, name) for name in COLUMNS if name in stats.columns}
    except Exception:  # noqa: BLE001
        return {}


def gradients_of(grads: Any, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return gradients as NumPy arrays by the names of their parameters. None of them, if that raises an error."""
    try:
        return {name: as_numpy(grad, name) for name, grad in gradients_by_name(grads, names).items()}
    except Exception:  # noqa: BLE001
        return {}


def summary_of(columns: Columns, matrices: NDArray[np.bool_]) -> dict[str, float]:
    """Return one number for each column of statistics."""
    found: dict[str, float] = {"ratio": finite_median(columns["ratio"])} if "ratio" in columns else {}
    if "cos" in columns:
        found["cos"] = agreement(columns["cos"], matrices)
    if "grad_rms" in columns:
        sizes = columns["grad_rms"][matrices & np.isfinite(columns["grad_rms"])]
        if sizes.size and sizes.max() > 0:
            found["share"] = float(sizes.min() / sizes.max())
    return found


def agreement(cosines: Floats, matrices: NDArray[np.bool_]) -> float:
    """Return the median cosine of the matrices, or of all parameters if no matrix has one."""
    of_matrices = finite_median(cosines[matrices])
    return finite_median(cosines) if math.isnan(of_matrices) else of_matrices


def finite_median(values: Floats) -> float:
    """Return the median of the finite values, or NaN if there are none: `numpy.median` takes five times as long."""
    known = np.sort(values[np.isfinite(values)])
    if not known.size:
        return math.nan
    middle = known.size // 2
    return float(known[middle] if known.size % 2 else known[middle - 1] / 2 + known[middle] / 2)


def medians_of(rows: Sequence[Floats]) -> Floats:
    """Return the median of each column without NaN, which is NaN if there is nothing else."""
    ordered = np.sort(np.array(rows), axis=0)  # NaN comes last
    unknown = np.isnan(ordered)
    if not unknown[-1].any():
        lower, upper = (ordered[place // 2] for place in (len(ordered) - 1, len(ordered)))
    else:
        count = (~unknown).sum(axis=0)
        column = np.arange(ordered.shape[1])
        lower, upper = (ordered[place // 2, column] for place in (np.maximum(count - 1, 0), count))
    return np.asarray(lower / 2 + upper / 2)
