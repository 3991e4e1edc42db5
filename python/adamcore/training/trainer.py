"""`Trainer`: the steps of one run, which `fit` and `compare` share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from adamcore._arrays.libraries import as_numpy, assign
from adamcore._arrays.structures import flatten_groups, named_arrays
from adamcore._core import short_repr
from adamcore._parts.given import params_of
from adamcore.loss_scaler import LossScaler
from adamcore.optimizer import Optimizer
from adamcore.optimizers import ScheduleFreeAdamW
from adamcore.step_info import StepInfo
from adamcore.training.problem import (
    Batches,
    ProblemError,
    metrics_of,
    name_of,
    number,
    require_problem,
    takes_loss_scale,
)

_BESIDE = ("master", "remainder", "remainder_ties", "compensation")
"""What `Precision` keeps of weights beside the parameters."""


class Done(NamedTuple):
    """One step that has been done. `batch` and `grads` are the last ones, `lr` is the rate of the first group."""

    loss: float
    info: StepInfo
    lr: float
    batch: Any
    grads: Any


class Trainer:
    """Parameters, their optimizer and the batches of a problem.

    Parameters
    ----------
    problem : Problem
    opt_or_factory : Optimizer or callable
        An optimizer, or what makes one of the parameters that the problem's ``init`` returns.
    seed : int
        The seed of the one generator that ``init`` and then ``batches`` get.
    accumulate : int
        How many batches make one step.
    scaler : LossScaler, optional
    owner : str
        What messages begin with.
    """

    def __init__(
        self,
        problem: Any,
        opt_or_factory: Any,
        *,
        seed: int,
        owner: str,
        accumulate: int = 1,
        scaler: LossScaler | None = None,
    ) -> None:
        is_made = isinstance(opt_or_factory, Optimizer)
        require_problem(problem, owner, **({"needs": ("batches", "loss_and_grad")} if is_made else {}))
        if not is_made and not callable(opt_or_factory):
            raise TypeError(
                f"{owner}: expected an optimizer, or a function that makes one of parameters, got "
                f"{short_repr(opt_or_factory)}"
            )
        if scaler is not None and not isinstance(scaler, LossScaler):
            raise TypeError(f"{owner}: scaler must be a LossScaler or None, got {short_repr(scaler)}")
        if scaler is not None and not takes_loss_scale(problem):
            raise ProblemError(
                f"{owner}: with a scaler, loss_and_grad(params, batch, loss_scale=...) of the problem "
                f"{name_of(problem)} must take the factor of its gradients"
            )
        rng = np.random.default_rng(seed)
        self.problem, self.owner = problem, owner
        self.params = params_of(opt_or_factory) if is_made else problem.init(rng)
        self.opt: Optimizer = opt_or_factory if is_made else _make(opt_or_factory, self.params, owner)
        self.seed, self.scaler, self.accumulate = seed, scaler, accumulate
        self.batches = Batches(problem, rng, owner)
        self.seconds = 0.0
        """The time of all steps, with their batches and gradients."""
        self.step_seconds = 0.0
        """The optimizer's share of it."""
        self.is_torn = False
        """Whether an update has begun of which `position` knows nothing, or which the caller has not noted. Callers
        that note steps set it to False."""
        self._window: list[tuple[float, float]] = []

    def step(self, stats: Any = False) -> Done | None:  # noqa: FBT002  (as Optimizer.step has it)
        """Do one step. Return None, having done nothing, if the epoch has ended."""
        began = perf_counter()
        try:
            return self._step(stats)
        finally:
            self.seconds += perf_counter() - began

    def _step(self, stats: Any) -> Done | None:
        batch = grads = left = None
        weight = 1.0
        while len(self._window) < self.accumulate and not (self._window and self.batches.is_at_end()):
            taken = self.batches.take()
            if taken is None:
                return None
            batch = taken[0]
            loss, grads, weight = self._gradient(batch)
            self.is_torn = True
            self._window.append((loss, weight))
            self.batches.place += 1
            left = grads
            if len(self._window) < self.accumulate:
                self._time(self.opt.accumulate, grads, weight=weight)
                self.is_torn, left = False, None
        self.is_torn = True
        options: dict[str, Any] = {"loss_scale": 1.0 if self.scaler is None else self.scaler}
        if self.accumulate > 1 and left is not None:
            options["weight"] = weight
        lr = self._rate()
        info = self._time(self.opt.step, left, stats=stats, **options)
        window, self._window = self._window, []
        return Done(_mean(window), info, lr, self.batches.before if batch is None else batch, grads)

    def is_at_end(self) -> bool:
        """Whether the epoch has no more steps. To know it, the next batch is taken from the problem's iterator."""
        began = perf_counter()
        try:
            return not self._window and self.batches.is_at_end()
        finally:
            self.seconds += perf_counter() - began

    def _gradient(self, batch: Any) -> tuple[float, Any, float]:
        options = {} if self.scaler is None else {"loss_scale": self.scaler.scale}
        found = self.problem.loss_and_grad(self.params, batch, **options)
        if not isinstance(found, tuple) or len(found) != 2 or found[1] is None:
            raise ProblemError(f"{self.owner}: loss_and_grad must return (loss, grads), got {short_repr(found)}")
        weight = getattr(self.problem, "weight", None)
        rows = 1.0 if weight is None else number(weight(batch), f"{self.owner}: weight")
        return number(found[0], f"{self.owner}: the loss"), found[1], rows

    def _time(self, call: Any, *arguments: Any, **options: Any) -> Any:
        began = perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            self.step_seconds += perf_counter() - began

    def _rate(self) -> float:
        rate = self.opt.param_groups[0].get("lr", math.nan)
        return float(self.opt.current()["lr"] if callable(rate) else rate)

    @contextmanager
    def evaluating(self, ema: Any = None) -> Iterator[None]:
        """Make the parameters what is to be evaluated: an average, if there is one. It leaves no trace."""
        if ema is not None and ema.count:
            with ema.swap():
                yield
        elif isinstance(self.opt, ScheduleFreeAdamW):
            # eval() and train() round, so that the bits of a run would depend on how often it is evaluated.
            before = [(array, np.array(as_numpy(array, self.owner))) for array in self._weights()]
            try:
                self.opt.eval()
                yield
            finally:
                self.opt.train()
                for array, values in before:
                    assign(array, values)
        else:
            yield

    def _weights(self) -> Iterator[Any]:
        """Yield the arrays of all parameters, and what half precision keeps beside them."""
        for name, array in named_arrays(self.opt.param_groups):
            yield array
            yield from (kept for slot, kept in self.opt.state[name].items() if slot in _BESIDE)

    def evaluate(self) -> dict[str, float]:
        """Return the metrics of the problem's validation data."""
        with self.evaluating():
            return self.metrics()

    def metrics(self) -> dict[str, float]:
        """Return the metrics for what the parameters hold now; call it within `evaluating`."""
        return metrics_of(self.problem, self.params, self.owner)

    def position(self) -> dict[str, Any]:
        """Return where the run is, for a checkpoint: all but the optimizer."""
        return {**self.batches.position(), "window": [list(pair) for pair in self._window]}

    def go_to(self, position: Mapping[str, Any]) -> None:
        """Go on from what `position` returned, when the optimizer has been loaded."""
        self.batches.go_to(position)
        self._window = [(float(loss), float(weight)) for loss, weight in position["window"]]


def _mean(window: list[tuple[float, float]]) -> float:
    """Return the weighted mean of losses; that of one loss is the loss."""
    if len(window) == 1:
        return window[0][0]
    return sum(loss * weight for loss, weight in window) / sum(weight for _, weight in window)


def _make(factory: Any, params: Any, owner: str) -> Optimizer:
    opt = factory(params)
    if not isinstance(opt, Optimizer):
        raise TypeError(f"{owner}: the function that makes the optimizer returned {short_repr(opt)}")
    _require_of(opt, params, owner)
    return opt


def _require_of(opt: Optimizer, params: Any, owner: str) -> None:
    """Raise ValueError if the optimizer updates a NumPy array that is none of `params`, such as a copy.

    Nothing is said of parameters that are not made of arrays, such as a model.
    """
    try:
        leaves = [array for _, flat, _ in flatten_groups(params) for array in flat.arrays]
    except (TypeError, ValueError):
        return
    known = {id(leaf) for leaf in leaves}
    if not all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return
    for name, array in named_arrays(opt.param_groups):
        if id(array) in known or not isinstance(array, np.ndarray) or not array.size:
            continue
        if not any(np.may_share_memory(array, leaf) for leaf in leaves):
            raise ValueError(
                f"{owner}: the optimizer has a parameter {name!r} that is none of those that init returned (is it a "
                "copy?), so that training would not change them"
            )
