"""`Trend`: whether losses still fall, kept up to date step by step."""

from __future__ import annotations

import math
from typing import Any, get_args

from adamcore._core import neighbour_correlation, short_repr
from adamcore.monitor.saved import Saved, numbers
from adamcore.schedules._detector import BLOCKS, Plateau, Verdict, median_of

_CORRELATED = 0.3
"""From this correlation of neighbouring blocks on, a window of twice the length decides."""


class Trend:
    """The test of `Plateau`, which keeps the medians of blocks, and so costs little for each value.

    A window of 32 values and more consists of 16 blocks, so it is rounded down to a multiple of 16. Windows of twice
    and four times the length, and so on, have blocks of twice and four times the length; they are judged where their
    last block ends. If neighbouring blocks are correlated, the first window decides nothing: such values wander, which
    looks like a trend in a short window.
    """

    def __init__(self, test: Plateau) -> None:
        self.test = test
        is_short = test.window < 2 * BLOCKS
        self.count = test.window if is_short else BLOCKS
        self.block = 1 if is_short else test.window // BLOCKS
        levels = 1 + max(int(math.log2(test.longest / test.window)), 0)
        self._values: list[list[float]] = [[] for _ in range(levels)]
        self._heights: list[list[float]] = [[] for _ in range(levels)]
        self.first = self._values[0]
        """The values of the block that has not ended. Who adds one calls `end_block` at `block` values."""
        self.verdict: Verdict = "undecided"
        """That of the last time a block ended."""
        self.level: float | None = None
        """The median of the last four blocks, or None before the first one."""

    def end_block(self) -> None:
        """Judge, after `first` has got its last value."""
        self.verdict = self._judge(self._end_blocks())
        self.level = median_of(self._heights[0][-4:])

    def _end_blocks(self) -> int:
        """Put the values of the first level's block into the blocks of all levels. Return how many levels ended one."""
        new = self.first
        self._put(0, new)
        self.first = self._values[0] = []
        ended = 1
        for level in range(1, len(self._values)):
            values = self._values[level]
            values.extend(new)
            if len(values) == self.block << level:
                self._put(level, values)
                self._values[level] = []
                ended = level + 1
        return ended

    def _put(self, level: int, values: list[float]) -> None:
        heights = self._heights[level]
        heights.append(median_of(values))
        del heights[: -self.count]

    def _judge(self, ended: int) -> Verdict:
        for level in range(ended):
            heights = self._heights[level]
            if len(heights) < self.count:
                break
            verdict = self.test.judge_heights(heights, self.count * self.block << level)
            wanders = level == 0 and len(self._heights) > 1 and neighbour_correlation(heights) > _CORRELATED
            if verdict != "undecided" and not wanders:
                return verdict
        return "undecided"

    def improves_less(self, share: float) -> bool:
        """Whether the first window is full, and values in it surely improve by less than a share of their level."""
        heights = self._heights[0]
        return len(heights) == self.count and self.test.improves_less(heights, self.count * self.block, share)

    @property
    def heights(self) -> list[float]:
        """The medians of the last blocks, at most 16, the latest last."""
        return self._heights[0]

    def state_dict(self) -> dict[str, Any]:
        """Return plain values: what is kept of at most the longest window."""
        values, heights = ([list(inside) for inside in of] for of in (self._values, self._heights))
        return {"values": values, "heights": heights, "verdict": self.verdict}

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned. Raises TypeError or ValueError, and then nothing has changed."""
        saved = Saved(state, ("values", "heights", "verdict"), "trend")
        values, heights = (self._read(saved, key) for key in ("values", "heights"))
        for level, (inside, medians) in enumerate(zip(values, heights, strict=True)):
            if len(inside) >= self.block << level or len(medians) > self.count:
                raise ValueError("trend is of another window")
        if saved["verdict"] not in get_args(Verdict):
            raise ValueError(f"trend: verdict must be one of {get_args(Verdict)}, got {short_repr(saved['verdict'])}")
        self._values, self._heights, self.verdict = values, heights, saved["verdict"]
        self.first = values[0]
        self.level = median_of(heights[0][-4:]) if heights[0] else None

    def _read(self, saved: Saved, key: str) -> list[list[float]]:
        lists = saved.items(key)
        if len(lists) != len(self._values):
            raise ValueError(f"trend: {key} is of another window, got {short_repr(lists)}")
        return [numbers(values, f"trend: {key}") for values in lists]
