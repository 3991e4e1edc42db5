"""A run in ten lines."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from adamcore.schedules._detector import Plateau

_WIDTH = 100
_SHOWN = 3
"""So many metrics of validations have a line."""
_TREND = Plateau(256, 0.01)

_HOW = {
    "running": "still running",
    "steps": "ended by the number of steps",
    "epochs": "ended by the number of epochs",
    "early_stopping": "ended by early stopping",
    "callback": "ended by a callback",
    "policy": "ended by the policy",
    "interrupted": "interrupted",
}


def headline(run: Any) -> str:
    """Return how many steps a run has done, and why it ended."""
    count = f"{run.step} step" if run.step == 1 else f"{run.step} steps"
    return f"{type(run.opt).__name__}: {count}, {_HOW.get(run.ended, run.ended)}"


def summarize(run: Any) -> str:
    """Return the text of `Run.describe`."""
    history = run.history
    loss = history["loss"]
    lines = [headline(run)]
    if run.step:
        lines += _losses(loss) + _validations(run) + _rates(history) + _speed(run)
    lines += _findings(run)
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


def _validations(run: Any) -> list[str]:
    history = run.history
    names = sorted((name for name in history if name.startswith("val_")), key=lambda name: name != "val_loss")
    lines = [_validation(name, history) for name in names[:_SHOWN]]
    if rest := names[_SHOWN:]:
        lines.append(f"and {len(rest)} more metrics of validations")
    if run.best_step is not None:
        lines.append(f"best validation: {run.best:.4g} after step {run.best_step}")
    return lines


def _validation(name: str, history: Any) -> str:
    values = history[name]
    measured = values[~np.isnan(values)]
    known = values[np.isfinite(values)]
    if not known.size:
        return f"{name}: never finite"
    count = f"{known.size} validation" if known.size == 1 else f"{known.size} validations"
    line = f"{name}: {measured[-1]:.4g} at last, {known.min():.4g} to {known.max():.4g} in {count}"
    recent = history["loss"][-max(len(values) // 20, 1) :]
    recent = recent[np.isfinite(recent)]
    if name == "val_loss" and recent.size:
        line += f"; gap to the training loss {known[-1] - float(np.median(recent)):+.3g}"
    return line


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
    acts = ", ".join(act.kind for act in run.acts if act.done)
    return [f"findings: {shown or 'none'}", *([f"done: {acts}"] if acts else [])]


def _advice(run: Any, loss: Any) -> str:
    worth = [f for f in run.findings if f.kind != "spike"]
    if worth:
        worst = min(worth, key=lambda finding: _ORDER[finding.severity])
        # A rate that is too large brings the others along.
        first = next((f for f in worth if f.kind == "lr_large" and f.step <= worst.step), worst)
        name = first.kind if first.tensor is None else f"{first.kind} [{first.tensor}]"
        return f"{name}: {first.advice}"
    if not run.step:
        return "there has been no step to say anything about."
    if not np.isfinite(loss[-1]):
        return (
            "the loss is no longer finite: lower the rate, begin with schedules.Warmup, or use "
            "clip_norm=ac.SpikeGuard()."
        )
    if run.ended == "interrupted":
        return "if it has checkpoints, the same call goes on from here."
    return _advice_for_healthy(run, loss[np.isfinite(loss)].tolist())


def _advice_for_healthy(run: Any, losses: list[float]) -> str:
    if len(losses) >= _TREND.window and _TREND.judge(losses) == "improving":
        return "the loss is still falling: train for longer."
    if run.monitor is None:
        return "pass monitor=True to see what could be better."
    return "nothing stands out; compare rules and rates with ac.compare."


_ORDER = {"stop": 0, "warning": 1, "note": 2}
