"""`Trainer`: the steps of one run, which `fit` and `compare` share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from adamcore._checks.numbers import as_float
from adamcore._core import short_repr
from adamcore.loss_scaler import LossScaler
from adamcore.optimizer import Optimizer
from adamcore.optimizers import ScheduleFreeAdamW
from adamcore.step_info import StepInfo
from adamcore.training.problem import Batches, ProblemError, metrics_of, name_of, require_problem, takes_loss_scale


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
        batch = grads = weight = None
        while len(self._window) < self.accumulate:
            taken = self.batches.take()
            if taken is None:
                break
            batch = taken[0]
            loss, grads, weight = self._gradient(batch)
            self.is_torn = True
            is_last = len(self._window) + 1 == self.accumulate
            self._window.append((loss, weight))
            self.batches.place += 1
            if not is_last:
                self._time(self.opt.accumulate, grads, weight=weight)
                self.is_torn, grads = False, None
        done = self._update(batch, grads, weight, stats) if self._window else None
        self.seconds += perf_counter() - began
        return done

    def _gradient(self, batch: Any) -> tuple[float, Any, float]:
        options = {} if self.scaler is None else {"loss_scale": self.scaler.scale}
        found = self.problem.loss_and_grad(self.params, batch, **options)
        if not isinstance(found, tuple) or len(found) != 2:
            raise ProblemError(f"{self.owner}: loss_and_grad must return (loss, grads), got {short_repr(found)}")
        weight = getattr(self.problem, "weight", None)
        rows = 1.0 if weight is None else as_float(weight(batch), f"{self.owner}: weight", "a number")
        return as_float(found[0], f"{self.owner}: the loss", "a number"), found[1], rows

    def _update(self, batch: Any, grads: Any, weight: float | None, stats: Any) -> Done:
        self.is_torn = True
        options: dict[str, Any] = {"loss_scale": 1.0 if self.scaler is None else self.scaler}
        if self.accumulate > 1 and grads is not None:
            options["weight"] = weight
        lr = self._rate()
        info = self._time(self.opt.step, grads, stats=stats, **options)
        losses, self._window = self._window, []
        total = sum(weight for _, weight in losses)
        loss = losses[0][0] if len(losses) == 1 else sum(loss * weight for loss, weight in losses) / total
        return Done(loss, info, lr, batch, grads)

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
        """Make the parameters what is to be evaluated: an average, if there is one."""
        with nullcontext() if ema is None or not ema.count else ema.swap():
            if not isinstance(self.opt, ScheduleFreeAdamW):
                yield
                return
            self.opt.eval()
            try:
                yield
            finally:
                self.opt.train()

    def evaluate(self, ema: Any = None) -> dict[str, float]:
        """Return the metrics of the problem's validation data."""
        with self.evaluating(ema):
            return metrics_of(self.problem, self.params, self.owner)

    def position(self) -> dict[str, Any]:
        """Return where the run is, for a checkpoint: all but the optimizer."""
        return {**self.batches.position(), "window": [list(pair) for pair in self._window]}

    def go_to(self, position: Mapping[str, Any]) -> None:
        """Go on from what `position` returned, when the optimizer has been loaded."""
        self.batches.go_to(position)
        self._window = [(float(loss), float(weight)) for loss, weight in position["window"]]


def params_of(opt: Optimizer) -> Any:
    """Return the parameters of an optimizer in the structure in which the user passed them.

    Pairs of name and array are a dict. Parameters of several groups are a dict by name if the user passed mappings or
    pairs, and otherwise a list.
    """
    parts = [_of_group(form, group) for form, group in zip(opt._native.forms(), opt.param_groups, strict=True)]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, Mapping) for part in parts):
        return {name: array for part in parts for name, array in part.items()}
    return [array for group in opt.param_groups for array in group["params"]]


def _of_group(form: Any, group: Mapping[str, Any]) -> Any:
    _, _, tree, source = form
    if isinstance(tree, int):
        return group["params"][0]
    if isinstance(tree, tuple) or source is None:
        return dict(zip(group["param_names"], group["params"], strict=True))
    return source


def _make(factory: Any, params: Any, owner: str) -> Optimizer:
    if not callable(factory):
        raise TypeError(
            f"{owner}: expected an optimizer, or a function that makes one of parameters, got {short_repr(factory)}"
        )
    opt = factory(params)
    if not isinstance(opt, Optimizer):
        raise TypeError(f"{owner}: the function that makes the optimizer returned {short_repr(opt)}")
    return opt
