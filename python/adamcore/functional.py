"""Functions that do one update of plain arrays, in place, for callers who keep the state themselves.

There is one function for each optimizer but `Prodigy`, whose numbers belong to all parameters together. It has the
optimizer's name in lower case, and the same defaults:

``adamw(p, g, exp_avg, exp_avg_sq, t=1, lr=1e-3, betas=(0.9, 0.999), ...)``

`p`, `g` and each state array are arrays of one shape, or lists of arrays, all of the same length. Parameters and
gradients may have any supported dtype and strides. State arrays are dense; they are float64 or complex if the parameter
is, and otherwise float32, bfloat16 or float16. (Functions that have state of another shape describe it.) Complex
numbers are updated as pairs of real ones. Half-precision parameters are rounded to nearest, and the rounding error is
lost. State arrays are passed by position, in the order of the optimizer's ``state``, or by name. Which of them exist
depends on the hyper-parameters (``max_exp_avg_sq`` only with ``amsgrad=True``). `t` is the number of this update,
starting at 1, or a list with one number for each array.

Half-precision state is also rounded to nearest, because these functions have no seed and no parameter name from which
to derive random numbers. In bfloat16, averages of squares therefore get stuck when they should decrease. Optimizers
round stochastically; see `adamcore.Precision`.

Examples
--------
>>> import adamcore as ac, numpy as np
>>> p, buffer = np.zeros(2), np.zeros(2)
>>> ac.functional.sgd(p, np.ones(2), buffer, t=1, lr=0.5, momentum=0.9)
>>> p
array([-0.5, -0.5])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adamcore import _core, optimizers
from adamcore._arrays.update import update_arrays
from adamcore.optimizer import Array

if TYPE_CHECKING:
    from adamcore.optimizers import *  # noqa: F403  (each function stands beside its class)
else:
    globals().update(optimizers.FUNCTIONS)
    __all__ = ["adam_update"]
    __all__ += list(optimizers.FUNCTIONS)


def _update_by_name(
    theta: Array,
    grad: Array,
    state: tuple[Array, Array],
    t: int,
    alpha: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    hyper = {"lr": alpha, "betas": betas, "eps": eps, "weight_decay": weight_decay}
    renamed = {"lr": "alpha", "betas[0]": "beta1", "betas[1]": "beta2"}
    update_arrays("adam_update", "adam", ["theta", "grad", "m", "v"], [theta, grad, *state], t, hyper, renamed)


_update = _core.update_function(["lr", "betas", "eps", "weight_decay"], [], [], [], lambda _: "adam", _update_by_name)


def adam_update(
    theta: Array,
    grad: Array,
    m: Array,
    v: Array,
    t: int,
    alpha: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """Do one Adam update of plain arrays, in place, in the notation of the paper.

    Parameters
    ----------
    theta, m, v : array
        The parameter and its two moments, all of the same shape. They are updated.
    grad : array
        The gradient, with the shape of `theta`. It is not modified.
    t : int
        Number of this update, starting at 1.
    alpha : float
        Step size.
    beta1, beta2 : float
        Decay rates of the moments, each in [0, 1).
    eps : float
        Term added to the denominator.

    Returns
    -------
    theta, m, v : array
        The same arrays, updated.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid. Nothing has changed then.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> theta, m, v = np.zeros(2), np.zeros(2), np.zeros(2)
    >>> theta, m, v = ac.adam_update(theta, np.array([1.0, -3.0]), m, v, t=1, alpha=0.5)
    >>> theta.round(6)
    array([-0.5,  0.5])
    """
    _update(theta, grad, (m, v), t, alpha, (beta1, beta2), eps, 0.0)
    return theta, m, v
