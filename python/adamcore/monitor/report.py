"""The report of a monitor as text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adamcore.monitor.act import Act
from adamcore.monitor.finding import Finding

_WIDTH = 100


def describe(
    rule: str,
    steps: int,
    history: Mapping[str, Any],
    findings: Sequence[Finding],
    acts: Sequence[Act],
    left_out: Mapping[str, int],
    unknown: int,
    *,
    lacks_statistics: bool,
) -> str:
    """Return the losses in one line, then the findings, and what was done. `unknown` losses were no numbers."""
    losses = history["loss"]
    finite = losses[np.isfinite(losses)]
    lines = [f"{rule}, {_count(steps, 'step')}"]
    if finite.size:
        lines[0] += f": loss {finite[0]:.4g} at first, {finite[-1]:.4g} at last, {finite.min():.4g} at best"
        if len(losses) < steps:
            lines[0] += f", of the last {_count(len(losses), 'step')}"
    if skipped := int(history["skipped"].sum()):
        lines.append(f"{_count(skipped, 'step')} {'was' if skipped == 1 else 'were'} skipped.")
    if unknown:
        lines.append(
            f"{_count(unknown, 'loss', 'losses')} could not be read as a number, and nothing is known of them."
        )
    if lacks_statistics:
        lines.append(
            "No step had statistics, so nothing is known of single parameters: pass stats=mon.wants_stats to opt.step."
        )
    if not findings:
        lines.append("Nothing was found to be wrong.")
    for kind, number in left_out.items():
        lines.append(f"{kind}: {_count(number, 'earlier finding')} left out.")
    lines += _items(findings)
    if acts:
        lines += ["What was done:", *_items(acts)]
    return "\n".join(lines)


def _items(things: Sequence[Finding | Act]) -> list[str]:
    wrapper = textwrap.TextWrapper(_WIDTH, initial_indent="- ", subsequent_indent="  ")
    return [line for thing in things for line in wrapper.wrap(str(thing))]


def _count(number: int, of: str, several: str | None = None) -> str:
    return f"{number} {of if number == 1 else several or of + 's'}"
