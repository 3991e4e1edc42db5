"""An act on trial: whether the loss is lower some time later, and the way back if it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore._state_dicts.saved_schedules import saved_value
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.monitor.saved import Saved
from adamcore.optimizer import Optimizer
from adamcore.schedules import Plateau, Schedule

_KEYS = ("kind", "due", "level", "before", "rates")


class Trial:
    """An act whose success is not known yet.

    Parameters
    ----------
    kind : str
        What was done.
    due : int
        The step after which it is judged.
    level : float
        The loss on the plateau.
    before : mapping, optional
        What `Snapshot.state_dict` returned before the act, if it is to be undone.
    rates : list
        The rates of all groups before it; [] if it did not change them.
    """

    def __init__(self, kind: str, due: int, level: float, before: Mapping[str, Any] | None, rates: list[Any]) -> None:
        self.kind, self.due, self.level = kind, due, level
        self._before, self._rates = before, rates

    @property
    def can_undo(self) -> bool:
        """Whether there is a copy of what was before."""
        return self._before is not None

    def has_helped(self, level: float | None, test: Plateau) -> bool:
        """Whether the loss is lower than on the plateau, by the `tol` of its test."""
        size = abs(self.level) if test.scale is None else test.scale
        return level is not None and level < self.level - test.tol * size

    def undo(self, opt: Optimizer) -> None:
        """Make parameters and state what they were before the act, and the rates if these were changed."""
        assert self._before is not None
        now = Snapshot.loaded(opt, self._before)
        values = [dict(of_group) for of_group in now.values]
        for of_group, rate in zip(values, self._rates, strict=False):
            of_group["lr"] = rate
        now.changed(values=values, completed=opt.completed).put_back()

    def state_dict(self) -> dict[str, Any]:
        """Return it for a file."""
        rates = [saved_value(rate) for rate in self._rates]
        return {"kind": self.kind, "due": self.due, "level": self.level, "before": self._before, "rates": rates}

    @classmethod
    def loaded(cls, state: Any, opt: Optimizer) -> Trial:
        """Return what `state_dict` returned. Raises TypeError or ValueError for anything else."""
        saved = Saved(state, _KEYS)
        level = saved.number_or_none("level")
        if level is None:
            raise TypeError("level must be a number")
        before = saved["before"]
        if before is not None:
            Snapshot.loaded(
                opt, Saved(before, ("params", "state", "completed", "numbers", "averages", "norms")).to_dict()
            )
        rates = [
            Schedule.from_dict(rate) if isinstance(rate, Mapping) else float(rate) for rate in saved.items("rates")
        ]
        return cls(saved.text("kind"), saved.count("due"), level, before, rates)
