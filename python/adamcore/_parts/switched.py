"""What `switch` tells of the optimizer that it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Switched:
    """What an optimizer has from the one before it: ``opt.switched``, if `switch` made it.

    Attributes
    ----------
    before, now : str
        The names of both classes.
    carried : mapping
        The slots of the new state that have been carried, and the old slots from which they come.
    fresh : tuple of str
        The slots that begin anew.
    dropped : tuple of str
        The old slots for which the new rule has no use.
    options : tuple of str
        The hyper-parameters whose values have been carried. All others are those that were passed, or presets.
    keeps_steps : bool
        Whether the counts of updates go on. They begin at 0 if no moment has been carried.
    """

    before: str
    now: str
    carried: Mapping[str, str]
    fresh: tuple[str, ...]
    dropped: tuple[str, ...]
    options: tuple[str, ...]
    keeps_steps: bool

    def __str__(self) -> str:
        carried = [slot if slot == old else f"{slot} (from {old})" for slot, old in self.carried.items()]
        rows = {
            "carried": carried,
            "begins anew": [*self.fresh, *([] if self.keeps_steps else ["counts of updates"])],
            "dropped": self.dropped,
            "options kept": self.options,
        }
        lines = [f"{what}: {', '.join(names)}" for what, names in rows.items() if names]
        return "\n".join([f"{self.before} switched to {self.now}", *lines])
