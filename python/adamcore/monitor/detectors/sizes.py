"""How large gradients are, compared with the first ones."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from adamcore.monitor.reading import LARGEST, Columns, Floats
from adamcore.monitor.saved import Saved
from adamcore.schedules._detector import median_of

_EARLY_STEPS, _RECENT_STEPS = 128, 64


class Sizes:
    """Remembers the lengths of all gradients together in the first 128 steps and in the last 64."""

    def __init__(self, every: int) -> None:
        self._early: list[float] = []
        self._count = max(_EARLY_STEPS // every, 1)
        self._recent: deque[float] = deque(maxlen=max(_RECENT_STEPS // every, 1))

    def observe(self, columns: Columns, sizes: Floats) -> None:
        """Take the statistics of one step."""
        if "grad_rms" not in columns:
            return
        with np.errstate(over="ignore"):
            squares = sizes * np.square(columns["grad_rms"])
        length = math.sqrt(float(np.add.reduce(squares[~np.isnan(squares)])))
        if not length <= LARGEST:
            return
        self._recent.append(length)
        if length > 0 and len(self._early) < self._count:
            self._early.append(length)

    @property
    def share(self) -> float | None:
        """The recent median, relative to the early one; None before both are known."""
        if len(self._early) < self._count or len(self._recent) < (self._recent.maxlen or 1):
            return None
        return median_of(self._recent) / median_of(self._early)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"early": list(self._early), "recent": list(self._recent)}

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned."""
        saved = Saved(state, ("early", "recent"))
        self._early = saved.numbers("early", self._count)
        self._recent.extend(saved.numbers("recent", self._recent.maxlen))
