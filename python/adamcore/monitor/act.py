"""`Act`: one thing that was done to a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore.monitor.finding import is_plain

_FIELDS = ("kind", "step", "done", "numbers", "text", "batches")


@dataclass(frozen=True)
class Act:
    """One thing that a function of `adamcore.escape` or a `Policy` has done. It is read-only, and plain values.

    Attributes
    ----------
    kind : str
        "jolt", "perturb", "along_curvature", "restart" or "rewind": what the function of that name did. A `Policy` also
        has "rescale", "cut", "stop", "advice" and "undo".
    step : int
        The number of steps before it: those that the monitor has seen, or ``opt.completed`` without one.
    done : bool
        Whether anything was changed.
    numbers : dict
        How it was done, by name: plain values for JSON, with texts for NaN and infinity.
    text : str
        What was done, or why nothing was.
    batches : int
        How many of the next batches should be left out, after "rewind".

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> act = ac.escape.jolt(ac.SGD(np.ones(3), lr=0.1), factor=5.0, steps=10)
    >>> print(act)
    step 0: jolt: the rate is 5 times as large for 10 steps.
    >>> act == ac.escape.Act.from_dict(act.to_dict())
    True
    """

    kind: str
    step: int
    done: bool = True
    numbers: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    batches: int = 0
    before: Any = field(default=None, compare=False, repr=False)
    """After "restart", a copy of what there was, unless it was not wanted. It is in no file."""
    extra: Any = field(default=None, compare=False, repr=False)
    """After "rewind", the `extra` of the checkpoint."""

    def put_back(self) -> None:
        """Make parameters and state what they were before a restart, `completed` too.

        Raises
        ------
        ValueError
            If there is no copy of them.
        """
        if self.before is None:
            raise ValueError(f"Act: there is no copy of what was before {self.kind!r}")
        restore: Callable[[], None] = self.before.put_back
        restore()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: getattr(self, name) for name in _FIELDS} | {"numbers": dict(self.numbers)}

    @classmethod
    def from_dict(cls, saved: Any) -> Act:
        """Return what `to_dict` gave. Raises TypeError or ValueError for anything else."""
        label = "Act"
        if not isinstance(saved, Mapping) or set(saved) != set(_FIELDS):
            error = ValueError if isinstance(saved, Mapping) else TypeError
            raise error(f"{label} must be a dict with {', '.join(_FIELDS)}, got {short_repr(saved)}")
        for name in ("kind", "text"):
            if not isinstance(saved[name], str):
                raise TypeError(f"{label}: {name} must be a str, got {short_repr(saved[name])}")
        if not isinstance(saved["done"], bool):
            raise TypeError(f"{label}: done must be True or False, got {short_repr(saved['done'])}")
        numbers = saved["numbers"]
        if not isinstance(numbers, Mapping) or not all(
            isinstance(key, str) and is_plain(value) for key, value in numbers.items()
        ):
            raise TypeError(f"{label}: numbers must be plain values by name, got {short_repr(numbers)}")
        counts = (as_int(saved[name], f"{label}: {name}", "an int >= 0", 0) for name in ("step", "batches"))
        step, batches = counts
        return cls(saved["kind"], step, saved["done"], dict(numbers), saved["text"], batches)

    def __hash__(self) -> int:
        return hash((self.kind, self.step, self.text))

    def __str__(self) -> str:
        return f"step {self.step}: {self.kind}: {self.text}"
