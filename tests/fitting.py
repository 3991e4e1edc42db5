"""A problem for `fit` with all that may go on at the same time, and the bits of what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import adamcore as ac
from adamcore import schedules
from helpers import everything

ROWS = (7, 3, 8, 5, 8, 6, 8)
"""The sizes of the batches of an epoch."""

Batch = tuple[np.ndarray, np.ndarray]


class Regression:
    """Least squares. Batches are drawn when they are asked for, so that the generator is in use during an epoch."""

    def __init__(self, dtype: Any = np.float64, *, noise: float = 0.3) -> None:
        self.dtype, self.noise = dtype, noise
        rng = np.random.default_rng(77)
        self.truth = rng.standard_normal((4, 3))
        self.held_out = self._rows(rng, 40)
        self.evaluated = 0

    def _rows(self, rng: np.random.Generator, count: int) -> Batch:
        x = rng.standard_normal((count, 4))
        return x, x @ self.truth + self.noise * rng.standard_normal((count, 3))

    def init(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"w": rng.standard_normal((4, 3)).astype(self.dtype), "b": np.zeros(3, self.dtype)}

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        for rows in rng.permutation(ROWS):
            yield self._rows(rng, rows)

    def loss_and_grad(self, params: Any, batch: Batch, loss_scale: float = 1.0) -> tuple[float, Any]:
        x, y = batch
        error = x @ params["w"].astype(np.float64) + params["b"].astype(np.float64) - y
        factor = 2 * loss_scale / error.size
        with np.errstate(over="ignore"):
            grads = {"w": (factor * x.T @ error).astype(self.dtype), "b": (factor * error.sum(0)).astype(self.dtype)}
        return float(np.square(error).mean()), grads

    def weight(self, batch: Batch) -> int:
        return len(batch[0])

    def evaluate(self, params: Any) -> dict[str, float]:
        self.evaluated += 1
        x, y = self.held_out
        error = x @ params["w"].astype(np.float64) + params["b"].astype(np.float64) - y
        return {"worst": float(np.abs(error).max()), "val_loss": float(np.square(error).mean())}


def sgd(params: Any) -> ac.Optimizer:
    return ac.SGD(params, lr=0.05, momentum=0.5)


def diverging(params: Any) -> ac.Optimizer:
    return ac.SGD(params, lr=1e3)


def adam(params: Any) -> ac.Optimizer:
    """AdamW with a schedule and a guard, which has seen a few steps soon."""
    return ac.AdamW(params, lr=schedules.Warmup(0.03, steps=9), clip_norm=ac.SpikeGuard(window=8))


class Policy:
    """Remembers the batches that it has seen, and changes the rate and a weight now and then."""

    def __init__(self, opt: ac.Optimizer) -> None:
        self.opt, self.seen, self.stopped = opt, 0.0, False

    def act(self, batch: Batch) -> list[str]:
        self.seen += float(batch[0].sum())
        if int(self.seen) % 3:
            return []
        self.opt.param_groups[0]["params"][1][...] *= 0.5
        return [f"after {self.seen:.3g}"]

    def state_dict(self) -> dict[str, float]:
        return {"seen": self.seen}

    def load_state_dict(self, saved: dict[str, float]) -> None:
        self.seen = saved["seen"]


class Breaking(Regression):
    """A problem of which one call of its functions raises an error; `at` counts calls and batches."""

    def __init__(self, dtype: Any = np.float64, *, at: int, error: type[BaseException]) -> None:
        super().__init__(dtype)
        self.at, self.error, self.calls = at, error, 0
        self.broke_in = ""

    def _call(self, name: str) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.broke_in = name
            raise self.error(name)

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        self._call("batches")  # when the first one is taken
        for batch in super().batches(rng):
            yield batch
            self._call("batches")

    def loss_and_grad(self, params: Any, batch: Batch, loss_scale: float = 1.0) -> tuple[float, Any]:
        self._call("loss_and_grad")
        return super().loss_and_grad(params, batch, loss_scale)

    def weight(self, batch: Batch) -> int:
        self._call("weight")
        return super().weight(batch)

    def evaluate(self, params: Any) -> dict[str, float]:
        self._call("evaluate")
        return super().evaluate(params)


def everything_at_once(problem: Any, checkpoints: Any = None, *, factory: Any = adam, **changed: Any) -> Any:
    """Call fit with all of its parts, each of them new. Return the run and all that it has computed."""
    opt = factory(Regression(problem.dtype).init(np.random.default_rng(5)))
    scaler = ac.LossScaler(2.0**18, growth_interval=5) if problem.dtype is np.float16 else None
    stopping, policy = ac.EarlyStopping(patience=4), Policy(opt)
    options = dict(
        ema=0.9,
        monitor=lambda made: ac.Monitor(made, window=8, stats_every=4, validation_window=4, scaler=scaler),
        policy=policy,
        early_stopping=stopping,
        scaler=scaler,
        progress=None,
    )
    run = ac.fit(problem, opt, checkpoints=checkpoints, **{**options, **changed})
    found = digest(run)
    found |= {"stopping": stopping.state_dict(), "policy": policy.seen}
    return run, found | {"scale": None if scaler is None else scaler.state_dict()}


def digest(run: Any) -> dict[str, Any]:
    """All that a run has computed, in values that can be compared and are JSON."""
    history = {name: column.tobytes().hex() for name, column in run.history.items() if name != "wall"}
    bits = {name: value.hex() for name, value in sorted(everything(run.opt).items())}
    findings = [finding.to_dict() for finding in run.findings]
    average = None if run.ema is None else run.ema.count
    return {
        "bits": bits,
        "history": history,
        "completed": run.opt.completed,
        "findings": findings,
        "average": average,
        "best": [run.best, run.best_step],
    }
