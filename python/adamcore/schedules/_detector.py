"""`Plateau`: whether noisy values still improve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

from adamcore._checks.numbers import as_float, as_int
from adamcore._core import short_repr, slope_interval
from adamcore.schedules._described import Described, add_known

Verdict = Literal["flat", "improving", "undecided"]

BLOCKS = 16
"""A window of twice as many values or more is judged by the medians of so many blocks."""

_SHORTEST = 4  # fewer values have fewer slopes than the interval leaves out
_LEVEL = 4  # the level is the median of that many of the last blocks
_NORMAL_90 = 1.645  # 90% of a normal distribution are within so many standard deviations


class Plateau(Described):
    """A test whether values have stopped falling, which noise, spikes and lucky values do not mislead.

    The slope of the last `window` values is the median of the slopes of all their pairs (Theil and Sen), with Kendall's
    interval of 90%. The values are *flat* if the upper bound of what they improve in `window` values is less than `tol`
    times their level, and *improving* if the lower bound is above zero. Otherwise the test is undecided and looks
    at twice as many values, up to `max_window`; `tol` stays the improvement in `window` values. So noise makes the
    test wait longer instead of misleading it.

    From 32 values on, the test uses the medians of 16 blocks. The level is the absolute value of the median of the last
    4 blocks, or of the last 4 values.

    Only ``+ - * /`` and the square root are used, so verdicts are the same on every machine.

    Parameters
    ----------
    window : int
        How many values the test looks at first, >= 4. The default is for one value per epoch or validation; for losses
        of single steps take 256 and ``tol=0.01``.
    tol : float
        A smaller improvement in `window` values, relative to the level, counts as none, > 0.
    max_window : int, optional
        The most values that the test looks at, >= `window`. The default is ``4 * window``, where 80 of 100 flat curves
        with noise of 3 times `tol` were found to be flat. Longer windows mostly contain values before the plateau.
    scale : float, optional
        The level, > 0, if the values may be near zero or negative.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968). Schuirmann, "A comparison of
    the two one-sided tests procedure and the power approach", J. Pharmacokinetics and Biopharmaceutics 15 (1987).

    Examples
    --------
    >>> from adamcore.schedules import Plateau
    >>> test = Plateau(window=20, tol=0.02)
    >>> test.judge([1 - 0.01 * i for i in range(20)])
    'improving'
    >>> test.judge([0.5, 0.501] * 10)
    'flat'
    >>> test.judge([0.6, 0.5, 0.55, 0.4, 0.45] * 4)
    'undecided'
    """

    def __init__(
        self, window: int = 20, tol: float = 0.02, *, max_window: int | None = None, scale: float | None = None
    ) -> None:
        self.window = as_int(window, "Plateau: window", f"an int >= {_SHORTEST}", _SHORTEST)
        self.tol = _positive(tol, "tol")
        if max_window is not None:
            max_window = as_int(max_window, "Plateau: max_window", f"an int >= window, which is {window}", self.window)
        self.max_window = max_window
        self.scale = None if scale is None else _positive(scale, "scale")

    @property
    def longest(self) -> int:
        """The most values that the test looks at."""
        return 4 * self.window if self.max_window is None else self.max_window

    def judge(self, values: Sequence[float]) -> Verdict:
        """Return whether `values`, of which the last is the newest, are flat: a pure function.

        Parameters
        ----------
        values : sequence of float
            Finite values that fall while they improve. More than the last `max_window` are not looked at. Fewer than
            `window` are "undecided".
        """
        window, longest = self.window, min(len(values), self.longest)
        while window <= longest:
            verdict = self._judge_window(values[len(values) - window :])
            if verdict != "undecided":
                return verdict
            window *= 2
        return "undecided"

    def _judge_window(self, values: Sequence[float]) -> Verdict:
        return self.judge_heights(block_medians(values), len(values))

    def judge_heights(self, heights: Sequence[float], length: int) -> Verdict:
        """Return the verdict of one window of `length` values, of whose blocks `heights` are the medians."""
        least, largest, level = self._improvement(heights, length)
        # The second condition decides where the level is 0: values that are 0 and do not fall are flat.
        if largest < self.tol * level or largest <= 0:
            return "flat"
        return "improving" if least > 0 else "undecided"

    def improves_less(self, heights: Sequence[float], length: int, share: float) -> bool:
        """Whether a window of `length` values surely improves by less than a share of its level in `window` values."""
        _, largest, level = self._improvement(heights, length)
        return largest < share * level

    def _improvement(self, heights: Sequence[float], length: int) -> tuple[float, float, float]:
        """Return the bounds of what values improve by in `window` values, and their level."""
        low, high = slope_interval(list(heights), place_of(len(heights)))
        share = self.window / length * len(heights)  # blocks in `window` values
        level = abs(median_of(heights[-_LEVEL:])) if self.scale is None else self.scale
        return -high * share, -low * share, level


add_known(Plateau)


def _positive(value: Any, name: str) -> float:
    wanted = "a number > 0"
    number = as_float(value, f"Plateau: {name}", wanted)
    if not 0 < number < math.inf:
        raise ValueError(f"Plateau: {name} must be {wanted}, got {short_repr(value)}")
    return number


def block_medians(values: Sequence[float]) -> Sequence[float]:
    """Return the medians of 16 blocks of values, or the values if there are fewer than 32."""
    if len(values) < 2 * BLOCKS:
        return values
    edges = [len(values) * i // BLOCKS for i in range(BLOCKS + 1)]
    return [median_of(values[begin:end]) for begin, end in pairwise(edges)]


def median_of(values: Sequence[float]) -> float:
    """Return the median of numbers, at least one."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def rises_surely(heights: Sequence[float], deviations: float) -> bool:
    """Whether values rise by Kendall's test, at so many standard deviations of what happens without a trend."""
    return slope_interval(list(heights), place_of(len(heights), deviations))[0] > 0


@lru_cache(maxsize=32)
def place_of(count: int, deviations: float = _NORMAL_90) -> int:
    """Return the places of Kendall's interval among the slopes of `count` values, from either end."""
    pairs = count * (count - 1) // 2
    spread = deviations * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return max(math.floor((pairs - spread) / 2), 0)
