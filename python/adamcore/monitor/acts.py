"""What was done to a run that monitors watch."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from adamcore.monitor.act import Act
from adamcore.monitor.saved import Saved

KEPT = 1000
"""So many acts are kept, the latest."""

_MONITORS: weakref.WeakSet[Any] = weakref.WeakSet()


def remember(monitor: Any) -> None:
    """Remember a monitor, as long as it is used."""
    _MONITORS.add(monitor)


def monitors_of(opt: Any) -> list[Any]:
    """Return the monitors that watch an optimizer, or one from which it was switched."""
    return [monitor for monitor in _MONITORS if monitor._opt is opt]


class Acts:
    """The acts of a run, the latest last."""

    def __init__(self) -> None:
        self._acts: list[Act] = []

    def add(self, act: Act) -> None:
        """Add an act, without the copies that it may have."""
        self._acts.append(Act.from_dict(act.to_dict()))
        del self._acts[:-KEPT]

    def all(self) -> list[Act]:
        """Return them."""
        return list(self._acts)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"acts": [act.to_dict() for act in self._acts]}

    def load_state_dict(self, state: Any) -> None:
        """Take what `state_dict` returned."""
        items: Iterable[Any] = Saved(state, ("acts",)).items("acts", KEPT)
        self._acts = [Act.from_dict(item) for item in items]
