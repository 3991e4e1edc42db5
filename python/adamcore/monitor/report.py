"""The report of a monitor as text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adamcore.monitor.finding import Finding

_WIDTH = 100


def describe(rule: str, history: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    """Return the losses in one line, and then all findings."""
    losses = history["loss"]
    finite = losses[np.isfinite(losses)]
    lines = [f"{rule}, {len(losses)} step{'' if len(losses) == 1 else 's'}"]
    if finite.size:
        lines[0] += f": loss {finite[0]:.4g} at first, {finite[-1]:.4g} at last, {finite.min():.4g} at best"
    if skipped := int(history["skipped"].sum()):
        lines.append(f"{skipped} steps were skipped.")
    if not findings:
        lines.append("Nothing was found to be wrong.")
    for finding in findings:
        lines += textwrap.wrap(str(finding), _WIDTH, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines)
