"""`Log`: the findings of a run, of which no kind can take more than some memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from itertools import count
from typing import Any

from adamcore.monitor.finding import Finding
from adamcore.monitor.saved import Saved

KEPT = 100
"""So many findings of one kind about one tensor are kept, the latest. Only spikes are ever as many."""


class Log:
    """Findings in the order in which they were found."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None], deque[tuple[int, Finding]]] = {}
        self._numbers = count()
        self.left_out: Counter[str] = Counter()
        """How many findings of each kind are no longer here."""
        self.total = 0
        """How many there have been."""

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings, which may drop older ones."""
        for finding in findings:
            kept = self._found.setdefault((finding.kind, finding.tensor), deque(maxlen=KEPT))
            if len(kept) == KEPT:
                self.left_out[finding.kind] += 1
            kept.append((next(self._numbers), finding))
            self.total += 1

    def all(self) -> list[Finding]:
        """Return the findings, the latest last."""
        numbered = [item for kept in self._found.values() for item in kept]
        return [finding for _, finding in sorted(numbered, key=lambda item: item[0])]

    def since(self, total: int) -> list[Finding]:
        """Return the findings after the first `total` ones."""
        return self.all()[total - self.total :] if self.total > total else []

    def __len__(self) -> int:
        return self.total

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"findings": [finding.to_dict() for finding in self.all()], "left_out": dict(self.left_out)}

    def load_state_dict(self, state: Any) -> None:
        """Take what `state_dict` returned. Call it of a new log."""
        saved = Saved(state, ("findings", "left_out"))
        self.add(Finding.from_dict(finding) for finding in saved.items("findings"))
        self.left_out = Counter(saved.counts_by_name("left_out"))
        self.total += self.left_out.total()
