"""Problems: what `fit` and `compare` train."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from adamcore._checks.numbers import as_float
from adamcore._core import short_repr

_NEEDED = {
    "init": "init(rng) -> params",
    "batches": "batches(rng) -> iterator over the batches of one epoch",
    "loss_and_grad": "loss_and_grad(params, batch) -> (loss, grads)",
}


class Problem(Protocol):
    """What can be trained: any object, or a module, with these functions.

    Two more are optional: ``evaluate(params) -> dict`` returns metrics of validation data by name, such as
    ``{"val_loss": 0.3}``, and ``weight(batch) -> number`` the number of rows or tokens in a batch, by which batches are
    weighted where several make one step.
    """

    init: Callable[[np.random.Generator], Any]
    """Returns parameters: arrays in any structure that an optimizer takes."""
    batches: Callable[[np.random.Generator], Iterator[Any]]
    """Returns the batches of one epoch."""
    loss_and_grad: Callable[[Any, Any], tuple[Any, Any]]
    """Returns the loss of a batch and its gradients, in the structure of the parameters. If there is a loss scaler, it
    is called with ``loss_scale=`` too, and returns the loss as it is and the gradients multiplied by this number."""


class ProblemError(TypeError):
    """A problem lacks something, or one of its functions returns what cannot be used. The message says what."""


def require_problem(problem: Any, owner: str, *, needs: tuple[str, ...] = tuple(_NEEDED)) -> None:
    """Raise ProblemError, which names what lacks, unless `problem` has the functions of a problem."""
    missing = [_NEEDED[name] for name in needs if not callable(getattr(problem, name, None))]
    if missing:
        raise ProblemError(f"{owner}: the problem {name_of(problem)} lacks {', and '.join(missing)}")
    for name in ("evaluate", "weight"):
        if not callable(getattr(problem, name, lambda: None)):
            raise ProblemError(f"{owner}: {name} of the problem {name_of(problem)} must be a function")


def name_of(problem: Any) -> str:
    """Return what a problem is called: the name of its module or of its class."""
    name = getattr(problem, "__name__", None) or type(problem).__name__
    return str(name).rpartition(".")[2]


def takes_loss_scale(problem: Any) -> bool:
    """Whether ``loss_and_grad`` has an argument ``loss_scale``."""
    parameters = inspect.signature(problem.loss_and_grad).parameters
    return "loss_scale" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def metrics_of(problem: Any, params: Any, owner: str) -> dict[str, float]:
    """Return what ``evaluate`` gives; every name begins with "val_"."""
    found = problem.evaluate(params)
    if not isinstance(found, Mapping) or not found:
        raise ProblemError(
            f"{owner}: evaluate(params) of the problem {name_of(problem)} must return a dict such as "
            f'{{"val_loss": 0.3}}, got {short_repr(found)}'
        )
    metrics = {}
    for name, value in found.items():
        key = str(name) if str(name).startswith("val_") else f"val_{name}"
        metrics[key] = as_float(value, f"{owner}: evaluate: {name}", "a number")
    return metrics


class Batches:
    """Batches without end, epoch by epoch, that know where they are."""

    def __init__(self, problem: Any, rng: np.random.Generator, owner: str) -> None:
        self._problem, self._owner = problem, owner
        self._rng = rng
        self._began = copy.deepcopy(rng)
        self._iterator: Iterator[Any] | None = None
        self.epoch = 0
        """How many epochs have ended."""
        self.place = 0
        """How many batches of this epoch have been used; the caller counts them."""

    def take(self) -> tuple[Any] | None:
        """Return the next batch, or None if the epoch has ended; the next call begins another one."""
        if self._iterator is None:
            self._iterator = self._begin()
        for batch in self._iterator:
            return (batch,)
        if self.place == 0:
            raise ProblemError(f"{self._owner}: batches(rng) of the problem {name_of(self._problem)} gave no batch")
        self.epoch += 1
        self.place = 0
        self._iterator = None
        return None

    def _begin(self) -> Iterator[Any]:
        """Begin an epoch, from the place where it was left."""
        self._began = copy.deepcopy(self._rng)
        try:
            iterator: Iterator[Any] = iter(self._problem.batches(self._rng))
        except TypeError as error:
            raise ProblemError(f"{self._owner}: batches(rng) must return an iterator: {error}") from error
        for _ in range(self.place):
            next(iterator, None)
        return iterator

    def position(self) -> dict[str, Any]:
        """Return where this is: the generator as the epoch began, and how many of its batches have been used."""
        began = self._rng if self._iterator is None else self._began
        return {"rng": copy.deepcopy(began), "epoch": self.epoch, "place": self.place}

    def go_to(self, position: Mapping[str, Any]) -> None:
        """Go on from what `position` returned. The batches before are made again, and left out."""
        self._rng, self.epoch, self.place = position["rng"], int(position["epoch"]), int(position["place"])
        self._iterator = None
