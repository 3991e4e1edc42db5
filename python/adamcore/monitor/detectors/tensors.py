"""What statistics of steps tell of each parameter: vanishing, dead, lost and stale ones, and small rates."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore.monitor.detectors.signals import Signal
from adamcore.monitor.detectors.stale import StaleWatch
from adamcore.monitor.reading import LARGEST, Columns, Floats, agreement, medians_of
from adamcore.monitor.saved import Saved, known_or_none, nan_for_none, numbers_or_nones
from adamcore.monitor.traits import Traits
from adamcore.schedules._detector import Plateau, median_of

_VANISHING, _RECOVERED, _VANISHING_STEPS = 1e-3, 2e-3, 50
_LASTING = 200
_LOST = 0.5
_AGREEING, _NO_LONGER, _COS_STEPS = 0.3, 0.15, 64
_SETTLING = 64
"""In the first steps of a run gradients agree at every rate."""

_FALLING = Plateau(_COS_STEPS, 1e-9, max_window=_COS_STEPS)
"""However little losses fall, with a rate that is far too small."""

_KEYS = ("last", "names", "seen", "grads", "small", "cosines", "losses", "zero_since", "lost_since", "stale")


class TensorWatch:
    """Watches the statistics of steps, of which one in `every` has some. More frequent ones are not looked at.

    A number that is NaN or infinite in one step, because the step was skipped or a parameter had no gradient, tells
    nothing: what was known of the parameter before still holds.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._last: int | None = None
        self._seen = 0
        self._names: tuple[str, ...] = ()
        self._grads: deque[Floats] = deque(maxlen=max(math.ceil(_VANISHING_STEPS / every), 1))
        self._small: set[str] = set()
        self._cosines: deque[float] = deque(maxlen=max(math.ceil(_COS_STEPS / every), 1))
        self._losses: deque[float] = deque(maxlen=_COS_STEPS)
        self._zero_since: dict[str, int] = {}
        self._lost_since: dict[str, int] = {}
        self._stale = StaleWatch(every)

    @property
    def losses(self) -> deque[float]:
        """The losses of the last steps, with or without statistics, to which the caller adds."""
        return self._losses

    def forget_moments(self) -> None:
        """Compare second moments with none that were before."""
        self._stale = StaleWatch(self._every)
        self._stale.begin(self._names)

    @property
    def agree(self) -> float | None:
        """The median cosine, if gradients of successive steps agree; otherwise None."""
        if len(self._cosines) < (self._cosines.maxlen or 1):
            return None
        usual = median_of(self._cosines)
        return usual if usual > _AGREEING else None

    def observe(self, columns: Columns, step: int, traits: Traits, is_falling: bool) -> list[Signal]:  # noqa: FBT001
        """Take the statistics of one step, and whether losses are lower than ever before."""
        if self._last is not None and step - self._last < self._every:
            return []
        self._last = step
        if traits.names != self._names:
            self._names = traits.names
            self._grads.clear()
            self._stale.begin(traits.names)
        signals: list[Signal] = []
        if "grad_rms" in columns:
            signals += self._see_vanishing(columns, traits.matrices)
        if "zero" in columns:
            signals += self._see_lasting("dead", columns["zero"], columns["zero"] == 1, self._zero_since, step)
        if "lost" in columns:
            holds = (columns["lost"] > _LOST) & traits.forget
            signals += self._see_lasting("lost", columns["lost"], holds, self._lost_since, step)
        if "grad_rms" in columns and "second_rms" in columns:
            signals += self._stale.observe(columns, step, self._losses)
        if "cos" in columns:
            signals += self._see_agreement(columns["cos"], traits.matrices, is_falling=is_falling)
        return signals

    def _see_vanishing(self, columns: Columns, matrices: NDArray[np.bool_]) -> list[Signal]:
        sizes = columns["grad_rms"]
        self._grads.append(np.where(matrices & np.isfinite(sizes), sizes, math.nan))
        if len(self._grads) < (self._grads.maxlen or 1):
            return []
        usual = medians_of(self._grads)
        known = usual[~np.isnan(usual)]
        if not known.size or not known.max() > 0:
            return []
        share = usual / known.max()
        signals = []
        for i in np.flatnonzero(share >= _RECOVERED):
            if self._names[i] in self._small:
                self._small.discard(self._names[i])
                signals.append(Signal("vanishing", self._names[i]))
        for i in sorted(np.flatnonzero((share < _VANISHING) & (usual > 0)), key=lambda i: float(share[i])):
            self._small.add(self._names[i])
            evidence = {"share": float(share[i]), "grad_rms": float(usual[i])}
            evidence |= {name: float(columns[name][i]) for name in ("floor", "ratio") if name in columns}
            signals.append(Signal("vanishing", self._names[i], "warning", evidence))
        return signals

    def _see_lasting(
        self, kind: str, shares: Floats, holds: NDArray[np.bool_], since: dict[str, int], step: int
    ) -> list[Signal]:
        """Report what has held for 200 steps, and what no longer does."""
        if not since and not holds.any():
            return []
        signals = []
        for name, share, is_so in zip(self._names, shares.tolist(), holds.tolist(), strict=True):
            if math.isnan(share):
                continue
            if not is_so:
                if since.pop(name, None) is not None:
                    signals.append(Signal(kind, name))
                continue
            lasted = step - since.setdefault(name, step)
            if lasted >= _LASTING:
                evidence = {"steps": lasted} | ({"share": share} if kind == "lost" else {})
                signals.append(Signal(kind, name, "warning", evidence))
        return signals

    def _see_agreement(self, cosines: Floats, matrices: NDArray[np.bool_], *, is_falling: bool) -> list[Signal]:
        cosine = agreement(cosines, matrices)
        if math.isnan(cosine):
            return []
        self._seen += self._every
        if self._seen <= _SETTLING:
            return []
        self._cosines.append(cosine)
        if len(self._cosines) < (self._cosines.maxlen or 1):
            return []
        usual = median_of(self._cosines)
        if usual <= _AGREEING:
            return [Signal("lr_small")] if usual < _NO_LONGER else []
        losses = [loss for loss in self._losses if -LARGEST <= loss <= LARGEST]
        # Gradients agree too where losses fall back from where a rate that was too large has left them.
        if not is_falling or len(losses) < _COS_STEPS or _FALLING.judge(losses) != "improving":
            return []
        return [Signal("lr_small", None, "note", {"cos": usual})]

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "last": self._last,
            "names": list(self._names),
            "seen": self._seen,
            "grads": [known_or_none(row.tolist()) for row in self._grads],
            "small": sorted(self._small),
            "cosines": list(self._cosines),
            "losses": known_or_none(self._losses),
            "zero_since": dict(self._zero_since),
            "lost_since": dict(self._lost_since),
            "stale": self._stale.state_dict(),
        }

    def load_state_dict(self, state: Any) -> None:
        """Go on from what `state_dict` returned."""
        saved = Saved(state, _KEYS)
        names = tuple(saved.names("names"))
        rows = saved.rows("grads", len(names), "a number or None for each of the names")
        grads = [np.array(nan_for_none(numbers_or_nones(row, "grads"))) for row in rows]
        if len(grads) > (self._grads.maxlen or 1):
            raise ValueError(f"grads must be at most {self._grads.maxlen} lists, got {len(grads)}")
        self._last = None if saved["last"] is None else saved.count("last")
        self._seen = saved.count("seen")
        self._small = set(saved.names("small"))
        self._losses.extend(nan_for_none(saved.numbers_or_nones("losses", _COS_STEPS)))
        self._names = names
        self._grads.extend(grads)
        self._cosines.extend(saved.numbers("cosines", self._cosines.maxlen))
        self._zero_since, self._lost_since = (saved.counts_by_name(key) for key in ("zero_since", "lost_since"))
        self._stale.load_state_dict(saved["stale"], names)
