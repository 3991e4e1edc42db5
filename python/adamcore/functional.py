"""One update of bare arrays, in place, for every rule: for those who keep the state themselves.

There is one function for each optimizer, its name in lower case, with its defaults:

``adamw(p, g, exp_avg, exp_avg_sq, t=1, lr=1e-3, betas=(0.9, 0.999), ...)``

`p`, `g` and each state array are arrays of one shape, or equal-length lists of them. Parameters and gradients may have
any supported dtype and strides; state is dense, float64 where the parameter is, else float32, bfloat16 or float16. A
half-precision parameter is rounded to nearest, and nothing is kept of what that loses. State stands in the order of the
optimizer's ``state``, or is passed by its name there; which arrays there are depends on the hyper-parameters
(``max_exp_avg_sq`` with ``amsgrad=True``). `t` is the number of this update, from 1, or a list with one number for each
array.

Half-precision state is rounded to nearest too, since there is neither a seed nor a name to draw random numbers by: in
bfloat16, averages of squares stand still while they ought to fall. `adamcore.Precision` says what optimizers do.

Examples
--------
>>> import adamcore as ac, numpy as np
>>> p, buffer = np.zeros(2), np.zeros(2)
>>> ac.functional.sgd(p, np.ones(2), buffer, t=1, lr=0.5, momentum=0.9)
>>> p
array([-0.5, -0.5])
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

from adamcore import _core, optimizers
from adamcore._core import short_repr
from adamcore._groups import require_flags
from adamcore._memory import module_for
from adamcore.optimizer import Array, Optimizer

__all__ = ["adagrad", "adam", "adam_update", "adamw", "rmsprop", "sgd"]

Arrays = Any
"""An array, or a list of them: NumPy's, PyTorch's or CuPy's."""
Counts = SupportsIndex | Sequence[SupportsIndex]

_SLOTS: dict[str, list[str]] = {name: rule["slots"] for name, rule in _core.rules().items()}


def adam(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
    max_exp_avg_sq: Arrays | None = None,
) -> None:
    """Do one update of `Adam` on bare arrays, in place.

    State: ``exp_avg``, ``exp_avg_sq``; and ``max_exp_avg_sq`` with ``amsgrad``.
    See the module for what the arguments are.
    """
    hyper = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
    _run(
        "adam",
        optimizers.Adam,
        p,
        g,
        state,
        dict(exp_avg=exp_avg, exp_avg_sq=exp_avg_sq, max_exp_avg_sq=max_exp_avg_sq),
        t,
        hyper,
    )


def adamw(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
    max_exp_avg_sq: Arrays | None = None,
) -> None:
    """Do one update of `AdamW` on bare arrays, in place.

    State: ``exp_avg``, ``exp_avg_sq``; and ``max_exp_avg_sq`` with ``amsgrad``.
    See the module for what the arguments are.
    """
    hyper = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
    _run(
        "adamw",
        optimizers.AdamW,
        p,
        g,
        state,
        dict(exp_avg=exp_avg, exp_avg_sq=exp_avg_sq, max_exp_avg_sq=max_exp_avg_sq),
        t,
        hyper,
    )


def sgd(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    momentum_buffer: Arrays | None = None,
) -> None:
    """Do one update of `SGD` on bare arrays, in place.

    State: none or ``momentum_buffer`` where `momentum` is not 0.
    See the module for what the arguments are.
    """
    hyper = dict(
        lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov, maximize=maximize
    )
    _run("sgd", optimizers.SGD, p, g, state, dict(momentum_buffer=momentum_buffer), t, hyper)


def rmsprop(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
    square_avg: Arrays | None = None,
    momentum_buffer: Arrays | None = None,
    grad_avg: Arrays | None = None,
) -> None:
    """Do one update of `RMSprop` on bare arrays, in place.

    State: ``square_avg``; then ``momentum_buffer`` where `momentum` is not 0, and ``grad_avg`` with ``centered``.
    See the module for what the arguments are.
    """
    hyper = dict(
        lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered, maximize=maximize
    )
    _run(
        "rmsprop",
        optimizers.RMSprop,
        p,
        g,
        state,
        dict(square_avg=square_avg, momentum_buffer=momentum_buffer, grad_avg=grad_avg),
        t,
        hyper,
    )


def adagrad(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
    sum: Arrays | None = None,  # noqa: A002
) -> None:
    """Do one update of `Adagrad` on bare arrays, in place.

    State: ``sum``, which the caller begins with `initial_accumulator_value`.
    See the module for what the arguments are.
    """
    hyper = dict(
        lr=lr,
        lr_decay=lr_decay,
        weight_decay=weight_decay,
        initial_accumulator_value=initial_accumulator_value,
        eps=eps,
        maximize=maximize,
    )
    _run("adagrad", optimizers.Adagrad, p, g, state, dict(sum=sum), t, hyper)


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
    """Do one Adam step on bare arrays, in place, in the notation of the paper.

    Parameters
    ----------
    theta, m, v : array
        The parameter and its two moments, of one shape. They are updated.
    grad : array
        The gradient, in the shape of `theta`. It is only read.
    t : int
        Number of this update, from 1.
    alpha : float
        Step size.
    beta1, beta2 : float
        Decay of the moments, in [0, 1).
    eps : float
        Added to the denominator.

    Returns
    -------
    theta, m, v : array
        The same arrays.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit. Nothing has changed then.

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
    hyper = {"lr": alpha, "betas": (beta1, beta2), "eps": eps, "weight_decay": 0.0}
    renamed = {"lr": "alpha", "betas[0]": "beta1", "betas[1]": "beta2"}
    _update("adam_update", "adam", ["theta", "grad", "m", "v"], [theta, grad, m, v], t, hyper, renamed)
    return theta, m, v


def _run(
    owner: str,
    optimizer: type[Optimizer],
    p: Arrays,
    g: Arrays,
    state: tuple[Arrays, ...],
    named: dict[str, Arrays | None],
    t: Counts,
    hyper: dict[str, Any],
) -> None:
    """Run an optimizer's rule on state that is given in order, or by name."""
    if callable(hyper["lr"]):
        raise TypeError(f"{owner}: lr must be a number here, got a schedule; call it: lr=schedule(t - 1)")
    require_flags(owner, hyper)
    rule = optimizer._rule(hyper)
    slots = _SLOTS[rule]
    if len(state) > len(slots):
        raise TypeError(f"{owner}: expected {len(slots)} state arrays {tuple(slots)}, got {len(state)}")
    found = dict(zip(slots, state, strict=False))
    for name, array in named.items():
        if array is None:
            continue
        if name not in slots:
            raise TypeError(
                f"{owner}: unexpected argument {name!r}: with these hyper-parameters there is no such state"
            )
        if name in found:
            raise TypeError(f"{owner}: unexpected argument {name!r}: that state array has been given in order already")
        found[name] = array
    if missing := [slot for slot in slots if slot not in found]:
        raise TypeError(f"{owner}: the state array {missing[0]!r} is missing")
    _update(owner, rule, ["p", "g", *slots], [p, g, *(found[slot] for slot in slots)], t, hyper)


def _update(
    owner: str,
    rule: str,
    names: list[str],
    arrays: list[Any],
    t: Any,
    hyper: dict[str, Any],
    renamed: dict[str, str] | None = None,
) -> None:
    """Run one update of `arrays`: the parameters, their gradients, and each slot."""
    indexed = isinstance(arrays[0], (list, tuple))
    lists = [list(a) if isinstance(a, (list, tuple)) else [a] for a in arrays]
    count = len(lists[0])
    for name, array, members in zip(names, arrays, lists, strict=True):
        if isinstance(array, (list, tuple)) != indexed or len(members) != count:
            expected = f"a list of {count} arrays, as {names[0]} is" if indexed else f"one array, as {names[0]} is"
            found = f"a list of {len(members)}" if isinstance(array, (list, tuple)) else type(array).__name__
            raise TypeError(f"{owner}: {name} must be {expected}, got {found}")
    steps = list(t) if isinstance(t, (list, tuple)) else [t] * count
    if len(steps) != count:
        raise ValueError(f"{owner}: t has {len(steps)} numbers for {count} arrays")
    counts = [_count(owner, step) for step in steps]
    maximize = bool(hyper.get("maximize", False))
    p, g, *state = lists
    module_for(p, names[0]).update(rule, owner, hyper, maximize, p, g, state, counts, names, indexed, renamed or {})


def _count(owner: str, step: Any) -> int:
    try:
        count = operator.index(step)
    except TypeError:
        count = None
    if count is None or isinstance(step, bool):
        raise TypeError(
            f"{owner}: t must be an integer, the number of this update from 1, or a list with one for each array, got "
            f"{short_repr(step)}"
        )
    if not 1 <= count < 2**63:
        raise ValueError(f"{owner}: t counts updates from 1, got {short_repr(step)}")
    return count
