"""Runs that a `Monitor` watches, for findings.py: the loop, and what is done to a problem so that it goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import adamcore as ac
from adamcore._cli.network import Array, Params

Maker = Callable[[Params], ac.Optimizer]


@dataclass
class Watched:
    """A run and what was seen of it."""

    monitor: ac.Monitor
    statistics: list[tuple[int, ac.StepStats]] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)
    measured: list[float] = field(default_factory=list)

    @property
    def losses(self) -> Array:
        """The loss of each step."""
        return self.monitor.history["loss"]

    def first(self, kind: str) -> ac.Finding | None:
        """Return the first finding of a kind that is about training, or None."""
        return next((finding for finding in self.monitor.findings if finding.kind == kind), None)


def watch(
    problem: Any,
    make: Maker,
    *,
    steps: int,
    seed: int = 0,
    loss_scale: float | ac.LossScaler = 1.0,
    validate_every: int | None = None,
    measure: Callable[[Params, Params], float] | None = None,
    on_finding: Callable[[ac.Finding, ac.Optimizer], None] | None = None,
    after: Callable[[int, Params, ac.Monitor], None] | None = None,
    **options: Any,
) -> Watched:
    """Train a problem from its beginning, and show every step to a monitor.

    Parameters
    ----------
    problem : Problem
    make : callable
        Makes the optimizer of the parameters.
    steps, seed : int
    loss_scale : float or LossScaler
        What gradients are multiplied by, if it is not 1.
    validate_every : int, optional
        After how many steps the problem is evaluated.
    measure : callable, optional
        Takes the first and the present parameters after each step, and returns a number.
    on_finding : callable, optional
        Takes each new finding and the optimizer.
    after : callable, optional
        Takes the number of each step, the parameters and the monitor.
    **options
        The monitor's.

    Returns
    -------
    Watched
    """
    rng = np.random.default_rng(seed)
    params = problem.init(rng)
    start = {name: array.copy() for name, array in params.items()}
    opt = make(params)
    monitor = ac.Monitor(opt, **options)
    run = Watched(monitor)
    epochs = chain.from_iterable(problem.batches(rng) for _ in repeat(None))
    for step, batch in zip(range(1, steps + 1), epochs, strict=False):
        scaling = {} if loss_scale == 1.0 else {"loss_scale": float(loss_scale)}
        loss, grads = problem.loss_and_grad(params, batch, **scaling)
        info = opt.step(grads, loss_scale=loss_scale, stats=monitor.wants_stats and monitor.columns)
        found = monitor.observe(loss, info)
        if info.stats is not None:
            run.statistics.append((step, info.stats))
        if measure is not None:
            run.measured.append(measure(start, params))
        if validate_every is not None and step % validate_every == 0:
            metric = problem.evaluate(params)["val_loss"]
            run.validations.append((step, metric))
            found += monitor.observe_validation(metric)
        for finding in found if on_finding is not None else ():
            on_finding(finding, opt)
        if after is not None:
            after(step, params, monitor)
    return run


@dataclass
class Changed:
    """A problem in which something is done to some batches, counted from 1."""

    problem: Any
    steps: tuple[int, ...]
    change: Callable[[Any], Any]

    def init(self, rng: np.random.Generator) -> Params:
        """Draw the problem's parameters."""
        self._taken = 0
        return self.problem.init(rng)

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        """Yield one epoch."""
        for batch in self.problem.batches(rng):
            self._taken += 1
            yield self.change(batch) if self._taken in self.steps else batch

    def loss_and_grad(self, params: Params, batch: Any) -> tuple[float, Params]:
        """Compute the problem's."""
        return self.problem.loss_and_grad(params, batch)


@dataclass
class Stored:
    """A problem whose parameters are stored in a type of lower precision. It is computed in float32."""

    problem: Any
    dtype: DTypeLike

    def init(self, rng: np.random.Generator) -> Params:
        """Draw the problem's parameters, and round them."""
        return {name: array.astype(self.dtype) for name, array in self.problem.init(rng).items()}

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        """Yield one epoch."""
        return self.problem.batches(rng)

    def loss_and_grad(self, params: Params, batch: Any) -> tuple[float, Params]:
        """Compute the problem's, of the rounded parameters."""
        return self.problem.loss_and_grad({name: p.astype(np.float32) for name, p in params.items()}, batch)


@dataclass
class HalfGradients:
    """A problem whose gradients, multiplied by the loss scale, are float16, and so overflow beyond 65504."""

    problem: Any

    def init(self, rng: np.random.Generator) -> Params:
        """Draw the problem's parameters."""
        return self.problem.init(rng)

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        """Yield one epoch."""
        return self.problem.batches(rng)

    def loss_and_grad(self, params: Params, batch: Any, loss_scale: float) -> tuple[float, Params]:
        """Compute the problem's, and round the gradients."""
        loss, grads = self.problem.loss_and_grad(params, batch)
        with np.errstate(over="ignore"):
            return loss, {name: (grad * np.float32(loss_scale)).astype(np.float16) for name, grad in grads.items()}
