"""From what a number is drawn, and what `tune` draws unless it is told otherwise."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from adamcore.training.tuning.rules import Rule

Scale = Literal["log", "from one", "linear", "whole"]


class Range(NamedTuple):
    """An interval of numbers. `low` and `high` are those of what is drawn: with "from one" the distance from 1."""

    low: float
    high: float
    scale: Scale = "log"

    def key(self, name: str) -> str:
        """Return what the search calls the number."""
        return f"1-{name}" if self.scale == "from one" else name

    def draw(self, trial: Any, name: str) -> float:
        """Return a number that a trial of Optuna's suggests."""
        if self.scale == "whole":
            return int(trial.suggest_int(name, int(self.low), int(self.high)))
        drawn = float(trial.suggest_float(self.key(name), self.low, self.high, log=self.scale != "linear"))
        return self.number(drawn)

    def number(self, drawn: float) -> float:
        """Return the number that belongs to what was drawn."""
        return 1.0 - drawn if self.scale == "from one" else drawn

    def ends(self) -> tuple[Any, ...]:
        """Return its lowest and its highest number."""
        return tuple(sorted((self.number(self.low), self.number(self.high))))

    def nearest(self, number: Any) -> float | None:
        """Return what is drawn for the nearest number in the range, or None if there is none."""
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            return None
        drawn = 1.0 - number if self.scale == "from one" else number
        return type(self.low)(min(max(drawn, self.low), self.high))

    def edge(self, drawn: float) -> str | None:
        """Return "lowest" or "highest" if what was drawn is in the outer twentieth of the range, or None."""
        ends = (self.low, drawn, self.high)
        first, at, last = ends if self.scale in ("linear", "whole") else map(math.log, ends)
        place = (at - first) / (last - first)
        if self.scale == "from one":
            place = 1 - place
        return "lowest" if place < _EDGE else "highest" if place > 1 - _EDGE else None

    def described(self) -> Any:
        """Return it as plain data."""
        return [self.scale, self.low, self.high]


class Choice(NamedTuple):
    """Values one of which is taken."""

    values: tuple[Any, ...]

    def key(self, name: str) -> str:
        """Return what the search calls the number."""
        return name

    def draw(self, trial: Any, name: str) -> Any:
        """Return a value that a trial of Optuna's suggests."""
        return trial.suggest_categorical(name, list(self.values))

    def ends(self) -> tuple[Any, ...]:
        """Return all values."""
        return self.values

    def nearest(self, value: Any) -> Any:
        """Return the value if it is one of those, or None."""
        return value if value in self.values else None

    def described(self) -> Any:
        """Return it as plain data."""
        return ["choice", *self.values]


_EDGE = 0.05

RATE = Range(1e-5, 1.0)
EPS = Range(1e-10, 1e-6)
FIRST = Range(0.01, 0.5, "from one")
"""Averages of gradients, and momentum."""
SECOND = Range(1e-4, 0.1, "from one")
"""Averages of squares."""

_USUAL = {"lr": RATE, "beta1": FIRST, "beta2": SECOND, "momentum": FIRST, "alpha": SECOND}

_OTHERS: dict[str, dict[str, Range | None]] = {
    # Its second average is one of differences of gradients, and its third the one of squares.
    "Adan": {"beta2": FIRST, "beta3": SECOND},
    # The layers' rates are multiples of the weights: by lr * trust_coeff, which is 0.001.
    "LARS": {"lr": Range(1e-2, 1e3)},
    # It looks for the rate itself; d_coef multiplies what it finds.
    "Prodigy": {"lr": None, "beta3": None, "d_coef": Range(0.1, 10.0)},
    # Its momentum is 0 unless it is asked for, and is on request here too.
    "RMSprop": {"momentum": None},
}

_DECOUPLED = ("AdamW", "Adan", "LAMB", "Lion", "Prodigy", "ScheduleFreeAdamW", "StableAdamW")


def usual_ranges(rule: Rule) -> dict[str, Range]:
    """Return the ranges of the numbers of a rule that are tuned unless the user says otherwise."""
    wanted = {**_USUAL, **_OTHERS.get(rule.family, {})}
    known = {**dict.fromkeys(("lr",) if rule.takes_any and not rule.presets else ()), **rule.presets}
    return {name: wanted[name] for name in known if name not in rule.bound and wanted.get(name) is not None}  # type: ignore[misc]


def range_on_request(rule: Rule, name: str) -> Range | None:
    """Return the range of a number that is tuned if the user names it, or None if he must say which."""
    if name == "weight_decay":
        # Decoupled decay is multiplied by the rate; as a penalty it is a part of the gradient.
        return Range(1e-4, 1.0) if rule.family in _DECOUPLED else Range(1e-6, 1e-2)
    of_family = _OTHERS.get(rule.family, {}).get(name)
    return of_family or {**_USUAL, "eps": EPS}.get(name)
