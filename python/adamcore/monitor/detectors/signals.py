"""What detectors say, and what becomes of it: findings, each of which is reported once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore.monitor.detectors.advice import advice_for
from adamcore.monitor.finding import SEVERITIES, Finding, Severity, plain


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
    """The findings that hold at present. One that holds already is news only if its severity is higher than ever."""

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
                self._severity[key] = rank
                evidence = {name: plain(value) for name, value in signal.evidence.items()}
                advice = advice_for(signal.kind, signal.about, signal.severity, agree="cos" in evidence)
                found.append(Finding(signal.kind, step, signal.tensor, signal.severity, evidence, advice))
        return found

    def holds(self, kind: str, about: str = "") -> bool:
        """Whether there is a finding of this kind, of any tensor, that is not over."""
        return any(key[0] == kind and key[2] == about for key in self._severity)

    def tensors(self, kind: str) -> list[str]:
        """Return the names of the tensors with a finding of this kind that is not over."""
        return [key[1] for key in self._severity if key[0] == kind and key[1] is not None]

    def state_dict(self) -> list[Any]:
        """Return plain values."""
        return [[*key, rank] for key, rank in self._severity.items()]

    def load_state_dict(self, saved: Any) -> None:
        """Go on from what `state_dict` returned."""
        if not isinstance(saved, (list, tuple)):
            raise TypeError(f"it must be a list, got {short_repr(saved)}")
        self._severity = dict(map(_read, saved))


def _read(row: Any) -> tuple[tuple[str, str | None, str], int]:
    if not isinstance(row, (list, tuple)) or len(row) != 4:
        raise ValueError(f"it must be lists of a kind, a tensor, what it is about, and a rank, got {short_repr(row)}")
    kind, tensor, about, rank = row
    if not isinstance(kind, str) or not isinstance(tensor, (str, type(None))) or not isinstance(about, str):
        raise TypeError(f"kind and what it is about must be texts, and tensor a text or None, got {short_repr(row)}")
    return (kind, tensor, about), as_int(
        rank, "rank", f"an int from 0 to {len(SEVERITIES) - 1}", 0, len(SEVERITIES) - 1
    )
