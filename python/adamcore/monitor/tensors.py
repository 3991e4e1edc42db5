"""What statistics of steps tell of each parameter: vanishing gradients, dead ones, lost updates, small rates."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore.monitor.signals import Signal
from adamcore.schedules._detector import Plateau
from adamcore.step_stats import StepStats

COLUMNS = ("grad_rms", "ratio", "zero", "lost", "cos", "floor")
"""What is looked at."""

_VANISHING, _RECOVERED, _VANISHING_STEPS = 1e-3, 2e-3, 50
_LASTING = 200
_LOST = 0.5
_AGREEING, _NO_LONGER, _COS_STEPS = 0.3, 0.15, 64
_SETTLING = 64
"""In the first steps of a run gradients agree at every rate."""

_FALLING = Plateau(_COS_STEPS, 0.01, max_window=_COS_STEPS)

Floats = NDArray[np.float64]


class TensorWatch:
    """Watches the statistics of steps, of which one in `every` has some."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._seen = 0
        self._names: tuple[str, ...] = ()
        self._sizes = np.zeros(0)
        self._grads: deque[Floats] = deque(maxlen=max(math.ceil(_VANISHING_STEPS / every), 1))
        self._cosines: deque[float] = deque(maxlen=max(math.ceil(_COS_STEPS / every), 1))
        self._losses: deque[float] = deque(maxlen=_COS_STEPS)
        self._zero_since: dict[str, int] = {}
        self._lost_since: dict[str, int] = {}

    @property
    def losses(self) -> deque[float]:
        """The losses of the last steps, with or without statistics, to which the caller adds."""
        return self._losses

    def observe(self, stats: StepStats, step: int, matrices: NDArray[np.bool_]) -> list[Signal]:
        """Take the statistics of one step; `matrices` says which parameters have two axes or more."""
        if stats.names != self._names:
            self._names, self._sizes = stats.names, stats.size.astype(np.float64)
            self._grads.clear()
        signals: list[Signal] = []
        columns = {name: getattr(stats, name) for name in COLUMNS if name in stats.columns}
        if "grad_rms" in columns:
            signals += self._see_vanishing(columns, matrices)
        if "zero" in columns:
            signals += self._see_lasting("dead", columns["zero"] == 1, self._zero_since, step, {})
        if "lost" in columns:
            shares = dict(zip(self._names, columns["lost"].tolist(), strict=True))
            signals += self._see_lasting("lost", columns["lost"] > _LOST, self._lost_since, step, shares)
        if "cos" in columns:
            signals += self._see_agreement(columns["cos"], matrices)
        return signals

    def _see_vanishing(self, columns: dict[str, Floats], matrices: NDArray[np.bool_]) -> list[Signal]:
        self._grads.append(np.where(matrices, columns["grad_rms"], math.nan))
        if len(self._grads) < (self._grads.maxlen or 1):
            return []
        usual = _medians(self._grads)
        known = usual[np.isfinite(usual)]
        if not known.size or not known.max() > 0:
            return []
        with np.errstate(invalid="ignore"):
            share = usual / known.max()
            small = (share < _VANISHING) & (usual > 0)
            well = ~(share < _RECOVERED)
        signals = [Signal("vanishing", self._names[i]) for i in np.flatnonzero(well)]
        for i in sorted(np.flatnonzero(small), key=lambda i: float(share[i])):
            evidence = {"share": float(share[i]), "grad_rms": float(usual[i])}
            evidence |= {name: float(columns[name][i]) for name in ("floor", "ratio") if name in columns}
            signals.append(Signal("vanishing", self._names[i], "warning", evidence))
        return signals

    def _see_lasting(
        self, kind: str, holds: NDArray[np.bool_], since: dict[str, int], step: int, shares: dict[str, float]
    ) -> list[Signal]:
        """Report what has held for 200 steps, and what no longer does."""
        if not since and not holds.any():
            return []
        signals = []
        for name, is_so in zip(self._names, holds.tolist(), strict=True):
            if not is_so:
                if since.pop(name, None) is not None:
                    signals.append(Signal(kind, name))
                continue
            lasted = step - since.setdefault(name, step)
            if lasted >= _LASTING:
                evidence = {"steps": lasted} | ({"share": shares[name]} if shares else {})
                signals.append(Signal(kind, name, "warning", evidence))
        return signals

    def _see_agreement(self, cosines: Floats, matrices: NDArray[np.bool_]) -> list[Signal]:
        known = np.isfinite(cosines)
        chosen = known & matrices if (known & matrices).any() else known
        if not chosen.any():
            return []
        self._seen += self._every
        if self._seen <= _SETTLING:
            return []
        self._cosines.append(float(np.median(cosines[chosen])))
        if len(self._cosines) < (self._cosines.maxlen or 1):
            return []
        usual = float(np.median(self._cosines))
        if usual <= _AGREEING:
            return [Signal("lr_small")] if usual < _NO_LONGER else []
        losses = [loss for loss in self._losses if math.isfinite(loss)]
        if len(losses) < _COS_STEPS or _FALLING.judge(losses) != "improving":
            return []
        return [Signal("lr_small", None, "note", {"cos": usual})]

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "names": list(self._names),
            "seen": self._seen,
            "grads": [row.tolist() for row in self._grads],
            "cosines": list(self._cosines),
            "losses": list(self._losses),
            "zero_since": dict(self._zero_since),
            "lost_since": dict(self._lost_since),
        }

    def load_state_dict(self, saved: Any) -> None:
        """Go on from what `state_dict` returned."""
        names = tuple(str(name) for name in saved["names"])
        grads = [np.array([float(value) for value in row]) for row in saved["grads"]]
        if any(len(row) != len(names) for row in grads):
            raise ValueError("grads must have a number for each parameter")
        cosines, losses = ([float(value) for value in saved[key]] for key in ("cosines", "losses"))
        since = [{str(k): int(v) for k, v in saved[key].items()} for key in ("zero_since", "lost_since")]
        self._seen = int(saved["seen"])
        self._losses = deque(losses, maxlen=_COS_STEPS)
        self._names = names
        self._grads = deque(grads, maxlen=self._grads.maxlen)
        self._cosines = deque(cosines, maxlen=self._cosines.maxlen)
        self._zero_since, self._lost_since = since


def _medians(rows: deque[Floats]) -> Floats:
    """Return the median of each column, NaN where there is a NaN."""
    return np.asarray(np.median(np.array(rows), axis=0))
