"""A run of every rule, with everything that may be going on when it is saved; and the same run in a new process.

Run as a program, it goes on with the files of a folder and prints what comes out.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import adamcore as ac
from adamcore import schedules
from helpers import everything, make
from reference import CASES, Case

BEFORE, AFTER = 7, 8
"""The numbers of steps until the file is written, and from there on. Warm-ups take 10."""

PRECISIONS: dict[str, Any] = {
    "stochastic": dict(master=None, rounding="stochastic", seed=5),
    "remainder": dict(master="remainder", state="bfloat16"),
}


class Run:
    """An optimizer with a schedule, a plateau, a loss scaler, averages, an open window and random numbers."""

    def __init__(self, case: Case, way: str) -> None:
        start = np.random.default_rng(11)
        kinds = {"w": np.float32, "half": ml_dtypes.bfloat16}
        if "state" not in PRECISIONS[way]:
            kinds["d"] = np.float64
        self.params = {name: start.standard_normal((5, 7)).astype(kind) for name, kind in kinds.items()}
        self.plateau = schedules.ReduceOnPlateau(0.02, patience=2, factor=0.5)
        rate = schedules.Warmup(self.plateau, steps=10)
        self.optimizer = make(
            case, self.params, lr=rate, precision=ac.Precision(**PRECISIONS[way]), clip_norm=ac.SpikeGuard(window=8)
        )
        self.averages = [ac.EMA(self.optimizer, 0.9), ac.SWA(self.optimizer, start=4, every=2)]
        self.slow = ac.Lookahead(self.optimizer, k=3)
        self.scaler = ac.LossScaler(64.0, growth_interval=3)
        self.stopping = ac.EarlyStopping("min", patience=3)
        self.rng = np.random.default_rng(3)

    def gradients(self) -> dict[str, np.ndarray]:
        scale = self.scaler.scale
        found = {}
        for name, p in self.params.items():
            found[name] = (self.rng.standard_normal(p.shape) * scale).astype(np.float32)
        return found

    def go_on(self, begin: int, end: int) -> None:
        """Do steps, each of which has a window of two, one of which overflows."""
        for step in range(begin, end):
            gradients = self.gradients()
            if step == 4:
                gradients["w"][2, 3] = np.inf
            self.optimizer.step(gradients, loss_scale=self.scaler)
            metric = 1.0 / (1 + step // 3)
            self.plateau.observe(metric, step=self.optimizer.completed)
            self.stopping.observe(metric, step=step)
            self.optimizer.accumulate(self.gradients(), weight=1.0 + step)

    def parts(self) -> dict[str, Any]:
        return dict(scaler=self.scaler, stopping=self.stopping)

    def digest(self) -> str:
        """A hash of all bits of it."""
        found = hashlib.sha256()
        for key, bits in sorted(everything(self.optimizer).items()):
            found.update(key.encode() + bits)
        window = self.optimizer.state_dict()["window"]
        for name, array in sorted(window["sums"].items()):
            found.update(name.encode() + array.tobytes())
        rest = [
            self.optimizer.completed,
            dict(self.optimizer.steps),
            self.optimizer.current()["lr"].hex(),
            self.scaler.state_dict(),
            self.stopping.state_dict(),
            [average.count for average in (*self.averages, self.slow)],
            window["weight"],
            self.rng.random().hex(),
        ]
        found.update(json.dumps(rest).encode())
        return found.hexdigest()


def runs() -> list[tuple[str, Case, str]]:
    return [(f"{case.id}-{way}", case, way) for case in CASES for way in PRECISIONS]


def resumed(path: Path, case: Case, way: str) -> str:
    """What comes out of a run that goes on with a file."""
    run = Run(case, way)
    extra = ac.load(path, run.optimizer, **run.parts())
    run.rng = extra["rng"]
    run.go_on(extra["step"], BEFORE + AFTER)
    return run.digest()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(json.dumps({name: resumed(folder / name, case, way) for name, case, way in runs()}))
