"""An act on trial: whether the loss is lower some time later, and the way back if it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore._state_dicts.saved_schedules import saved_value
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.monitor.saved import Saved
from adamcore.optimizer import Optimizer
from adamcore.schedules import Plateau, Product, Schedule

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

    def can_undo(self, opt: Optimizer) -> bool:
        """Whether there is a copy of what was before, and nothing was added since, nor was the rule switched."""
        before, native = self._before, opt._native
        if before is None or before["optimizer"] != type(opt).__name__:
            return False
        return set(before["params"]) == set(native.places) and set(before["averages"]) == set(native.averages)

    def has_helped(self, level: float | None, test: Plateau) -> bool:
        """Whether the loss is lower than on the plateau, by the `tol` of its test."""
        return level is not None and level < below(self.level, test)

    def undo(self, opt: Optimizer) -> None:
        """Make parameters and state what they were before the act, and the rates if these were changed."""
        assert self._before is not None
        now = Snapshot.loaded(opt, self._before)
        values = [dict(of_group) for of_group in now.values]
        for of_group, rate in zip(values, self._rates, strict=False):
            of_group["lr"] = _that_observes(of_group["lr"], rate)
        now.changed(values=values, completed=opt.completed).put_back()

    def state_dict(self, opt: Optimizer) -> dict[str, Any]:
        """Return it for a file."""
        rates = [saved_value(rate) for rate in self._rates]
        before = self._before if self.can_undo(opt) else None
        return {"kind": self.kind, "due": self.due, "level": self.level, "before": before, "rates": rates}

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
                opt,
                Saved(before, ("optimizer", "params", "state", "completed", "numbers", "averages", "norms")).to_dict(),
            )
        rates = [
            Schedule.from_dict(rate) if isinstance(rate, Mapping) else float(rate) for rate in saved.items("rates")
        ]
        return cls(saved.text("kind"), saved.count("due"), level, before, rates)


def below(level: float, test: Plateau) -> float:
    """Return the level from which on a loss counts as lower: by the `tol` of its test."""
    return level - test.tol * (abs(level) if test.scale is None else test.scale)


def _that_observes(now: Any, before: Any) -> Any:
    """Return the schedule within a product that is equal to the one before.

    It is the same object, but after loading: then it alone has what was observed since, as `ReduceOnPlateau` does.
    """
    inside = now.a if isinstance(now, Product) else None
    return inside if isinstance(inside, Schedule) and inside == before else before
