"""One update of bare arrays, in place, for every rule: for those who keep the state themselves.

There is one function for each optimizer, its name in lower case and its hyper-parameters keyword-only:

``adamw(p, g, exp_avg, exp_avg_sq, *, t, lr=1e-3, betas=(0.9, 0.999), ...)``

`p`, `g` and each state array are arrays of one shape, or equal-length lists of them. Parameters and gradients may have
any supported dtype and strides; state is dense, float64 where the parameter is, else float32, bfloat16 or float16. A
half-precision parameter is rounded to nearest, and nothing is kept of what that loses. State stands in the order of the
optimizer's ``state``, or is passed by its name there; which arrays there are depends on the hyper-parameters
(``max_exp_avg_sq`` with ``amsgrad=True``). `t` is the number of this update, from 1, or a list with one number for each
array.

Examples
--------
>>> import adamcore as ac, numpy as np
>>> p, buffer = np.zeros(2), np.zeros(2)
>>> ac.functional.sgd(p, np.ones(2), buffer, t=1, lr=0.5, momentum=0.9)
>>> p
array([-0.5, -0.5])
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

from adamcore import _core, optimizers
from adamcore._memory import module_for, note_written
from adamcore.optimizer import Array, Optimizer

_RULES = _core.rules()


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
    steps = [operator.index(step) for step in steps]
    maximize = bool(hyper.get("maximize", False))
    p, g, *state = lists
    module_for(p, names[0]).update(rule, owner, hyper, maximize, p, g, state, steps, names, indexed, renamed or {})
    note_written(array for members in (p, *state) for array in members)


def _make(optimizer: type[Optimizer]) -> Callable[..., None]:
    owner = optimizer.__name__.lower()
    given = inspect.signature(optimizer.__init__).parameters
    skipped = ("self", "params", "options")
    presets = {name: p.default for name, p in given.items() if name not in skipped}

    def function(p: Any, g: Any, *state: Any, t: Any, **options: Any) -> None:
        hyper = {**presets, **{key: options.pop(key) for key in tuple(options) if key in presets}}
        rule = optimizer._rule(hyper)
        slots = _RULES[rule]["slots"]
        named = dict(zip(slots, state, strict=False))
        if surplus := [key for key in options if key not in slots or key in named]:
            raise TypeError(f"{owner}: unexpected argument {surplus[0]!r}")
        named.update(options)
        if missing := [slot for slot in slots if slot not in named]:
            raise TypeError(f"{owner}: the state array {missing[0]!r} is missing")
        if len(state) > len(slots):
            raise TypeError(f"{owner}: expected {len(slots)} state arrays {tuple(slots)}, got {len(state)}")
        _update(owner, rule, ["p", "g", *slots], [p, g, *(named[slot] for slot in slots)], t, hyper)

    slots = _RULES[optimizer._rule(presets)]["slots"]
    kinds = inspect.Parameter
    function.__name__ = function.__qualname__ = owner
    function.__doc__ = (
        f"One update of `{optimizer.__name__}` on bare arrays, in place.\n\n"
        f"State, at the defaults: {', '.join(slots) or 'none'}. See the module for what the arguments are."
    )
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            kinds("p", kinds.POSITIONAL_OR_KEYWORD),
            kinds("g", kinds.POSITIONAL_OR_KEYWORD),
            kinds("state", kinds.VAR_POSITIONAL),
            kinds("t", kinds.KEYWORD_ONLY),
            *(kinds(name, kinds.KEYWORD_ONLY, default=preset) for name, preset in presets.items()),
        ]
    )
    return function


_FUNCTIONS = {name.lower(): _make(getattr(optimizers, name)) for name in optimizers.__all__}


def __getattr__(name: str) -> Callable[..., None]:
    try:
        return _FUNCTIONS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return [*_FUNCTIONS, "adam_update"]


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
