"""How an optimizer stores half-precision weights and its state."""

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
    r"""How half-precision weights are stored and rounded, and the dtype of state.

    Updates of float16, bfloat16 and float32 parameters are computed in float32. What is stored of a half-precision
    result depends on `master` and `rounding`:

    - ``master="float32"`` stores the full float32 weight, in 4 more bytes for each weight. After every step the
      parameter is this master, rounded. If you assign a parameter between steps, the new value becomes the weight.
    - ``master="remainder"`` stores the bits that a bfloat16 parameter lacks, in 2 bytes and 1 bit for each weight. The
      weights are the same, bit for bit, as with a float32 master. It works only for bfloat16. If you assign a parameter
      between steps, the weight equals the new value to within half a unit in the last place.
    - ``master=None`` stores only the parameter. With rounding to nearest, updates smaller than half a unit in the last
      place are lost. ``rounding="stochastic"`` rounds up or down at random; it is unbiased and needs no memory.
      ``rounding="compensated"`` adds the rounding error to the next step (Kahan summation), in 2 more bytes.

    float32 and float64 parameters are stored as they are, so `master` and `rounding` do not affect them. The state of
    float64 parameters is always float64.

    Half-precision state is rounded stochastically, which is unbiased. If it were rounded to nearest, an average of
    squares would get stuck in bfloat16: it changes by a thousandth from one step to the next, which is less than half a
    unit in the last place, so old gradients would never be forgotten. Use ``state_rounding="nearest"`` only to
    reproduce the bits of earlier versions. With both, an average or sum of squares that is too small for its dtype
    becomes the smallest positive number of the dtype and not zero, because a step divides by its root.

    Parameters
    ----------
    master : {"float32", "remainder", None}
        What is stored in addition to a half-precision parameter.
    rounding : {"nearest", "stochastic", "compensated"}
        How weights are rounded to half precision. Values other than "nearest" need ``master=None``.
    state : {"float32", "bfloat16", "float16"}
        Dtype of the rule's state arrays. The smallest positive float16 number is 6e-8, so in averages of squares
        gradients below 2.4e-4 count as 2.4e-4. Such elements take smaller steps.
    state_rounding : {"stochastic", "nearest"}
        How half-precision state is rounded. It has no effect on float32 state.
    seed : int
        Seed of stochastic rounding, in [0, 2**64). Random numbers depend only on the seed, the parameter's name, its
        step count, and the element's index in C order.

    Raises
    ------
    ValueError
        If a value is not one of these, or if two of them cannot be combined.

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
                f"Precision: rounding={self.rounding!r} needs master=None: with master={self.master!r} the full "
                "weight is stored, and the parameter is only a rounded copy"
            )
        try:
            seed = operator.index(self.seed)
        except TypeError:
            raise TypeError(f"Precision: seed must be an int, got {short_repr(self.seed)}") from None
        if not 0 <= seed < 2**64:
            raise ValueError(f"Precision: seed must be in [0, 2**64), got {short_repr(self.seed)}")

    @property
    def _weights(self) -> str:
        """The C++ name of the way in which weights are stored."""
        if self.master is not None:
            return "master" if self.master == "float32" else "remainder"
        return "plain" if self.rounding == "nearest" else self.rounding


def _require(value: object, name: str, known: tuple[object, ...]) -> None:
    if not (value is None or isinstance(value, str)) or value not in known:
        choices = ", ".join(map(repr, known))
        raise ValueError(f"Precision: {name} must be one of {choices}, got {short_repr(value)}")
