"""What was measured, as tables, the chart and the JSON files share it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ADAMCORE, STREAM = "adamcore", "stream"
RIGHT, YARDSTICK = "right", "not AdamW, its traffic"  # what a check can find, beside faults
BYTES_PER_ELEMENT = 28  # of float32 AdamW: read p, g, m, v and write p, m, v


@dataclass(frozen=True)
class Timing:
    """One peer's step; times in seconds."""

    label: str
    median: float
    q1: float
    q3: float
    rounds: int
    repetitions: int
    relative: float
    """Its median divided by that of adamcore, measured in turns with it."""
    bytes: int = 0
    """What one step has to move, where that is not the same for all."""


@dataclass(frozen=True)
class CaseResult:
    name: str
    tensors: int
    elements: int
    timings: dict[str, Timing] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    kind: str = "step"
    """What was timed: on a GPU the "device", the "host" until a call returns, or "wall" time over many steps."""

    def speedup(self, peer: str) -> float | None:
        """Return how many times faster adamcore is than a peer."""
        return self.timings[peer].relative if peer in self.timings else None

    def share_of_stream(self, peer: str) -> float | None:
        if STREAM not in self.timings or peer not in self.timings:
            return None
        return self.timings[STREAM].relative / self.timings[peer].relative

    def share_of_bandwidth(self, limit: str, peer: str) -> float | None:
        """Return the bytes that a peer moves in a second, divided by those of a limit."""
        if limit not in self.timings or peer not in self.timings:
            return None
        paces = [self.timings[key].bytes / self.timings[key].relative for key in (peer, limit)]
        return paces[0] / paces[1]


@dataclass(frozen=True)
class Record:
    facts: dict[str, Any]
    checks: dict[str, str]
    absent: dict[str, str]
    cases: list[CaseResult] = field(default_factory=list)

    def case(self, name: str, kind: str = "step") -> CaseResult | None:
        return next((case for case in self.cases if (case.name, case.kind) == (name, kind)), None)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Record:
        return cls.of(json.loads(path.read_text()))

    @classmethod
    def of(cls, data: dict[str, Any]) -> Record:
        """Make a record of a file's content, which may hold more."""
        cases = [
            CaseResult(**{**case, "timings": {key: Timing(**timing) for key, timing in case["timings"].items()}})
            for case in data["cases"]
        ]
        return cls(data["facts"], data["checks"], data["absent"], cases)
