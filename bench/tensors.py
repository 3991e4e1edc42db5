"""Steps with PyTorch's CPU tensors as gradients, against torch.optim.AdamW(fused=True): python bench/tensors.py.

New gradients, as backward() makes them after zero_grad(set_to_none=True), are made before the clock starts. Where the
caches are cold, other memory has been written before each step.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, ClassVar

import numpy as np

from environment import default_threads, describe, limit_threads
from peers.adamcore import AdamCore
from peers.base import Peer
from peers.torch import TorchFused
from problem import Array, Arrays, Problem
from shapes import Shape, many
from text import aligned, duration

PAUSE = 0.012  # as in measure.py
COLD_BYTES = 256 << 20
SAMPLE = 0.002
"""Seconds of steps in a sample, at least, and no more than MOST steps."""
MOST = 200


@dataclass(frozen=True)
class TensorCase:
    name: str
    shapes: list[Shape] = field(repr=False)
    one_thread: bool = False
    is_cold: bool = False
    line: float | None = None
    """How many times as fast as PyTorch's a step with new gradients must be."""


CASES = (
    TensorCase("10 x 100", many(10, 100), one_thread=True, line=5),
    TensorCase("100 x 100", many(100, 100), one_thread=True, line=5),
    TensorCase("1000 x 1000, cold", many(1000, 1000), is_cold=True, line=6),
    TensorCase("10,000 x 100", many(10_000, 100), line=15),
    TensorCase("10,000 x 100, cold", many(10_000, 100), is_cold=True),
    TensorCase("1 x 1M, cold", many(1, 1_000_000), is_cold=True),
    TensorCase("1000 x 1000", many(1000, 1000)),
    TensorCase("1 x 1000", many(1, 1000), one_thread=True),
    TensorCase("1 x 100K", many(1, 100_000)),
    TensorCase("1 x 1M", many(1, 1_000_000)),
    TensorCase("1 x 16M", many(1, 16 << 20)),
)


class Fused(TorchFused):
    def use(self, grads: Arrays) -> None:
        super().use(grads)
        self.given = [p.grad for p in self.params]

    def renew(self) -> None:
        for p, g in zip(self.params, self.given, strict=True):
            p.grad = None
            p.grad = g.clone()


class InPlace(AdamCore):
    """adamcore on the parameters of a PyTorch model."""

    key = "adamcore-in-place"
    label = "adamcore, torch's parameters"

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        import torch

        super().__init__((torch.nn.Parameter(torch.from_numpy(p).clone()) for p in params), threads)

    def use(self, grads: Arrays) -> None:
        import torch

        self.grads: list[Any] = [torch.from_numpy(g) for g in grads]
        self.given = self.grads

    def renew(self) -> None:
        self.grads = [g.clone() for g in self.given]

    def result(self) -> Arrays:
        return [p.detach().numpy() for p in self.params]


class Beside(InPlace):
    """adamcore on NumPy arrays."""

    key = "adamcore-numpy"
    label = "adamcore, NumPy's parameters"

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        AdamCore.__init__(self, params, threads)


class OnlyNumpy(AdamCore):
    """For comparison: no tensors at all."""

    label = "adamcore, NumPy's parameters and gradients"

    def use(self, grads: Arrays) -> None:
        self.grads = self.given = grads

    def renew(self) -> None:
        self.grads = [g.copy() for g in self.given]


PEERS: tuple[type[Peer], ...] = (Fused, InPlace, Beside, OnlyNumpy)


class Runner:
    """A peer at its work, which `measure.take_turns` lets take samples."""

    scratch: ClassVar[Any] = None

    def __init__(self, peer: Peer, case: TensorCase, *, anew: bool) -> None:
        self.peer, self.is_cold, self.anew = peer, case.is_cold, anew
        self.seconds: list[float] = []
        self.repetitions = 1
        self._run()
        self._run()
        shortest = min(self._run() for _ in range(3))
        self.repetitions = max(1, min(MOST, int(SAMPLE / shortest)))

    def sample(self) -> None:
        time.sleep(PAUSE)
        self._run()
        self.seconds.append(sum(self._run() for _ in range(self.repetitions)) / self.repetitions)

    def _run(self) -> float:
        if self.anew:
            self.peer.renew()
        if self.is_cold:
            if Runner.scratch is None:
                Runner.scratch = np.zeros(COLD_BYTES // 8)
            Runner.scratch += 1
        start = time.perf_counter()
        self.peer.step()
        return time.perf_counter() - start


def measure(case: TensorCase, threads: int, rounds: int) -> dict[tuple[str, bool], list[float]]:
    """Return seconds of each peer's steps, with new gradients and without, all taking turns."""
    from measure import take_turns

    problem = Problem(case.shapes)
    runners = []
    for peer_class in PEERS:
        peer_class.prepare(1 if case.one_thread else threads)
        for anew in (False, True):
            peer = peer_class(problem.params(), threads)
            peer.use(problem.grads)
            runners.append(Runner(peer, case, anew=anew))
    take_turns(list(runners), rounds)
    return {(runner.peer.label, runner.anew): runner.seconds for runner in runners}


def rows_of(case: TensorCase, seconds: dict[tuple[str, bool], list[float]]) -> list[dict[str, Any]]:
    rows = []
    for (label, anew), times in seconds.items():
        q1, middle, q3 = quantiles(times, n=4, method="inclusive")
        theirs = median(seconds[Fused.label, anew])
        rows.append(
            {
                "gradients": "new" if anew else "the same",
                "peer": label,
                "median": middle,
                "q1": q1,
                "q3": q3,
                "per_tensor": middle / len(case.shapes),
                "times_as_fast": theirs / middle,
            }
        )
    return sorted(rows, key=lambda row: (row["gradients"], row["median"]))


def lines_of(case: TensorCase, rows: list[dict[str, Any]]) -> list[str]:
    table = [(case.name, "gradients", "median", "IQR", "per tensor", "torch's time / its")]
    for row in rows:
        line = (
            f", line {case.line:g}" if case.line and row["gradients"] == "new" and row["peer"] == InPlace.label else ""
        )
        table.append(
            (
                row["peer"],
                row["gradients"],
                duration(row["median"]),
                f"{duration(row['q1'])} to {duration(row['q3'])}",
                duration(row["per_tensor"]),
                f"{row['times_as_fast']:.2f}{line}",
            )
        )
    return aligned(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in CASES]
    parser.add_argument("--cases", nargs="+", choices=names, metavar="CASE", help="some of " + "; ".join(names))
    parser.add_argument("--threads", type=int, help="number of threads (default: as many as adamcore uses)")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    threads = options.threads or default_threads()
    limit_threads(threads)
    facts: dict[str, Any] = describe(threads, ["adamcore", "torch", "numpy"])
    print(", ".join(f"{key}: {value}" for key, value in facts.items() if isinstance(value, (str, int, float))))
    found = []
    for case in CASES:
        if options.cases and case.name not in options.cases:
            continue
        rows = rows_of(case, measure(case, threads, options.rounds))
        print("", *lines_of(case, rows), sep="\n", flush=True)
        found.append({**{k: v for k, v in asdict(case).items() if k != "shapes"}, "rows": rows})
        if options.json:
            options.json.write_text(json.dumps({"facts": facts, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
