"""How an optimizer keeps its numbers."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Literal

from adamcore._core import short_repr

Master = Literal["float32", "remainder"]
Rounding = Literal["nearest", "stochastic", "compensated"]
State = Literal["float32", "bfloat16", "float16"]
StateRounding = Literal["nearest", "stochastic"]


@dataclass(frozen=True, kw_only=True)
class Precision:
    r"""What is kept of half-precision weights, how they are rounded, and the type of state.

    An update of float16, bfloat16 or float32 parameters is computed in float32. What is kept of the result differs:

    - ``master="float32"``: the whole weight, in 4 more bytes; the parameter is its rounded form at every step. If a
      parameter is given another value between steps, that becomes the weight.
    - ``master="remainder"``: the same weights bit for bit, in 2 more bytes and a bit for each: the bits that a bfloat16
      parameter does not hold. For bfloat16 alone. A parameter that is given another value is the weight to within half
      a unit in the last place.
    - ``master=None``: the parameter alone. Rounded to nearest, updates of less than half a unit in the last place are
      lost. ``rounding="stochastic"`` rounds up or down at random, right on average, and needs no memory.
      ``rounding="compensated"`` carries what rounding lost to the next step (Kahan's sum), in 2 more bytes.

    float32 and float64 parameters are what they are, and none of this concerns them. float64 ones keep float64 state.

    State in half precision is rounded up or down at random, right on average. Rounded to nearest, an average of squares
    stands still in bfloat16: from one step to the next it changes by a thousandth, less than half a unit in the last
    place, so gradients of long ago would count for ever. ``state_rounding="nearest"`` is for those who need the bits of
    earlier versions. Either way an average or sum of squares that is too small for its type becomes the type's smallest
    number and not zero: a step divides by its root.

    Parameters
    ----------
    master : {"float32", "remainder", None}
        What is kept beside a half-precision parameter.
    rounding : {"nearest", "stochastic", "compensated"}
        How weights become half-precision parameters. Other than nearest needs ``master=None``.
    state : {"float32", "bfloat16", "float16"}
        Type of the rule's state arrays. In float16, gradients below 2.4e-4 count as that in averages of squares, whose
        smallest number is 6e-8: such elements take smaller steps.
    state_rounding : {"stochastic", "nearest"}
        How half-precision state is rounded. It does not concern float32 state.
    seed : int
        Of stochastic rounding, in [0, 2**64). Random numbers depend on it, the parameter's name, its count of steps and
        the element's place in C order, and on nothing else.

    Raises
    ------
    ValueError
        If a value is not one of these, or two of them do not go together.

    References
    ----------
    Micikevicius et al., "Mixed Precision Training", ICLR 2018. Gupta et al., "Deep Learning with Limited Numerical
    Precision", ICML 2015. Kahan, "Further remarks on reducing truncation errors", CACM 8(1), 1965.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.ones(3, np.float16)
    >>> opt = ac.SGD(w, lr=1e-4)
    >>> for _ in range(10):
    ...     info = opt.step(np.ones(3, np.float16))
    >>> w, opt.state["0"]["master"].round(6)
    (array([0.999, 0.999, 0.999], dtype=float16), array([0.999, 0.999, 0.999], dtype=float32))
    >>> w[:] = 1
    >>> opt = ac.SGD(w, lr=1e-4, precision=ac.Precision(master=None))
    >>> for _ in range(10):
    ...     info = opt.step(np.ones(3, np.float16))  # each update is less than half a unit in the last place
    >>> w
    array([1., 1., 1.], dtype=float16)
    """

    master: Master | None = "float32"
    rounding: Rounding = "nearest"
    state: State = "float32"
    seed: int = 0
    state_rounding: StateRounding = "stochastic"

    def __post_init__(self) -> None:
        _require(self.master, "master", ("float32", "remainder", None))
        _require(self.rounding, "rounding", ("nearest", "stochastic", "compensated"))
        _require(self.state, "state", ("float32", "bfloat16", "float16"))
        _require(self.state_rounding, "state_rounding", ("stochastic", "nearest"))
        if self.master is not None and self.rounding != "nearest":
            raise ValueError(
                f"Precision: rounding={self.rounding!r} needs master=None: with master={self.master!r} the whole "
                "weight is kept, and its rounded form is only a copy"
            )
        try:
            seed = operator.index(self.seed)
        except TypeError:
            raise TypeError(f"Precision: seed must be an int, got {short_repr(self.seed)}") from None
        if not 0 <= seed < 2**64:
            raise ValueError(f"Precision: seed must be in [0, 2**64), got {short_repr(self.seed)}")

    @property
    def _weights(self) -> str:
        """What C++ calls it."""
        if self.master is not None:
            return "master" if self.master == "float32" else "remainder"
        return "plain" if self.rounding == "nearest" else self.rounding


def _require(value: object, name: str, known: tuple[object, ...]) -> None:
    if not (value is None or isinstance(value, str)) or value not in known:
        choices = ", ".join(map(repr, known))
        raise ValueError(f"Precision: {name} must be one of {choices}, got {short_repr(value)}")
