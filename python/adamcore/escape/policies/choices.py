"""What a `Policy` can do on a plateau, in which order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from adamcore._checks.numbers import as_float, as_int
from adamcore._curvature.curvature import Curvature
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.escape._acting import noted
from adamcore.escape._along import move_along
from adamcore.escape._perturb import perturb
from adamcore.escape._rates import multiplied, write_rates
from adamcore.escape._restart import restart
from adamcore.escape.policies.saddles import Batches, SaddleSearch
from adamcore.escape.policies.trial import below
from adamcore.monitor.act import Act
from adamcore.monitor.monitor import Monitor
from adamcore.monitor.saved import Saved
from adamcore.optimizer import Optimizer

CUT = 1 / 3
"""What a rate is multiplied by."""

_SMALL = 0.01
"""Gradients are small from this share of the early ones on."""

_LEARNT = 1 / 3
"""From this fall of the loss on, relative to the first one, a plateau is no slow beginning. There, a lower rate would
only make it slower (docs/stuck.md)."""

_KINDS = ("restart", "advice", "along_curvature", "perturb", "cut", "stop")


class Choice(NamedTuple):
    """One thing that can be done."""

    kind: str
    text: str
    numbers: dict[str, Any]
    do: Callable[[int], Act]
    """Do it, with a seed."""
    changes: bool = True


class Choices:
    """Knows what has been tried on a plateau, and finds what to do next."""

    def __init__(
        self, mon: Monitor, search: SaddleSearch | None, init: Callable[..., Any] | None, patience: int
    ) -> None:
        self._mon = mon
        self._search, self._init, self._patience = search, init, patience
        self._reference: tuple[int, float] | None = None
        """Since which step the loss has not fallen, and its level then."""
        self._tried: list[str] = []
        self._is_saddle = False

    @property
    def _opt(self) -> Optimizer:
        return self._mon._opt

    def leave_plateau(self) -> None:
        """Nothing has been tried on the next plateau."""
        self._tried, self._is_saddle, self._reference = [], False, None
        if self._search is not None:
            self._search.leave_plateau()

    def begin_anew(self, step: int) -> None:
        """Something has helped."""
        self.leave_plateau()
        if self._search is not None:
            self._search.begin_anew(step)

    def has_something(self, step: int) -> bool:
        """Whether there may be something to do where there is no plateau."""
        return self._search is not None and self._search.is_due(step, is_flat=False)

    def next(self, step: int, batch: Any, *, is_flat: bool, has_budget: bool) -> Choice | None:
        """Return what to do after this step, or None for nothing yet. `is_flat`: it is on a plateau."""
        if names := self._without_gradients():
            return self._for_dead(names, has_budget=has_budget) if is_flat else None
        if not has_budget:
            return None
        search = self._search
        if search is not None and search.is_due(step, is_flat=is_flat):
            answer = search.ask(step, batch, is_flat=is_flat)
            if answer is None:
                return None
            found, batches = answer
            if found is not None and found.is_saddle:
                self._is_saddle = True
                make = partial(self._along, search, found, batches)
                return self._once("along_curvature", make) or self._once("perturb", self._perturb)
        all_makers: dict[str, Callable[[], Choice | None]] = {
            "perturb": self._perturb,
            "advice": self._raise,
            "cut": partial(self._cut, step),
            "stop": self._stop,
        }
        makers = all_makers if is_flat else {}
        choices = (self._once(kind, make) for kind, make in makers.items())
        return next((choice for choice in choices if choice is not None), None)

    def _once(self, kind: str, make: Callable[[], Choice | None]) -> Choice | None:
        if kind in self._tried:
            return None
        choice = make()
        if choice is not None:
            self._tried.append(kind)
        return choice

    def _without_gradients(self) -> list[str]:
        active = self._mon._watches.active
        return [*active.tensors("dead"), *active.tensors("vanishing")]

    def _for_dead(self, names: list[str], *, has_budget: bool) -> Choice | None:
        why = f"the plateau comes from {names[0]!r}, which gets no gradient or a vanishing one"
        init = self._init
        if init is not None and has_budget and "restart" not in self._tried:
            choice = Choice("restart", f"{why}: new parameters.", {}, partial(self._restart, init))
            return self._once("restart", lambda: choice)
        text = f"{why}. Change the network or its initialisation; no other rate and no noise helps."
        return self._once("advice", lambda: Choice("advice", text, {}, self._nothing, changes=False))

    def _restart(self, init: Callable[..., Any], seed: int) -> Act:
        return restart(self._opt, init, seed=seed + 1, keep_best=False)  # the run itself began with the seed

    def _along(self, search: SaddleSearch, found: Curvature, batches: Batches) -> Choice:
        return Choice(
            "along_curvature",
            "the place is a saddle: the loss falls along the direction of negative curvature.",
            found.evidence(),
            lambda _: move_along(self._opt, Snapshot(self._opt), found, search.loss_and_grad, batches),
        )

    def _perturb(self) -> Choice | None:
        share = self._mon._watches.sizes.share
        is_small = share is not None and share < _SMALL
        if not (self._is_saddle or is_small):
            return None
        why = "the place is a saddle" if self._is_saddle else f"gradients are {share:.2%} of the early ones"
        return Choice("perturb", f"{why}: noise for the weights.", {}, lambda seed: perturb(self._opt, seed=seed))

    def _raise(self) -> Choice | None:
        agree = self._mon._watches.tensors.agree
        if agree is None:
            return None
        text = "the gradients of successive steps agree, so the rate may be far too small: try ten times as much."
        return Choice("advice", text, {"cos": agree}, self._nothing, changes=False)

    def _cut(self, step: int) -> Choice | None:
        has_stopped = self._has_stopped(step)
        if not has_stopped or not self._has_learnt() or self._mon._watches.tensors.agree is not None:
            return None
        try:
            rates = multiplied(self._opt, CUT, "Policy")
        except TypeError:  # a function, which cannot be multiplied
            return None

        def do(_: int) -> Act:
            write_rates(self._opt, rates)
            return noted(self._opt, "cut", text, {"factor": CUT})

        text = "the rate is a third of what it was."
        return Choice("cut", text, {"factor": CUT}, do)

    def _has_stopped(self, step: int) -> bool:
        """Whether the loss has not fallen by `tol` for the length of a trial.

        So what it falls after a cut in the same time is owed to the cut, and not to a slow fall that would go on.
        """
        level, test = self._mon._watches.losses.trend.level, self._mon._arguments.training
        if level is None:
            return False
        if self._reference is None or level < below(self._reference[1], test):
            self._reference = step, level
        return step - self._reference[0] >= self._patience

    def _has_learnt(self) -> bool:
        """Whether the loss is so much below the first one that a lower rate can help."""
        losses, scale = self._mon._watches.losses, self._mon._arguments.training.scale
        begin, level = losses.begin, losses.trend.level
        if begin is None or level is None:
            return False
        return begin - level > _LEARNT * (abs(begin) if scale is None else scale)

    def _stop(self) -> Choice | None:
        if "cut" not in self._tried:
            return None
        return Choice("stop", "nothing more can be tried on this plateau.", {}, self._nothing, changes=False)

    def _nothing(self, _: int) -> Act:
        raise AssertionError("nothing changes")

    def state_dict(self) -> dict[str, Any]:
        """Return plain values, and the batches that have been gathered."""
        search = None if self._search is None else self._search.state_dict()
        reference = None if self._reference is None else list(self._reference)
        return {"tried": list(self._tried), "is_saddle": self._is_saddle, "search": search, "reference": reference}

    def loaded(self, state: Any) -> Choices:
        """Return choices with the same functions that go on from what `state_dict` returned."""
        saved = Saved(state, ("tried", "is_saddle", "search", "reference"))
        if (saved["search"] is None) != (self._search is None):
            raise ValueError("only one of the two policies has loss_and_grad")
        search = None if self._search is None else self._search.loaded(saved["search"])
        found = Choices(self._mon, search, self._init, self._patience)
        if saved["reference"] is not None:
            (row,) = Saved({"it": [saved["reference"]]}, ("it",), "reference").rows("it", 2, "a step and a level")
            found._reference = as_int(row[0], "reference", "an int >= 0", 0), as_float(row[1], "reference", "a number")
        found._tried, found._is_saddle = saved.names("tried"), saved.flag("is_saddle")
        if unknown := [kind for kind in found._tried if kind not in _KINDS]:
            raise ValueError(f"tried: there is no {unknown[0]!r}")
        return found
