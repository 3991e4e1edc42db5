"""One step: the call of the native optimizer, and its result as a `StepInfo`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._core import step_columns
from adamcore.loss_scaler import LossScaler, NonFiniteError
from adamcore.step_info import StepInfo
from adamcore.step_stats import Columns, StepStats, columns_of

STEPPED = StepInfo()
"""What a step returns that measured nothing."""

Measured = tuple[bool, float, str | None, bool]
"""What a native step returns: whether it was skipped, the norm, the name of a gradient that is not finite, and whether
the norm is a spike."""


def step_on_host(optimizer: Any, grads: Any, loss_scale: float | LossScaler, weight: float, stats: Columns) -> StepInfo:
    """Do one step of an optimizer on the CPU."""
    native, groups = optimizer._native, optimizer.param_groups
    columns = columns_of(stats, type(optimizer).__name__)
    if isinstance(loss_scale, LossScaler):
        loss_scale.require_free_for(optimizer)
        raises = loss_scale.is_at_floor
        found = native.step(grads, groups, loss_scale.scale, True, weight, raises, columns)  # noqa: FBT003
        (skipped, norm, _, spike), statistics = _apart(native, columns, found)
        loss_scale.belong_to(optimizer)
        loss_scale.update(overflow=skipped and not spike)
        return StepInfo(skipped, norm, spike=spike, stats=statistics)
    found = native.step(grads, groups, loss_scale, False, weight, False, columns)  # noqa: FBT003
    if found is None:
        return STEPPED
    measured, statistics = _apart(native, columns, found)
    return info_of(measured, loss_scale, optimizer.options, statistics)


def _apart(native: Any, columns: int, found: Any) -> tuple[Measured, StepStats | None]:
    """Return what a step has measured, and its statistics if it was asked for any."""
    if not columns:
        return found, None
    measured, table, sizes = found
    return measured, StepStats(native.places, columns, table, sizes)


def info_of(
    measured: Measured,
    loss_scale: float | LossScaler,
    options: Mapping[str, Any],
    statistics: StepStats | None = None,
) -> StepInfo:
    """Return what a step has measured, or raise a NonFiniteError if the options say so."""
    skipped, norm, culprit, spike = measured
    if skipped and not spike:
        _raise_if_wanted(culprit, loss_scale, options)
    return StepInfo(skipped, norm, spike=spike, stats=statistics)


def step_on_device(
    optimizer: Any, grads: Any, loss_scale: float | LossScaler, weight: float, stats: Columns
) -> StepInfo:
    """Queue one step of an optimizer on a CUDA device."""
    native, groups, options = optimizer._native, optimizer.param_groups, optimizer.options
    columns = columns_of(stats, type(optimizer).__name__)
    scaler = loss_scale if isinstance(loss_scale, LossScaler) else None
    if scaler:
        scaler.require_free_for(optimizer)
    on_device = scaler.bind(optimizer._memory, native.device) if scaler else None
    scale = 1.0 if scaler else loss_scale
    report = native.step(grads, groups, scale, scaler is not None, on_device, weight, columns)
    if scaler:
        scaler.belong_to(optimizer)
    if report is None:
        return STEPPED
    statistics: StepStats | None = None
    if columns:
        report, observed, sizes = report
        of_device = _OnDevice(observed)
        statistics = StepStats(native.places, columns, of_device.table, np.array(sizes, np.int64))
        if report is None:
            return StepInfo(read=lambda: (False, of_device.norm(), False), stats=statistics)

    def read() -> tuple[bool, float | None, bool]:
        skipped, norm, culprit, spike = report.read()
        if scaler is not None:
            scaler.pull()
        elif skipped and not spike:
            _raise_if_wanted(culprit, loss_scale, options)
        return skipped, norm, spike

    info = StepInfo(read=read, stats=statistics)
    if options["nonfinite"] == "raise":
        info._values()
    return info


class _OnDevice:
    """Statistics in device memory, which are copied once."""

    def __init__(self, observed: Any) -> None:
        self._observed = observed
        self._found: tuple[bytes, float] | None = None

    def _read(self) -> tuple[bytes, float]:
        if self._found is None:
            self._found = self._observed.read()
            self._observed = None
        return self._found

    def table(self) -> NDArray[np.float64]:
        return np.frombuffer(self._read()[0]).reshape(len(step_columns), -1)

    def norm(self) -> float:
        return self._read()[1]


def _raise_if_wanted(culprit: str | None, loss_scale: float | LossScaler, options: Mapping[str, Any]) -> None:
    """Raise NonFiniteError for a step that was skipped, if the options say so."""
    if loss_scale == 1 and options["nonfinite"] == "raise":
        raise NonFiniteError(f"{culprit}: there are values that are not finite; nothing has changed")
