"""`LrRange`: what `lr_finder` has measured, and the rates that it suggests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from adamcore._checks.extras import import_extra

Ended = Literal["high", "rise", "nonfinite", "batches", "limit"]

ENDED: dict[str, str] = {
    "high": "all rates were tried",
    "rise": "the smoothed loss had risen to 4 times its minimum",
    "nonfinite": "the loss or a gradient was not finite",
    "batches": "there were no more batches",
    "limit": "Adafactor uses no larger rates at its step counts",
}
"""Why a sweep ended, in words."""

FIRST = 10
"""So many points at the beginning count for no suggestion: the smoothed loss has only begun there."""


_ROUNDING = 1e-9
"""Smaller falls, relative to the loss, are rounding."""


@dataclass(frozen=True, eq=False, repr=False)
class LrRange:
    """The losses of a sweep over learning rates, and the range of rates to try.

    Attributes
    ----------
    rates, losses, smoothed : array of float64
        One element for each step: its rate; the loss before the step moved the parameters; and the average of the
        losses so far, in which older ones count less, by a factor of 0.9 each.
    ended : str
        Why the sweep ended: "high" (all rates were tried), "rise" (the smoothed loss was above 4 times its minimum),
        "nonfinite" (the loss or a gradient), "batches" (there were no more), or "limit" (`Adafactor` uses no larger
        rates at its step counts).

    Notes
    -----
    The loss counts as falling if, after the first 10 points, the smoothed loss gets lower by more than the losses of
    single batches scatter. Otherwise there are no suggestions. How much they scatter is the standard deviation that
    follows from the median of the differences between neighbours among the first 20 losses.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    ended: Ended

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls most steeply over the logarithm of the rate, or None."""
        # Logarithms of rates are evenly spaced.
        return self._rate(int(np.gradient(self.smoothed)[FIRST:].argmin()) + FIRST) if self._falls else None

    @property
    def minimum_tenth(self) -> float | None:
        """A tenth of the rate at which the smoothed loss is least, or None."""
        return self._rate(self._least) / 10 if self._falls else None

    @property
    def valley(self) -> float | None:
        """The rate two thirds along the longest fall of the smoothed loss, with gaps where it rises, or None."""
        if not self._falls:
            return None
        begin, end = longest_fall(self.smoothed[FIRST:])
        return self._rate(FIRST + begin + round((end - begin) * 2 / 3))

    def _rate(self, place: int) -> float:
        return float(self.rates[place])

    @property
    def _least(self) -> int:
        return int(self.smoothed[FIRST:].argmin()) + FIRST

    @cached_property
    def _falls(self) -> bool:
        if len(self.rates) <= FIRST:
            return False
        scatter = 1.4826 * np.median(np.abs(np.diff(self.losses[: 2 * FIRST]))) / np.sqrt(2)
        before = self.smoothed[FIRST - 1]
        return bool(before - self.smoothed[self._least] > max(scatter, _ROUNDING * abs(before)))

    def to_dict(self) -> dict[str, Any]:
        """Return everything in lists and numbers, which JSON can hold.

        Examples
        --------
        >>> import numpy as np
        >>> from adamcore.training.lr_range import LrRange
        >>> found = LrRange(np.array([0.1, 0.2]), np.array([4.0, 3.0]), np.array([4.0, 3.5]), "batches")
        >>> found.to_dict()["rates"], found.to_dict()["suggestion"]
        ([0.1, 0.2], None)
        """
        arrays = {name: getattr(self, name).tolist() for name in ("rates", "losses", "smoothed")}
        return {**arrays, "ended": self.ended, **self._suggestions()}

    def _suggestions(self) -> dict[str, float | None]:
        return {"suggestion": self.suggestion, "minimum_tenth": self.minimum_tenth, "valley": self.valley}

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the losses over the rates with the suggestions, and save the picture to `path` if one is given.

        It needs Matplotlib, which the extra ``plot`` installs.

        Returns
        -------
        matplotlib.figure.Figure
        """
        import_extra("matplotlib.figure", "LrRange.plot", "plot")
        from adamcore.training import lr_picture  # noqa: PLC0415  (it needs Matplotlib)

        marks = {"steepest": self.suggestion, "minimum/10": self.minimum_tenth, "valley": self.valley}
        known = {name: rate for name, rate in marks.items() if rate is not None}
        return lr_picture.plot(self.rates, self.losses, self.smoothed, known, path)

    def __str__(self) -> str:
        count = len(self.rates)
        first = "no rates" if not count else f"{count} rates from {self.rates[0]:.2g} to {self.rates[-1]:.2g}"
        return f"{first}; then {ENDED[self.ended]}\n{self._advice()}"

    def _advice(self) -> str:
        rates = [rate for rate in self._suggestions().values() if rate is not None]
        if self.ended == "nonfinite" and len(self.rates) <= 1:
            return "no suggestion: the loss or its gradient is not finite at the present weights: look at loss_and_grad"
        if not rates:
            if len(self.rates) <= FIRST:
                return f"no suggestion, which takes more than {FIRST} points: begin with a lower rate"
            return "no suggestion: the loss never falls by more than the losses of single batches scatter"
        steepest, tenth, valley = rates
        is_open = self.ended in ("high", "batches") and self._least == len(self.rates) - 1
        return (
            f"smoothed loss: {self.smoothed[FIRST - 1]:.4g} after {FIRST} points, {self.smoothed[self._least]:.4g} at "
            f"least, at {self.rates[self._least]:.2g}{', the last one: higher rates may be better' * is_open}\n"
            f"try rates from {min(rates):.2g} to {max(rates):.2g}: "
            f"steepest fall {steepest:.2g}, minimum/10 {tenth:.2g}, valley {valley:.2g}"
        )

    def __repr__(self) -> str:
        return f"<LrRange: {self._advice().splitlines()[-1]}>"


def longest_fall(values: NDArray[np.float64]) -> tuple[int, int]:
    """Return where the longest strictly decreasing subsequence of `values` begins and ends; the first of equal ones."""
    length, begin = np.ones(len(values), int), np.arange(len(values))
    for i in range(1, len(values)):
        larger = np.flatnonzero(values[:i] > values[i])
        if larger.size:
            before = larger[length[larger].argmax()]
            length[i], begin[i] = length[before] + 1, begin[before]
    end = int(length.argmax())
    return int(begin[end]), end
