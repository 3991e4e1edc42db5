"""A run in ten lines."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from adamcore.schedules._detector import Plateau

_WIDTH = 100
_TREND = Plateau(256, 0.01)


def summarize(run: Any) -> str:
    """Return the text of `Run.describe`."""
    history = run.history
    loss = history["loss"]
    lines = [f"{type(run.opt).__name__}: {run.step} steps, ended by {run.ended}"]
    if run.step:
        lines += _losses(loss) + _validations(history) + _rates(history)
    lines += _speed(run) + _findings(run)
    lines.append(f"next: {_advice(run, loss)}")
    return "\n".join(line for text in lines for line in textwrap.wrap(text, _WIDTH, subsequent_indent="    "))


def _losses(loss: Any) -> list[str]:
    finite = loss[np.isfinite(loss)]
    if not finite.size:
        return ["loss: never finite"]
    best = int(np.nanargmin(np.where(np.isfinite(loss), loss, np.nan)))
    lines = [f"loss: {loss[0]:.4g} at first, {loss[-1]:.4g} at last, {loss[best]:.4g} at best (step {best + 1})"]
    half = np.flatnonzero(loss <= (finite[0] + finite.min()) / 2)
    if finite.min() < finite[0]:
        lines.append(f"half of the way from the first loss to the best was done by step {half[0] + 1}")
    return lines


def _validations(history: Any) -> list[str]:
    lines = []
    for name in history:
        if not name.startswith("val_"):
            continue
        values, steps = history[name], history["step"]
        there = np.isfinite(values)
        if not there.any():
            continue
        known = values[there]
        worst_and_best = f"{known.min():.4g} to {known.max():.4g}"
        lines.append(f"{name}: {known[-1]:.4g} at last, {worst_and_best} in {there.sum()} validations")
        if name == "val_loss":
            recent = history["loss"][-max(len(steps) // 20, 1) :]
            gap = known[-1] - float(np.median(recent))
            lines[-1] += f"; gap to the training loss {gap:+.3g}"
    return lines


def _rates(history: Any) -> list[str]:
    lr = history["lr"]
    known = lr[np.isfinite(lr)]
    skipped = int(history["skipped"].sum())
    lines = []
    if known.size:
        span = f"{known.min():.3g}" if known.min() == known.max() else f"{known.min():.3g} to {known.max():.3g}"
        lines.append(f"rate: {span}")
    if skipped:
        lines.append(f"skipped: {skipped} of {len(lr)} steps")
    return lines


def _speed(run: Any) -> list[str]:
    if not run.seconds:
        return []
    return [f"speed: {run.step / run.seconds:.0f} steps/s, {run.step_seconds / run.seconds:.0%} of it the optimizer's"]


def _findings(run: Any) -> list[str]:
    if run.monitor is None:
        return []
    counts: dict[str, int] = {}
    for finding in run.findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    shown = ", ".join(f"{count} x {kind}" if count > 1 else kind for kind, count in counts.items())
    return [f"findings: {shown or 'none'}"]


def _advice(run: Any, loss: Any) -> str:
    order = {"stop": 0, "warning": 1, "note": 2}
    worth = [f for f in run.findings if f.kind != "spike"]
    if worth:
        worst = min(worth, key=lambda finding: order[finding.severity])
        return f"{worst.kind}: {worst.advice}"
    values = loss[np.isfinite(loss)].tolist()
    if len(values) >= _TREND.window and _TREND.judge(values) == "improving":
        return "the loss is still falling: train for longer."
    if run.monitor is None:
        return "pass monitor=True to see what could be better."
    return "nothing stands out; compare rules and rates with ac.compare."
