"""The search for saddles, which costs gradients and so is not always on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adamcore._curvature.curvature import Curvature
from adamcore._curvature.weights import CurvatureError, Weights
from adamcore.escape.policies.gathering import Gathering
from adamcore.monitor.monitor import Monitor
from adamcore.monitor.saved import Saved

_SLOW = 0.15
"""Losses that fall by less than this share in a window may be close to a saddle."""

_KEYS = ("next", "asked", "on_plateau", "batches")

Batches = list[tuple[Any, ...]]


class SaddleSearch:
    """Measures the curvature where the loss falls slowly, and where it has stopped.

    The noise of one measurement can hide a saddle, so it is repeated: after half a window, one, two, four, and so on.
    """

    def __init__(self, mon: Monitor, loss_and_grad: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        try:
            Weights(mon._opt, "Policy: loss_and_grad")
        except ValueError as error:
            raise ValueError(f"{error}; leave loss_and_grad out, and saddles are not looked for") from None
        self._mon, self.loss_and_grad = mon, loss_and_grad
        self._window = mon._arguments.training.window
        self._next = self._asked = 0
        self._on_plateau = False
        """Whether it has been asked on the present plateau."""
        self._gathering: Gathering | None = None

    def leave_plateau(self) -> None:
        """Ask at once on the next plateau."""
        self._on_plateau = False

    def begin_anew(self, step: int) -> None:
        """Ask as in the beginning, from this step on."""
        self._next, self._asked, self._on_plateau, self._gathering = step, 0, False, None

    def is_due(self, step: int, *, is_flat: bool) -> bool:
        """Whether to ask now, or to go on gathering batches."""
        if self._gathering is not None or (is_flat and not self._on_plateau):
            return True
        if step < self._next:
            return False
        trend = self._mon._watches.losses.trend
        return not trend.first and trend.improves_less(_SLOW)  # at the end of a block, when there is news

    def ask(self, step: int, batch: Any, *, is_flat: bool) -> tuple[Curvature | None, Batches] | None:
        """Take the batch of a step. Return what was measured on which batches, or None if more are needed."""
        self._gathering = self._gathering or Gathering()
        if not self._gathering.add(batch):
            return None
        batches = [(each,) for each in self._gathering.batches]
        self._gathering = None
        self._next = step + max((self._window << min(self._asked, 30)) // 2, 1)
        self._asked += 1
        self._on_plateau |= is_flat
        try:
            found = self._mon._measured(
                self.loss_and_grad, batches, "Policy: loss_and_grad", seed=self._mon.seed, iterations=16
            )
        except CurvatureError:
            return None, batches
        return found, batches

    def state_dict(self) -> dict[str, Any]:
        """Return plain values, and the batches that have been gathered."""
        batches = None if self._gathering is None else self._gathering.state()
        return {"next": self._next, "asked": self._asked, "on_plateau": self._on_plateau, "batches": batches}

    def loaded(self, state: Any) -> SaddleSearch:
        """Return a search with the same functions that goes on from what `state_dict` returned."""
        saved = Saved(state, _KEYS)
        found = SaddleSearch(self._mon, self.loss_and_grad)
        found._next, found._asked, found._on_plateau = (
            saved.count("next"),
            saved.count("asked"),
            saved.flag("on_plateau"),
        )
        if saved["batches"] is not None:
            found._gathering = Gathering(saved.items("batches"))
        return found
