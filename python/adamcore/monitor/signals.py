"""What detectors say, and what becomes of it: findings, each of which is reported once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from adamcore.monitor.advice import advice_for
from adamcore.monitor.finding import SEVERITIES, Finding, Severity


class Signal(NamedTuple):
    """What a detector says of one thing after a step: what it has found, or with `severity` None that it is over."""

    kind: str
    tensor: str | None = None
    severity: Severity | None = None
    evidence: Mapping[str, Any] = {}
    about: str = ""
    """What tells findings of one kind apart, besides the tensor: for plateaus, whose values they are of."""


NOTHING: tuple[Signal, ...] = ()


class Active:
    """The findings that hold at present. One that holds already is news only if its severity has become higher."""

    def __init__(self) -> None:
        self._severity: dict[tuple[str, str | None, str], int] = {}

    def news(self, signals: Iterable[Signal], step: int) -> list[Finding]:
        """Take what detectors say, and return the findings that are new."""
        found = []
        for signal in signals:
            key = (signal.kind, signal.tensor, signal.about)
            if signal.severity is None:
                self._severity.pop(key, None)
                continue
            rank = SEVERITIES.index(signal.severity)
            if rank > self._severity.get(key, -1):
                evidence = {name: _plain(value) for name, value in signal.evidence.items()}
                advice = advice_for(signal.kind, signal.about, signal.severity)
                found.append(Finding(signal.kind, step, signal.tensor, signal.severity, evidence, advice))
            self._severity[key] = rank
        return found

    def state_dict(self) -> list[Any]:
        """Return plain values."""
        return [[*key, rank] for key, rank in self._severity.items()]

    def load_state_dict(self, saved: Any) -> None:
        """Go on from what `state_dict` returned."""
        read = {(str(kind), tensor, str(about)): int(rank) for kind, tensor, about, rank in saved}
        self._severity = read


def _plain(value: Any) -> Any:
    """Return a number that JSON has, or the text "nan", "inf" or "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
