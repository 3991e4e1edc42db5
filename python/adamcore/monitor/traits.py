"""What a monitor has to know of parameters, besides their statistics."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.structures import named_arrays
from adamcore._parts.options import may_be_half
from adamcore.optimizer import Optimizer


class Traits(NamedTuple):
    """Traits of parameters, in the order of their names."""

    names: tuple[str, ...]
    matrices: NDArray[np.bool_]
    """Whether they have two axes or more."""
    sizes: NDArray[np.float64]
    """How many elements they have."""
    forget: NDArray[np.bool_]
    """Whether updates that do not change the stored parameter are lost. Masters, remainders and compensations keep
    them, and stochastic rounding makes up for them."""


def traits_of(opt: Optimizer, names: tuple[str, ...]) -> Traits:
    """Return the traits of these parameters of an optimizer."""
    arrays = dict(named_arrays(opt.param_groups))
    precision = opt.options["precision"]
    keeps = precision.master is not None or precision.rounding != "nearest"
    matrices = [np.ndim(arrays[name]) > 1 if name in arrays else False for name in names]
    forget = [not (keeps and may_be_half(arrays.get(name))) for name in names]
    sizes = [math.prod(np.shape(arrays[name])) if name in arrays else 0 for name in names]
    return Traits(names, np.array(matrices, bool), np.array(sizes, float), np.array(forget, bool))
