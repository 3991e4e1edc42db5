"""`EMA`, `SWA` and `Lookahead`: averages of weights that every step of an optimizer carries on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.structures import named_arrays
from adamcore._checks.flags import as_flag
from adamcore._checks.numbers import as_float, as_int
from adamcore._checks.successors import latest
from adamcore._core import Paired, rules, short_repr
from adamcore._parts.averages import attach
from adamcore._parts.views import ByName
from adamcore.optimizer import Optimizer

_RESERVED = {"step", "begun", "master", "remainder", "remainder_ties", "compensation"}


class _Average:
    """An average of the weights of one optimizer, which owns its arrays. This object only knows their name."""

    _counted: ClassVar[str] = "steps"

    def __init__(self, opt: Optimizer, name: str, options: dict[str, Any]) -> None:
        owner = type(self).__name__
        if not isinstance(opt, Optimizer):
            raise TypeError(f"{owner}: opt must be an optimizer, got {short_repr(opt)}")
        if not isinstance(name, str):
            raise TypeError(f"{owner}: name must be a str, got {short_repr(name)}")
        taken = _RESERVED.union(*(rule["slots"] for rule in rules().values()))
        if not name or name in taken:
            raise ValueError(f"{owner}: name must not be that of other state, got {short_repr(name)}")
        attach(opt, name, {"type": owner, **options})
        self._opt = opt
        self._name = name

    @property
    def _opt(self) -> Optimizer:
        """The optimizer, also after it was switched to another rule."""
        opt: Optimizer = self.__dict__["_opt"]
        return latest(opt)

    @_opt.setter
    def _opt(self, opt: Optimizer) -> None:
        self.__dict__["_opt"] = opt

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opt": self._opt}

    @property
    def name(self) -> str:
        """The name of the average among the arrays of ``opt.state``."""
        return self._name

    @property
    def count(self) -> int:
        """How often it has gone on."""
        count: int = self._opt._native.averages[self._name][self._counted]
        return count

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """The arrays of the average by the name of the parameter. They are views of the optimizer's own memory."""
        return ByName(self._opt._native.places, lambda index: self._opt._state_of(index)[self._name])

    def __repr__(self) -> str:
        options = {key: value for key, value in self._opt._averages[self._name].items() if key != "type"}
        shown = "".join(f", {key}={value!r}" for key, value in options.items())
        return f"{type(self).__name__}({type(self._opt).__name__}{shown}, name={self._name!r})"


class _Swappable(_Average):
    """An average that can take the place of the weights."""

    def swap(self) -> AbstractContextManager[Any]:
        """Exchange the weights with the average inside a ``with`` block, for evaluation.

        The arrays of the parameters hold the average, those of the average hold the parameters, and both are put back
        at the end, also if the block raises. Inside, steps, `state_dict` and everything else that changes or copies the
        optimizer raise an error.

        Raises
        ------
        RuntimeError
            If the optimizer's parameters hold an average already.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> w = np.ones(2)
        >>> opt = ac.SGD(w, lr=0.5)
        >>> ema = ac.EMA(opt, decay=0.5, warmup=False)
        >>> info = opt.step(np.ones(2))
        >>> with ema.swap():
        ...     print(w)
        [0.75 0.75]
        >>> w
        array([0.5, 0.5])
        """
        self._require_begun()
        exchange = self._opt._native.exchange
        there, back = (partial(exchange, self._name, is_back) for is_back in (False, True))
        return Paired([(there, back)])

    def _require_begun(self) -> None:
        """Raise RuntimeError if nothing has been averaged yet."""


class EMA(_Swappable):
    r"""An average of weights in which older ones count less, exponentially.

    It begins as the weights, when it is made. After the n-th step from then on, a is moved towards the weights:
    ``a += (1 - d) * (weight - a)``, with ``d = min(decay, (1 + n) / (10 + n))``, or ``d = decay`` without `warmup`.
    Steps that are skipped do not count. All parameters take part, also those without a gradient.

    The average is part of the step, which has the weights at hand. It moves 8 bytes for each float32 weight, where a
    pass of its own would take 12. It is also part of the optimizer's state: ``opt.state[parameter][name]`` is its
    array, and `state_dict` and copies of the optimizer have it. To load such a state, make the average first.

    Parameters
    ----------
    opt : Optimizer
        The optimizer.
    decay : float
        The weight of what was before, in [0, 1].
    warmup : bool
        Whether the first steps have smaller decays, so that the first weights are soon forgotten.
    every : int
        The average goes on with every so many steps.
    dtype : None or dtype
        The type of the average. It is the one in which steps are computed: float64 for float64 parameters, and
        otherwise float32. Another one raises an error.
    name : str
        The name of the average in ``opt.state[parameter]``. An optimizer can have several.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or if there is state of this name. Nothing has changed then.
    MemoryError
        If there is no memory for the arrays. Nothing has changed then.
    RuntimeError
        On CUDA, if a step has been captured into a graph: make averages before. Nothing has changed then.

    Notes
    -----
    Where a half-precision parameter has a master weight, a remainder or a compensation, the average is of the weights
    that these keep. It equals PyTorch's ``AveragedModel`` whose ``update_parameters`` has been called once before the
    first step, with ``warmup=False``.

    References
    ----------
    Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control Optim., 1992.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> opt = ac.SGD({"w": np.ones(2)}, lr=0.5)
    >>> ema = ac.EMA(opt, decay=0.5, warmup=False)
    >>> info = opt.step({"w": np.ones(2)})
    >>> ema.arrays["w"], ema.count
    (array([0.75, 0.75]), 1)
    """

    def __init__(
        self,
        opt: Optimizer,
        decay: float = 0.999,
        *,
        warmup: bool = True,
        every: int = 1,
        dtype: Any = None,
        name: str = "ema",
    ) -> None:
        number = _fraction(decay, "EMA: decay", least_included=True)
        options = dict(decay=number, warmup=as_flag(warmup, "EMA: warmup"), every=_whole(every, "EMA: every"))
        if isinstance(opt, Optimizer):
            _require_own_dtype(opt, dtype)
        super().__init__(opt, name, options)


class SWA(_Swappable):
    """The mean of the weights after a step and all later ones (stochastic weight averaging).

    The first weights that it has are those after `start` completed steps, ``opt.completed == start``, and it goes on
    with every so many steps. Like `EMA`, it is part of the step and of the optimizer's state.

    Parameters
    ----------
    opt : Optimizer
        The optimizer.
    start : int
        The number of completed steps after which the mean begins.
    every : int
        The mean goes on with every so many steps.
    name : str
        The name of the mean in ``opt.state[parameter]``.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As by `EMA`.

    References
    ----------
    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> opt = ac.SGD({"w": np.zeros(2)}, lr=1.0)
    >>> swa = ac.SWA(opt, start=2)
    >>> for _ in range(4):
    ...     info = opt.step({"w": -np.ones(2)})
    >>> swa.arrays["w"], swa.count
    (array([3., 3.]), 3)
    """

    _counted = "averaged"

    def __init__(self, opt: Optimizer, *, start: int, every: int = 1, name: str = "swa") -> None:
        begin = as_int(start, "SWA: start", "an int >= 0", 0)
        super().__init__(opt, name, dict(start=begin, every=_whole(every, "SWA: every")))

    def _require_begun(self) -> None:
        if self.count == 0:
            start = self._opt._averages[self._name]["start"]
            raise RuntimeError(f"SWA: nothing has been averaged yet: the mean begins after {start} completed steps")


class Lookahead(_Average):
    """Slow weights, to which the others return every few steps.

    The slow weights begin as the weights. After every `k` steps they go a share `alpha` of their way to the weights,
    which then go on from there. Moments are kept. Like `EMA`, this is part of the step and of the optimizer's state.
    Slow weights are the better ones for evaluation: evaluate after a multiple of `k` steps, where both are equal.

    Parameters
    ----------
    opt : Optimizer
        The optimizer.
    k : int
        The number of steps after which weights return.
    alpha : float
        The share of their way that slow weights go, in (0, 1].
    name : str
        The name of the slow weights in ``opt.state[parameter]``.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As by `EMA`.

    References
    ----------
    Zhang et al., "Lookahead Optimizer: k Steps Forward, 1 Step Back", NeurIPS 2019.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(2)
    >>> opt = ac.SGD(w, lr=1.0)
    >>> slow = ac.Lookahead(opt, k=2)
    >>> for _ in range(2):
    ...     info = opt.step(-np.ones(2))
    >>> w
    array([1., 1.])
    """

    def __init__(self, opt: Optimizer, k: int = 5, alpha: float = 0.5, name: str = "slow") -> None:
        share = _fraction(alpha, "Lookahead: alpha", least_included=False)
        super().__init__(opt, name, dict(k=_whole(k, "Lookahead: k"), alpha=share))


def _whole(value: Any, label: str) -> int:
    return as_int(value, label, "an int >= 1", 1)


def _fraction(value: Any, label: str, *, least_included: bool) -> float:
    wanted = "a number in [0, 1]" if least_included else "a number in (0, 1]"
    number = as_float(value, label, wanted)
    if not (math.isfinite(number) and 0 <= number <= 1 and (least_included or number > 0)):
        raise ValueError(f"{label} must be {wanted}, got {short_repr(value)}")
    return number


def _require_own_dtype(opt: Optimizer, dtype: Any) -> None:
    """Raise an error unless `dtype` is None or the type in which the steps of all parameters are computed."""
    if dtype is None:
        return
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"EMA: dtype must be None, float32 or float64, got {short_repr(dtype)}") from None
    for name, array in named_arrays(opt.param_groups):
        own = np.dtype(np.float64 if str(array.dtype).endswith(("float64", "complex128")) else np.float32)
        if wanted != own:
            raise ValueError(
                f"EMA: dtype must be that in which steps are computed, which is {own} for {name!r}, got {wanted}"
            )
