"""Norms and clipping of gradients without an optimizer. Optimizers clip during a step and never modify gradients."""

from __future__ import annotations

import math
from typing import Any

from adamcore._arrays.flatten import flatten_grads
from adamcore._arrays.modules import NativeModule, module_for
from adamcore._checks.numbers import as_float
from adamcore._core import is_less, short_repr
from adamcore.loss_scaler import NonFiniteError


def global_norm(grads: Any) -> float:
    """Return the L2 norm of all gradients together.

    Parameters
    ----------
    grads : array, sequence or mapping
        float16, bfloat16, float32, float64, complex64 or complex128 arrays of any layout. None means that there is no
        gradient.

    Returns
    -------
    float
        The norm. It is summed in float64 in a fixed order, so its bits depend only on the values of the elements. It
        overflows only if the norm itself exceeds float64. It is inf or NaN if an element is.

    Raises
    ------
    TypeError, ValueError
        If a gradient is not such an array.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> ac.global_norm({"w": np.full((2, 2), 1.5, np.float16), "b": np.array([4.0])})
    5.0
    """
    arrays, labels = _arrays(grads, written=False)
    return _module(arrays, labels).global_norm(arrays, labels)


def clip_grad_norm_(grads: Any, max_norm: float, *, error_if_nonfinite: bool = False) -> float:
    """Scale gradients in place so that their global norm is at most `max_norm`.

    The gradients are multiplied by ``min(1, max_norm / (norm + 1e-6))``, as in PyTorch. If the factor is 1, or if the
    norm is not finite, the gradients are not modified.

    Parameters
    ----------
    grads : array, sequence or mapping
        Arrays as in `global_norm`. They must be writable.
    max_norm : float
        Maximum norm, >= 0.
    error_if_nonfinite : bool
        Raise `NonFiniteError` if the norm is not finite.

    Returns
    -------
    float
        The norm before clipping.

    Raises
    ------
    TypeError, ValueError
        If an array or `max_norm` is invalid. Nothing has changed then.
    NonFiniteError
        If `error_if_nonfinite` is true and the norm is not finite.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> grads = [np.array([3.0, 0.0]), np.array([4.0])]
    >>> ac.clip_grad_norm_(grads, 1.0)
    5.0
    >>> grads[1].round(4)
    array([0.8])
    """
    limit = _limit(max_norm, "clip_grad_norm_: max_norm")
    arrays, labels = _arrays(grads)
    norm = _module(arrays, labels).clip_norm(arrays, labels, limit)
    if error_if_nonfinite and not math.isfinite(norm):
        raise NonFiniteError(f"clip_grad_norm_: the norm of the gradients is {norm}")
    return norm


def clip_grad_value_(grads: Any, value: float) -> None:
    """Clip the elements of gradients to ``[-value, value]``, in place. NaN remains NaN.

    Parameters
    ----------
    grads : array, sequence or mapping
        Arrays as in `global_norm`. They must be writable.
    value : float
        Maximum absolute value, >= 0.

    Raises
    ------
    TypeError, ValueError
        If an array or `value` is invalid. Nothing has changed then.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> grad = np.array([-3.0, 0.5])
    >>> ac.clip_grad_value_(grad, 1.0)
    >>> grad
    array([-1. ,  0.5])
    """
    limit = _limit(value, "clip_grad_value_: value")
    arrays, labels = _arrays(grads)
    _module(arrays, labels).clip_value(arrays, labels, limit)


def _arrays(grads: Any, *, written: bool = True) -> tuple[list[Any], list[str]]:
    flat = flatten_grads(grads, written=written)
    given = [(array, label) for array, label in zip(flat.arrays, flat.labels, strict=True) if array is not None]
    return [array for array, _ in given], [label for _, label in given]


def _module(arrays: list[Any], labels: list[str]) -> NativeModule:
    return module_for(arrays, labels[0] if labels else "grads")


def _limit(value: Any, label: str) -> float:
    limit = as_float(value, label, "a number")
    if math.isnan(limit) or is_less(limit, 0.0):
        raise ValueError(f"{label} must be a number >= 0, got {short_repr(value)}")
    return limit
