"""Second moments that are too large for the present gradients, as they are after a burst: steps are small then."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamcore.monitor.detectors.signals import Signal
from adamcore.monitor.reading import LARGEST, Columns, Floats, medians_of
from adamcore.monitor.saved import Saved, known_or_none, nan_for_none, numbers_or_nones
from adamcore.schedules._detector import median_of

_LARGE, _TIMES = 3.0, 4.0
_NEAR = 2.0
"""A moment is no longer stale when it is less than so many times what it usually was, or small after all."""

_GRAD_STEPS, _SPARSE_STEPS, _FEW = 33, 65, 9
"""The ratio is that to the median gradient of 33 steps, or of 65 if fewer than 9 of the 33 have statistics: of 5, noise
alone is found in healthy runs."""

_FROM, _TO = 130, 66
"""What was usual is known from the steps so long ago."""

_LASTING = 16
_LOSS_STEPS = 64
_IMMENSE = 1e150
"""The square of a larger ratio, which `rescale_state` needs, may have no inverse."""


class _Stale(NamedTuple):
    """What was known when a moment was found to be stale."""

    since: int
    usual: float
    loss: float | None
    """The level of the losses before, if any was known."""
    warned: bool

    def deserves_warning(self, step: int, now: float) -> bool:
        """Whether it has lasted for long enough to say that losses have not fallen since: they are at `now`."""
        if self.warned or self.loss is None or step - self.since < _LOSS_STEPS:
            return False
        return now >= self.loss


class StaleWatch:
    """Compares second moments with gradients, in steps of which one in `every` has statistics.

    A plain limit for their ratio says nothing: it is 20 to 900 in healthy runs that have converged. So a second moment
    is stale if the ratio is also much larger than it was before. From then on it is compared with what it was before,
    because the moments of the last steps are stale themselves after a while.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        looks = max(self._looks(_GRAD_STEPS), min(_FEW, self._looks(_SPARSE_STEPS)))
        self._grads: deque[Floats] = deque(maxlen=looks)
        self._lasting = max(self._looks(_LASTING), 2)  # one look alone might be at the burst itself
        nearest = max(self._looks(_TO), self._lasting)  # from before it was too large
        farthest = max(_FROM // every, nearest)
        self._before = farthest - nearest + 1
        """How many of the ratios, the first ones, tell what is usual."""
        self._ratios: deque[Floats] = deque(maxlen=farthest + 1)
        self._levels: deque[float] = deque(maxlen=farthest + 1)
        self._stale: dict[str, _Stale] = {}
        self._begin(())

    def _looks(self, steps: int) -> int:
        return math.ceil(steps / self._every)

    def _begin(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._places = {name: i for i, name in enumerate(names)}
        self._counts = np.zeros(len(names), np.int64)

    def begin(self, names: tuple[str, ...]) -> None:
        """Go on with other parameters. Those that were stale still are."""
        self._begin(names)
        for rows in (self._grads, self._ratios, self._levels):
            rows.clear()

    def observe(self, columns: Columns, step: int, losses: Sequence[float]) -> list[Signal]:
        """Take the statistics of one step, and the losses of the steps before it, the latest last.

        A step in which no second moment is known, because it was skipped or the rule has none, tells nothing.
        """
        second = columns["second_rms"]
        if np.isnan(second).all():
            return []
        sizes = columns["grad_rms"]
        self._grads.append(np.where(np.isfinite(sizes), sizes, math.nan))
        if len(self._grads) < (self._grads.maxlen or 1):
            return []
        ratios = _ratios_of(second, medians_of(self._grads))
        self._ratios.append(ratios)
        self._levels.append(_level_of(list(losses)[-self._every :]))
        if len(self._ratios) < (self._ratios.maxlen or 1):
            return []
        holds, usual = self._compare(ratios)
        signals = self._see_stale(ratios, holds, second, step) if self._stale else []
        return signals + self._see_new(ratios, holds, usual, second, step)

    def _compare(self, ratios: Floats) -> tuple[NDArray[np.bool_], Floats]:
        """Return which ratios are too large, and what they usually were."""
        large = ratios > _LARGE
        if not large.any():
            return large, ratios
        usual = medians_of(list(islice(self._ratios, self._before)))
        return large & (ratios > _TIMES * usual), usual

    def _see_new(
        self, ratios: Floats, holds: NDArray[np.bool_], usual: Floats, second: Floats, step: int
    ) -> list[Signal]:
        if not holds.any() and not self._counts.any():
            return []
        counts = np.where(holds, np.minimum(self._counts + 1, self._lasting), 0)
        self._counts = np.where(np.isnan(ratios), self._counts, counts)
        signals = []
        for i in np.flatnonzero(holds & (self._counts == self._lasting)):
            name = self._names[i]
            if name not in self._stale:
                loss = _level_of(islice(self._levels, self._before))
                self._stale[name] = _Stale(step, float(usual[i]), None if math.isnan(loss) else loss, warned=False)
                signals.append(Signal("stale", name, "note", self._evidence(name, ratios, second)))
        return signals

    def _see_stale(self, ratios: Floats, holds: NDArray[np.bool_], second: Floats, step: int) -> list[Signal]:
        """Report of what is over, and of what has lasted while the losses did not fall."""
        now = _level_of(list(self._levels)[-max(_LOSS_STEPS // self._every, 1) :])
        signals = []
        for name, found in list(self._stale.items()):
            ratio = float(ratios[self._places[name]]) if name in self._places else math.nan
            if math.isnan(ratio):
                continue
            if ratio < _LARGE or (ratio < _NEAR * found.usual and not holds[self._places[name]]):
                del self._stale[name]
                signals.append(Signal("stale", name))
            elif found.deserves_warning(step, now):
                self._stale[name] = found._replace(warned=True)
                losses = {"loss": now, "loss_before": found.loss}
                signals.append(Signal("stale", name, "warning", self._evidence(name, ratios, second) | losses))
        return signals

    def _evidence(self, name: str, ratios: Floats, second: Floats) -> dict[str, float]:
        """Return the ratio to the gradients of 33 steps, what is usual, and the `c` that makes the ratio 1.

        Gradients change fast after a burst: with the `c` of those of 65 steps, steps are shorter than they should be.
        """
        place = self._places[name]
        ratio = float(ratios[place])
        latest = islice(reversed(self._grads), max(self._looks(_GRAD_STEPS), 3))  # of two, one might be the burst
        sizes = [float(row[place]) for row in latest if row[place] > 0]
        if sizes:
            ratio = min(float(second[place]) / median_of(sizes), _IMMENSE)
        return {"r": ratio, "usual": self._stale[name].usual, "c": 1 / (ratio * ratio)}

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "grads": [known_or_none(row.tolist()) for row in self._grads],
            "ratios": [known_or_none(row.tolist()) for row in self._ratios],
            "levels": known_or_none(self._levels),
            "counts": self._counts.tolist(),
            "stale": [[name, *found] for name, found in self._stale.items()],
        }

    def load_state_dict(self, state: Any, names: tuple[str, ...]) -> None:
        """Go on from what `state_dict` returned, with these parameters. Call it of a new watch."""
        saved = Saved(state, ("grads", "ratios", "levels", "counts", "stale"), "stale")
        self._begin(names)
        for key, kept in (("grads", self._grads), ("ratios", self._ratios)):
            rows = saved.rows(key, len(names), "a number or None for each of the names")
            if len(rows) > (kept.maxlen or 1):
                raise ValueError(f"stale: {key} must be at most {kept.maxlen} lists, got {len(rows)}")
            kept.extend(np.array(nan_for_none(numbers_or_nones(row, f"stale: {key}"))) for row in rows)
        counts = saved.counts("counts")
        if len(counts) != len(names) or any(count > self._lasting for count in counts):
            raise ValueError(f"stale: counts must be {len(names)} ints from 0 to {self._lasting}")
        self._counts = np.array(counts, np.int64)
        levels = saved.numbers_or_nones("levels")
        if len(levels) != len(self._ratios):
            raise ValueError(f"stale: levels must be as many as ratios, {len(self._ratios)}, got {len(levels)}")
        self._levels.extend(nan_for_none(levels))
        for row in saved.rows("stale", len(_ROW), "a name, a step, two numbers and a flag"):
            read = Saved(dict(zip(_ROW, row, strict=True)), _ROW, "stale")
            usual, loss = read.number("usual"), read.number_or_none("loss")
            self._stale[read.text("name")] = _Stale(read.count("since"), usual, loss, read.flag("warned"))


_ROW = ("name", *_Stale._fields)


def _ratios_of(second: Floats, grads: Floats) -> Floats:
    """Return second moments relative to gradients: NaN where either is unknown, and where there is no gradient."""
    ratios = np.divide(second, grads, out=np.full(len(grads), math.nan), where=grads > 0)
    return np.where(ratios < _IMMENSE, ratios, math.nan)


def _level_of(losses: Iterable[float]) -> float:
    known = [loss for loss in losses if -LARGEST <= loss <= LARGEST]
    return median_of(known) if known else math.nan
