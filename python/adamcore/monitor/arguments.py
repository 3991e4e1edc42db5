"""The arguments of a `Monitor` that decide what it finds."""

from __future__ import annotations

from typing import Any

from adamcore._checks.flags import as_flag
from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore.monitor.saved import Saved
from adamcore.schedules._detector import Plateau

_VALIDATION_TOL = 0.02
_MODES = {"min": 1, "max": -1}


class Arguments:
    """The arguments, which have been checked. Raises TypeError or ValueError, which name the argument."""

    def __init__(
        self,
        window: Any,
        stats_every: Any,
        tol: Any,
        max_window: Any,
        scale: Any,
        validation_window: Any,
        mode: Any,
        units: Any,
    ) -> None:
        if not isinstance(mode, str) or mode not in _MODES:
            error = ValueError if isinstance(mode, str) else TypeError
            raise error(f"Monitor: mode must be 'min' or 'max', got {short_repr(mode)}")
        watches_units = as_flag(units, "Monitor: units")
        self.training = _test("", window=window, tol=tol, max_window=max_window, scale=scale)
        self.validation = _test("validation_", window=validation_window, tol=_VALIDATION_TOL)
        self.stats_every = None
        if stats_every is not None:
            self.stats_every = as_int(stats_every, "Monitor: stats_every", "an int >= 1 or None", 1)
        self.mode, self.units = mode, watches_units

    @property
    def every(self) -> int:
        """In how many steps statistics are wanted once, or 0 for never."""
        return self.stats_every or 0

    @property
    def sign(self) -> int:
        """1 if small metrics are good, and -1 if large ones are."""
        return _MODES[self.mode]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "window": self.training.window,
            "tol": self.training.tol,
            "max_window": self.training.longest,
            "scale": self.training.scale,
            "validation_window": self.validation.window,
            "stats_every": self.stats_every,
            "units": self.units,
            "mode": self.mode,
        }

    def require_same(self, saved: Saved, label: str) -> None:
        """Raise ValueError if a state is of a monitor with other arguments."""
        own = self.to_dict()
        arguments = saved.inside("arguments", own)
        for name, value in own.items():
            if arguments[name] != value:
                of = short_repr(arguments[name])
                raise ValueError(f"{label}: it is of a monitor with {name}={of}, but this one has {name}={value!r}")


def _test(prefix: str, **arguments: Any) -> Plateau:
    try:
        return Plateau(**arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("Plateau: ", f"Monitor: {prefix}", 1)) from None
