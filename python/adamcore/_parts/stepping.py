"""One step: the call of the native optimizer, and its result as a `StepInfo`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore._arrays.structures import Group
from adamcore.loss_scaler import LossScaler, NonFiniteError
from adamcore.step_info import StepInfo

STEPPED = StepInfo()
"""What a step returns that measured nothing."""

Measured = tuple[bool, float, str | None, bool]
"""What a native step returns: whether it was skipped, the norm, the name of a gradient that is not finite, and whether
the norm is a spike."""


def step_on_host(
    optimizer: object,
    native: Any,
    param_groups: list[Group],
    options: Mapping[str, Any],
    grads: Any,
    loss_scale: float | LossScaler,
    weight: float,
) -> StepInfo:
    """Do one step on the CPU. `optimizer` is only what a loss scaler is told: whose steps change it."""
    if isinstance(loss_scale, LossScaler):
        loss_scale.require_free_for(optimizer)
        raises = loss_scale.is_at_floor
        skipped, norm, _, spike = native.step(grads, param_groups, loss_scale.scale, True, weight, raises)  # noqa: FBT003
        loss_scale.belong_to(optimizer)
        loss_scale.update(overflow=skipped and not spike)
        return StepInfo(skipped, norm, spike=spike)
    measured = native.step(grads, param_groups, loss_scale, False, weight, False)  # noqa: FBT003
    return STEPPED if measured is None else info_of(measured, loss_scale, options)


def info_of(measured: Measured, loss_scale: float | LossScaler, options: Mapping[str, Any]) -> StepInfo:
    """Return what a step has measured, or raise a NonFiniteError if the options say so."""
    skipped, norm, culprit, spike = measured
    if spike:
        return StepInfo(skipped, norm, spike=True)
    if skipped:
        _raise_if_wanted(culprit, loss_scale, options)
    return StepInfo(skipped, norm)


def step_on_device(
    optimizer: object,
    native: Any,
    memory: Any,
    param_groups: list[Group],
    options: Mapping[str, Any],
    grads: Any,
    loss_scale: float | LossScaler,
    weight: float,
) -> StepInfo:
    """Queue one step on a CUDA device. `optimizer` is only what a loss scaler is told: whose steps change it."""
    scaler = loss_scale if isinstance(loss_scale, LossScaler) else None
    if scaler:
        scaler.require_free_for(optimizer)
    on_device = scaler.bind(memory, native.device) if scaler else None
    report = native.step(grads, param_groups, 1.0 if scaler else loss_scale, scaler is not None, on_device, weight)
    if scaler:
        scaler.belong_to(optimizer)
    if report is None:
        return STEPPED

    def read() -> tuple[bool, float | None, bool]:
        skipped, norm, culprit, spike = report.read()
        if scaler is not None:
            scaler.pull()
        elif skipped and not spike:
            _raise_if_wanted(culprit, loss_scale, options)
        return skipped, norm, spike

    info = StepInfo(read=read)
    if options["nonfinite"] == "raise":
        info._values()
    return info


def _raise_if_wanted(culprit: str | None, loss_scale: float | LossScaler, options: Mapping[str, Any]) -> None:
    """Raise NonFiniteError for a step that was skipped, if the options say so."""
    if loss_scale == 1 and options["nonfinite"] == "raise":
        raise NonFiniteError(f"{culprit}: there are values that are not finite; nothing has changed")
