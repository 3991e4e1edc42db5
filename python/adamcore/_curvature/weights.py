"""The weights of an optimizer as one vector, which can be moved and put back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.gradients import whole_gradients_by_name
from adamcore._arrays.libraries import as_numpy, assign, library_of
from adamcore._arrays.structures import named_arrays
from adamcore._checks.numbers import as_float
from adamcore._checks.signals import calls_for_signals
from adamcore._core import Paired, call_all, short_repr
from adamcore._curvature.lanczos import Vector
from adamcore._parts.given import params_of

_REAL = {"float32": np.float32, "float64": np.float64, "complex64": np.float32, "complex128": np.float64}


class CurvatureError(ValueError):
    """A loss or a gradient around the weights is not finite, so that no curvature can be measured."""


class Weights:
    """The parameters of an optimizer as one vector of float64: real ones, and complex ones as pairs.

    Raises ValueError, which begins with `owner`, for parameters in half precision: small moves vanish in it.
    """

    def __init__(self, opt: Any, owner: str) -> None:
        self._named = list(named_arrays(opt.param_groups))
        self._before = [np.array(as_numpy(array, owner)) for _, array in self._named]
        for (name, array), values in zip(self._named, self._before, strict=True):
            if library_of(array) is None or values.dtype.name not in _REAL:
                raise ValueError(
                    f"{owner}: parameter {name!r} must be float32, float64 or complex, of NumPy, PyTorch or CuPy, to "
                    f"measure curvature by small moves, got {type(array).__name__} of {values.dtype}"
                )
        self.names = [name for name, _ in self._named]
        self.vector = self._flat(self._before)
        self.put_back: Callable[[], Any] = partial(
            call_all, [_writer(array, values) for (_, array), values in zip(self._named, self._before, strict=True)]
        )
        """Writes the weights that there were."""

    def put_back_in_the_end(self) -> Paired:
        """Return a block at whose end the weights are put back, whatever signals come."""
        return Paired([(int, self.put_back)] * calls_for_signals())

    @property
    def is_single(self) -> bool:
        """Whether all of them have single precision."""
        return all(_REAL[values.dtype.name] is np.float32 for values in self._before)

    def put(self, vector: Vector) -> None:
        """Write other weights."""
        values = self.split(vector)
        for name, array in self._named:
            assign(array, values[name])

    def split(self, vector: Vector) -> dict[str, NDArray[Any]]:
        """Return a vector as arrays of the shapes and dtypes of the parameters, by name."""
        found, first = {}, 0
        for name, like in zip(self.names, self._before, strict=True):
            count = like.size * (2 if like.dtype.kind == "c" else 1)
            part = vector[first : first + count].astype(_REAL[like.dtype.name])
            found[name] = part.view(like.dtype).reshape(like.shape)
            first += count
        return found

    def joined(self, arrays: dict[str, Any], owner: str) -> Vector:
        """Return arrays by name as one vector; those that lack are 0. Raises ValueError for another shape."""
        parts = []
        for name, like in zip(self.names, self._before, strict=True):
            values = as_numpy(arrays[name], owner) if name in arrays else np.zeros_like(like)
            if values.shape != like.shape:
                raise ValueError(f"{owner}: the gradient of {name!r} has the shape {values.shape}, not {like.shape}")
            if values.dtype.kind == "c" != like.dtype.kind:
                raise TypeError(f"{owner}: the gradient of {name!r} is {values.dtype}, but the parameter is real")
            parts.append(values.astype(np.complex128 if like.dtype.kind == "c" else np.float64))
        return self._flat(parts)

    @staticmethod
    def _flat(arrays: list[NDArray[Any]]) -> Vector:
        parts = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
        reals = [part.view(part.real.dtype) if part.dtype.kind == "c" else part for part in parts]
        return np.concatenate([real.astype(np.float64) for real in reals])


def _writer(array: Any, values: NDArray[Any]) -> Callable[[], Any]:
    # numpy.copyto calls Python, in which signals are handled.
    return partial(array.__setitem__, ..., values) if library_of(array) == "numpy" else partial(assign, array, values)


class Objective:
    """The mean loss and gradient of some batches as functions of the vector of weights.

    Parameters
    ----------
    opt : Optimizer
    loss_and_grad : callable
        ``loss_and_grad(params, *batch)`` returns the loss and the gradients. It must give the same for the same
        weights.
    batches : sequence of tuples
        What it gets besides the parameters, at least one tuple.
    owner : str
        What messages begin with.
    """

    def __init__(
        self, opt: Any, loss_and_grad: Callable[..., Any], batches: Sequence[tuple[Any, ...]], owner: str
    ) -> None:
        if not callable(loss_and_grad):
            raise TypeError(f"{owner}: loss_and_grad must be a function, got {short_repr(loss_and_grad)}")
        self.weights = Weights(opt, owner)
        self.gradients = 0
        """How often `loss_and_grad` has been called."""
        self._call, self._batches, self._owner = loss_and_grad, batches, owner
        self._params = params_of(opt)

    def __call__(self, vector: Vector) -> tuple[float, Vector]:
        """Return the loss and the gradient there. The weights stay there: call ``weights.put_back`` in the end."""
        self.weights.put(vector)
        found = [self._one(batch) for batch in self._batches]
        if len(found) == 1:
            return found[0]
        losses, gradients = zip(*found, strict=True)
        return math.fsum(losses) / len(found), sum(gradients[1:], gradients[0]) / len(found)

    def _one(self, batch: tuple[Any, ...]) -> tuple[float, Vector]:
        self.gradients += 1
        found = self._call(self._params, *batch)
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(f"{self._owner}: loss_and_grad must return (loss, grads), got {short_repr(found)}")
        loss, grads = found
        detach = getattr(loss, "detach", None)
        value = as_float(loss if detach is None else detach(), f"{self._owner}: the loss", "a number")
        return value, self.weights.joined(whole_gradients_by_name(grads, self.weights.names, self._owner), self._owner)

    def loss(self, vector: Vector) -> float:
        """Return the loss there; infinity if it is not a finite number."""
        with np.errstate(all="ignore"):
            value, _ = self(vector)
        return value if math.isfinite(value) else math.inf
