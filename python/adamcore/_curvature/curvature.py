"""`Curvature`: what has been measured of the loss around some weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

NEGATIVE = 0.02
"""An eigenvalue is negative enough for a saddle from this share of the largest one on."""

TIMES = 2.0
"""At a saddle, the loss falls this many times as much along the direction as along the gradient."""

LEAST = 1e-3
"""And by this share of the loss."""


@dataclass(frozen=True, eq=False)
class Curvature:
    """What `Monitor.curvature` has measured.

    Attributes
    ----------
    max, min : float
        The largest and the smallest eigenvalue of the Hessian that Lanczos' method has found.
    direction : dict
        The direction of the smallest one: an array for each parameter by name, all together of length 1. Along it the
        loss falls, as far as it was tried.
    gradients : int
        How often ``loss_and_grad`` has been called.
    loss : float
        The loss at the weights themselves.
    fall : float
        By which share of the loss it falls at most within a tenth of the length of the weights, along the direction.
    gradient_fall : float
        The same along the gradient, downwards.
    length : float
        The length of the move along the direction to the lowest loss that was tried, or 0.
    sharpness, limit : float or None
        With ``precondition``: the largest eigenvalue of the Hessian, divided by the second moment and multiplied by the
        rate, and the value above which steps with these numbers would grow on a quadratic loss.

    Notes
    -----
    Negative curvature alone is no evidence of a saddle: most networks have some, and kinks of ReLUs look like it. So
    `is_saddle` also asks for a loss that falls.
    """

    max: float
    min: float
    direction: dict[str, NDArray[Any]]
    gradients: int
    loss: float
    fall: float
    gradient_fall: float
    length: float
    sharpness: float | None = None
    limit: float | None = None

    @property
    def is_saddle(self) -> bool:
        """Whether there is a way down that the gradient does not show."""
        is_negative = self.min < 0 and self.min < -NEGATIVE * self.max
        return is_negative and self.fall > TIMES * self.gradient_fall and self.fall > LEAST

    def evidence(self) -> dict[str, float]:
        """Return the numbers of a finding."""
        return {"min": self.min, "max": self.max, "fall": self.fall, "gradient_fall": self.gradient_fall}

    def __repr__(self) -> str:
        kind = "a saddle" if self.is_saddle else "no saddle"
        steps = "" if self.sharpness is None else f", sharpness {self.sharpness:.3g} (limit {self.limit:.3g})"
        return (
            f"<Curvature from {self.min:.3g} to {self.max:.3g}: {kind}; the loss {self.loss:.4g} falls by "
            f"{self.fall:.2%} along the direction, {self.gradient_fall:.2%} along the gradient{steps}>"
        )
