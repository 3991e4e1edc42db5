"""What a rule multiplies gradients by at present: its rate, divided by the root of its second moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.libraries import as_numpy
from adamcore._curvature.lanczos import Vector
from adamcore._curvature.weights import Weights

_MOMENTS = {"SGD": None, "RMSprop": "square_avg", "Adagrad": "sum", "Adam": "exp_avg_sq", "AdamW": "exp_avg_sq"}


class Steps(NamedTuple):
    """The factor of each element's gradient in a step, and the sharpness above which steps grow on a quadratic."""

    factors: Vector
    limit: float


def steps_of(opt: Any, weights: Weights, owner: str) -> Steps:
    """Return the factors of an optimizer's next step.

    The limits are those of heavy-ball and Nesterov momentum, and for averages of gradients 2 (1 + b) / (1 - b) (Cohen
    et al. 2022, "Adaptive Gradient Methods at the Edge of Stability").

    Raises ValueError for a rule whose second moment is not known element by element, or does not exist yet.
    """
    rule = type(opt).__name__
    if rule not in _MOMENTS:
        raise ValueError(f"{owner}: precondition knows the steps of {', '.join(_MOMENTS)}, not of {rule}")
    found: dict[str, NDArray[Any]] = {}
    limits = []
    for place, group in enumerate(opt.param_groups):
        numbers = opt.current(place)
        limits.append(_limit(numbers))
        for name, array in zip(group["param_names"], group["params"], strict=True):
            slot = _MOMENTS[rule]
            like = as_numpy(array, owner)
            if slot is None:
                found[name] = np.full(like.size * (2 if like.dtype.kind == "c" else 1), numbers["lr"])
                continue
            if not opt.steps[name]:
                raise ValueError(f"{owner}: precondition needs the second moment of {name!r}, which has had no step")
            state = {key: _reals(as_numpy(value, owner)) for key, value in opt.state[name].items()}
            found[name] = _factors(state, slot, numbers, opt.steps[name])
    return Steps(np.concatenate([found[name] for name in weights.names]), min(limits))


def _reals(array: NDArray[Any]) -> NDArray[np.float64]:
    flat = np.ascontiguousarray(array).reshape(-1)
    return (flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat).astype(np.float64)


def _factors(
    state: Mapping[str, NDArray[np.float64]], slot: str, numbers: Mapping[str, Any], steps: int
) -> NDArray[np.float64]:
    moment, lr = state["max_exp_avg_sq" if numbers.get("amsgrad") else slot], numbers["lr"]
    if slot == "exp_avg_sq":
        moment = moment / (1 - numbers["betas"][1] ** steps)
    elif numbers.get("centered"):
        moment = (moment - state["grad_avg"] ** 2).clip(0.0)
    elif slot == "sum":
        lr /= 1 + (steps - 1) * numbers["lr_decay"]
    factors: NDArray[np.float64] = lr / (np.sqrt(moment) + numbers["eps"])
    return factors


def _limit(numbers: Mapping[str, Any]) -> float:
    if "betas" in numbers:
        beta = numbers["betas"][0]
        return float(2 * (1 + beta) / (1 - beta))
    momentum = float(numbers.get("momentum", 0.0))
    return 2 * (1 + momentum) / ((1 + 2 * momentum) if numbers.get("nesterov") else 1)
