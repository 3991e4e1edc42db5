"""`Finding`: one thing that a monitor has found."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from adamcore._checks.numbers import as_int
from adamcore._core import short_repr

Severity = Literal["note", "warning", "stop"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The lowest first."""

_FIELDS = ("kind", "step", "tensor", "severity", "evidence", "advice")


@dataclass(frozen=True)
class Finding:
    """One thing that a `Monitor` has found. It is read-only, and plain values throughout.

    Attributes
    ----------
    kind : str
        "plateau", "saddle", "vanishing", "dead", "spike", "exploding", "overflow_loop", "lost", "stale", "lr_small",
        "lr_large" or "overfitting".
    step : int
        The step after which it was found. The first one is 1, and skipped ones count.
    tensor : str or None
        The name of the parameter that it is about, or None if it is about the whole run.
    severity : {"note", "warning", "stop"}
        "note": worth knowing. "warning": something should be changed. "stop": going on is of no use.
    evidence : dict
        The numbers that led to it, by name: plain values for JSON, with texts for NaN and infinity.
    advice : str
        What to do.

    Examples
    --------
    >>> import adamcore as ac
    >>> finding = ac.Finding("spike", 120, None, "note", {"grad_norm": 31.0})
    >>> print(finding)
    step 120: note: spike (grad_norm 31).
    >>> finding == ac.Finding.from_dict(finding.to_dict())
    True
    """

    kind: str
    step: int
    tensor: str | None
    severity: Severity
    evidence: dict[str, Any] = field(default_factory=dict)
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: getattr(self, name) for name in _FIELDS} | {"evidence": dict(self.evidence)}

    @classmethod
    def from_dict(cls, saved: Any) -> Finding:
        """Return what `to_dict` gave. Raises TypeError or ValueError for anything else."""
        label = "Finding"
        if not isinstance(saved, Mapping) or set(saved) != set(_FIELDS):
            error = ValueError if isinstance(saved, Mapping) else TypeError
            raise error(f"{label} must be a dict with {', '.join(_FIELDS)}, got {short_repr(saved)}")
        for name in ("kind", "severity", "advice"):
            if not isinstance(saved[name], str):
                raise TypeError(f"{label}: {name} must be a str, got {short_repr(saved[name])}")
        if saved["severity"] not in SEVERITIES:
            raise ValueError(f"{label}: severity must be one of {SEVERITIES}, got {short_repr(saved['severity'])}")
        if not isinstance(saved["tensor"], (str, type(None))) or not isinstance(saved["evidence"], Mapping):
            raise TypeError(f"{label}: tensor must be a str or None, and evidence a dict, got {short_repr(saved)}")
        if not all(isinstance(key, str) and is_plain(value) for key, value in saved["evidence"].items()):
            raise TypeError(f"{label}: evidence must be plain values by name, got {short_repr(saved['evidence'])}")
        step = as_int(saved["step"], f"{label}: step", "an int >= 0", 0)
        return cls(saved["kind"], step, saved["tensor"], saved["severity"], dict(saved["evidence"]), saved["advice"])

    def to_json(self) -> str:
        """Return `to_dict` as JSON. Raises ValueError if the evidence has NaN or infinity, which JSON lacks."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __hash__(self) -> int:
        return hash((self.kind, self.step, self.tensor, self.severity))

    def __str__(self) -> str:
        where = "" if self.tensor is None else f" [{self.tensor}]"
        numbers = ", ".join(f"{name} {_shown(value)}" for name, value in self.evidence.items() if value is not None)
        evidence = f" ({numbers})" if numbers else ""
        return f"step {self.step}: {self.severity}: {self.kind}{where}{evidence}. {self.advice}".rstrip()


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """Return a value that JSON has, and for a number that it lacks the text "nan", "inf" or "-inf"."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def is_plain(value: Any) -> bool:
    """Whether JSON has a value like this one."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))
