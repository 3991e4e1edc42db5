"""Problems: what `fit` and `compare` train."""

from __future__ import annotations

import copy
import inspect
import itertools
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
    if isinstance(problem, str):
        raise ProblemError(
            f"{owner}: the problem must be a module or an object, got the text {problem!r}: import it first"
        )
    missing = [_NEEDED[name] for name in needs if not callable(getattr(problem, name, None))]
    if missing:
        raise ProblemError(f"{owner}: the problem {name_of(problem)} lacks {', and '.join(missing)}")
    if isinstance(problem, type) and any(inspect.isfunction(inspect.getattr_static(problem, name)) for name in needs):
        raise ProblemError(f"{owner}: the problem {name_of(problem)} is a class; pass an object, {name_of(problem)}()")
    for name in ("evaluate", "weight"):
        if not callable(getattr(problem, name, lambda: None)):
            raise ProblemError(f"{owner}: {name} of the problem {name_of(problem)} must be a function")


def name_of(problem: Any) -> str:
    """Return what a problem is called: the name of its module or of its class."""
    name = getattr(problem, "__name__", None) or type(problem).__name__
    return str(name).rpartition(".")[2]


def takes_loss_scale(problem: Any) -> bool:
    """Whether ``loss_and_grad`` has an argument ``loss_scale``, as far as can be known."""
    try:
        parameters = inspect.signature(problem.loss_and_grad).parameters
    except ValueError:  # a function of C
        return True
    return "loss_scale" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def number(value: Any, label: str) -> float:
    """Return what a function of a problem gave as a float: also a tensor of which there could be gradients."""
    detach = getattr(value, "detach", None)
    return as_float(value if detach is None else detach(), label, "a number")


def deciding(metrics: Mapping[str, float]) -> str:
    """Return the name of the metric that decides unless another one is asked for: "val_loss", or else the first."""
    return "val_loss" if "val_loss" in metrics else next(iter(metrics))


def metrics_of(problem: Any, params: Any, owner: str) -> dict[str, float]:
    """Return what ``evaluate`` gives; every name begins with "val_"."""
    found = problem.evaluate(params)
    if not isinstance(found, Mapping) or not found:
        raise ProblemError(
            f"{owner}: evaluate(params) of the problem {name_of(problem)} must return a dict such as "
            f'{{"val_loss": 0.3}}, got {short_repr(found)}'
        )
    metrics: dict[str, float] = {}
    for name, value in found.items():
        if not isinstance(name, str):
            raise ProblemError(f"{owner}: evaluate: the names of metrics must be str, got {short_repr(name)}")
        key = name if name.startswith("val_") else f"val_{name}"
        if key in metrics:
            raise ProblemError(f"{owner}: evaluate: {key!r} and {key[4:]!r} are the same metric")
        metrics[key] = number(value, f"{owner}: evaluate: {name}")
    return metrics


class Batches:
    """Batches without end, epoch by epoch, that know where they are."""

    def __init__(self, problem: Any, rng: np.random.Generator, owner: str) -> None:
        self._problem, self._owner = problem, owner
        self._rng = rng
        self._began: np.random.Generator | None = None
        """The generator as this epoch began; None before."""
        self.iterator: Iterator[Any] | None = None
        """That of this epoch; None between epochs."""
        self._ahead: list[Any] = []
        """The next batch, if it has been taken already."""
        self.before: Any = None
        """The last of the batches that have been left out to go on from a checkpoint."""
        self.epoch = 0
        """How many epochs have ended."""
        self.place = 0
        """How many batches of this epoch have been used; the caller counts them."""

    def take(self) -> tuple[Any] | None:
        """Return the next batch, or None if the epoch has ended; the next call begins another one."""
        if self.is_at_end():
            self.epoch, self.place, self.iterator, self._began = self.epoch + 1, 0, None, None
            return None
        self.before = None
        return (self._ahead.pop(),)

    def is_at_end(self) -> bool:
        """Whether this epoch has no more batches. To know it, the next one is taken from the iterator."""
        if self._ahead:
            return False
        if self.iterator is None:
            self.iterator = self._begin()
        for batch in self.iterator:
            self._ahead.append(batch)
            return False
        if self.place == 0:
            raise ProblemError(f"{self._owner}: batches(rng) of the problem {name_of(self._problem)} gave no batch")
        return True

    def _begin(self) -> Iterator[Any]:
        """Begin an epoch, from the place where it was left."""
        if self._began is None:
            self._began = copy.deepcopy(self._rng)
        found = self._problem.batches(self._rng)
        try:
            iterator: Iterator[Any] = iter(found)
        except TypeError:
            raise ProblemError(
                f"{self._owner}: batches(rng) must return an iterator, got {short_repr(found)}"
            ) from None
        used = 0
        for batch in itertools.islice(iterator, self.place):
            self.before = batch
            used += 1
        if used < self.place:
            raise ProblemError(
                f"{self._owner}: batches(rng) gave only {used} batches of an epoch of which {self.place} had been used "
                "when the checkpoint was saved: the problem must be the same"
            )
        return iterator

    def position(self) -> dict[str, Any]:
        """Return where this is: the generator as the epoch began, and how many of its batches have been used."""
        began = self._rng if self._began is None else self._began
        return {"rng": copy.deepcopy(began), "epoch": self.epoch, "place": self.place}

    def go_to(self, position: Mapping[str, Any]) -> None:
        """Go on from what `position` returned. The batches before are made again, and left out."""
        self._rng, self.epoch, self.place = position["rng"], int(position["epoch"]), int(position["place"])
        self._began, self.iterator = None, None
        self._ahead.clear()
