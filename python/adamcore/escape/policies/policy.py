"""`Policy`: acts on what a monitor finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from adamcore._checks.flags import as_flag
from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.escape._acting import noted
from adamcore.escape.policies.choices import Choices
from adamcore.escape.policies.saddles import SaddleSearch
from adamcore.escape.policies.trial import Trial
from adamcore.monitor.act import Act
from adamcore.monitor.detectors.watches import Watches
from adamcore.monitor.finding import Finding
from adamcore.monitor.log import Log
from adamcore.monitor.monitor import Monitor
from adamcore.monitor.saved import Saved
from adamcore.optimizer import Optimizer

_ARGUMENTS = ("budget", "cooldown", "undo", "dry_run")
_KEYS = ("arguments", "left", "read", "next", "kept_until", "stopped", "was_on_plateau", "choices", "trial")


class Policy:
    """Acts on what a `Monitor` finds: tries a way out of a plateau, looks whether it helped, and takes it back if not.

    Call `act` after each step, when the monitor has observed it. Mostly nothing happens. On a plateau of the training
    loss, it does the first of these that applies and has not been tried there:

    1. A parameter is dead, or its gradients vanish: it restarts, if there is `init`. Otherwise it only says so, since
       nothing else helps.
    2. The place is a saddle, which is measured with `loss_and_grad`: it moves `along_curvature`, or else `perturb`.
       This is also done where the loss still falls, but by less than 15% in a window.
    3. The gradients are less than 1% of what they were in the first 128 steps: `perturb`.
    4. The gradients of successive steps agree: it says that the rate may be far too small.
    5. It cuts the rate to a third, if the loss is below two thirds of the first one, and has not fallen by the
       monitor's `tol` within `cooldown` steps on the plateau.
    6. It stops, after a cut: `stopped` becomes True, which ends `adamcore.fit`.

    If the monitor warns that second moments are stale, it calls ``opt.rescale_state``.

    Parameters
    ----------
    mon : Monitor
        The monitor. Its seed decides what is random.
    loss_and_grad : callable, optional
        ``loss_and_grad(params, batch)`` returns the loss and the gradients, as that of a problem does. To look for a
        saddle takes 44 calls of it for each of up to eight batches, which are gathered until they have 512 rows. It is
        done where losses become slow, again after half a window, one, two and so on, and on each plateau. Without
        `loss_and_grad`, saddles are not looked for.
    init : callable, optional
        ``init(rng)`` returns new parameters.
    budget : int
        How often it may change something in all, >= 0.
    cooldown : int, optional
        How many steps there are at least between two changes, >= 1. After so many, a change is judged. The default is
        twice the monitor's window.
    undo : bool
        Whether to put parameters and state back, if the loss is then not below the plateau by the monitor's `tol`. This
        takes a copy of them. `completed` goes on. After parameters or averages of weights have been added, a change is
        not undone.
    dry_run : bool
        Whether only to report what would be done. Measuring curvature puts the weights back, so nothing changes.

    Attributes
    ----------
    stopped : bool
        Whether a lower rate has not helped either, and nothing is left to be tried. It stays False if the budget is
        spent before: then nothing more is done, and the run goes on.
    left : int
        What is left of the budget.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or `loss_and_grad` is passed for parameters in half precision, for which
        curvature cannot be measured.

    Notes
    -----
    With the same seed and data, decisions are the same, also after a resume: save it with the optimizer and the
    monitor, ``ac.save(path, opt, monitor=mon, policy=policy)``. If it has cut a rate that is a schedule, load with
    ``schedules="saved"``. (Batches that a file cannot have, which are no arrays, are gathered anew.)

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.array([1.0, 0.0])  # the loss is w0**2 - w1**2 + w1**4, and its saddle is at 0
    >>> def loss_and_grad(w, batch):
    ...     return float(1 + w[0]**2 - w[1]**2 + w[1]**4), np.array([2 * w[0], 4 * w[1]**3 - 2 * w[1]])
    >>> opt = ac.AdamW(w, lr=0.05, weight_decay=0.0)
    >>> mon = ac.Monitor(opt, window=32)
    >>> policy = ac.escape.Policy(mon, loss_and_grad)
    >>> for _ in range(300):
    ...     loss, grads = loss_and_grad(w, None)
    ...     found = mon.observe(loss, opt.step(grads, stats=mon.wants_stats))
    ...     kinds = [act.kind for act in policy.act(None)]
    >>> mon.acts[0].kind, round(loss, 3)
    ('along_curvature', 0.75)
    """

    def __init__(
        self,
        mon: Monitor,
        loss_and_grad: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        init: Callable[[np.random.Generator], Any] | None = None,
        budget: int = 3,
        cooldown: int | None = None,
        undo: bool = True,  # noqa: FBT001, FBT002  (as users pass it)
        dry_run: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        if not isinstance(mon, Monitor):
            raise TypeError(f"Policy: mon must be a Monitor, got {short_repr(mon)}")
        for name, function in (("loss_and_grad", loss_and_grad), ("init", init)):
            if function is not None and not callable(function):
                raise TypeError(f"Policy: {name} must be a function or None, got {short_repr(function)}")
        self.undo, self.dry_run = as_flag(undo, "Policy: undo"), as_flag(dry_run, "Policy: dry_run")
        self._mon = mon
        self.budget = as_int(budget, "Policy: budget", "an int >= 0", 0)
        window = mon._arguments.training.window
        self.cooldown = 2 * window if cooldown is None else as_int(cooldown, "Policy: cooldown", "an int >= 1", 1)
        search = None if loss_and_grad is None else SaddleSearch(mon, loss_and_grad)
        self._choices = Choices(mon, search, init, self.cooldown)
        self.stopped = False
        self.left = self.budget
        self._log: Log | None = mon._watches.log
        """That of which so many findings have been read; None after loading, when it is the next one."""
        self._read = mon._watches.log.total
        self._next = self._kept_until = 0
        self._trial: Trial | None = None
        self._was_on_plateau = False

    @property
    def monitor(self) -> Monitor:
        """The monitor whose findings it acts on."""
        return self._mon

    @property
    def _opt(self) -> Optimizer:
        return self._mon._opt

    def act(self, batch: Any) -> list[Act]:
        """Look at what the monitor has found, and act. Call it after each step.

        Parameters
        ----------
        batch
            The batch of the step, which `loss_and_grad` is called with. Its rows are the length of the first array in
            it; a batch without arrays is enough alone to look for a saddle.

        Returns
        -------
        list of Act
            What was done; mostly nothing.
        """
        step, watches = self._mon._seen, self._mon._watches
        is_read = self._log is watches.log and self._read == watches.log.total
        has_news = not is_read or self._was_on_plateau or self._trial is not None
        if self.stopped or not (has_news or self._choices.has_something(step)):
            return []
        return self._act(step, watches, batch)

    def _act(self, step: int, watches: Watches, batch: Any) -> list[Act]:
        found = self._unread(watches.log)
        acts: list[Act] = []
        if self._trial is not None and step >= self._trial.due:
            acts += self._judge(self._trial, step)
        is_on_plateau = watches.active.holds("plateau")
        if self._was_on_plateau and not is_on_plateau and step >= self._kept_until:
            self._choices.leave_plateau()
            self._was_on_plateau = False
        self._was_on_plateau |= is_on_plateau
        if self._trial is not None or step < self._next or acts:
            return acts
        for finding in found:
            if not acts and finding.kind == "stale" and finding.severity == "warning":
                acts += self._rescale(finding, step)
        return acts or self._try_next(step, batch, is_flat=is_on_plateau and watches.losses.trend.verdict == "flat")

    def _unread(self, log: Log) -> list[Finding]:
        """Return the findings since the last call. Those that the monitor has loaded have been seen before."""
        read = self._read if self._log in (None, log) else log.total
        self._log, self._read = log, log.total
        return log.since(read)

    def _try_next(self, step: int, batch: Any, *, is_flat: bool) -> list[Act]:
        """Do what has not been tried here."""
        choice = self._choices.next(step, batch, is_flat=is_flat, has_budget=self.left > 0)
        if choice is None:
            return []
        if choice.kind == "stop":
            self.stopped = not self.dry_run
        if self.dry_run:
            return [self._only_reported(choice.kind, step, choice.text, choice.numbers)]
        if not choice.changes:
            return [noted(self._opt, choice.kind, choice.text, choice.numbers, done=False)]
        seed = self._mon.seed + 1 + self.budget - self.left
        return [self._on_trial(choice.kind, step, partial(choice.do, seed))]

    def _rescale(self, finding: Finding, step: int) -> list[Act]:
        """Bring a second moment down to the gradients."""
        tensor, c = finding.tensor, finding.evidence.get("c")
        if not self.left or tensor is None or not isinstance(c, float) or self._mon._watches.losses.trend.level is None:
            return []
        text = f"the second moment of {tensor!r} is multiplied by {c:.3g}, and the first by its root."
        if self.dry_run:
            return [self._only_reported("rescale", step, text, {"c": c})]

        def rescale() -> Act:
            self._opt.rescale_state(c, [tensor])
            return noted(self._opt, "rescale", text, {"c": c})

        return [self._on_trial("rescale", step, rescale)]

    def _only_reported(self, kind: str, step: int, text: str, numbers: dict[str, Any]) -> Act:
        """Report what would be done. The next thing is reported when this one would have been judged."""
        self._next = step + self.cooldown
        return noted(self._opt, kind, f"not done, this is a dry run: {text}", numbers, done=False)

    def _on_trial(self, kind: str, step: int, do: Callable[[], Act]) -> Act:
        """Act, with what is needed to judge it, and to undo it. What raises an error is not on trial."""
        level = self._mon._watches.losses.trend.level
        assert level is not None
        before = Snapshot(self._opt).state_dict() if self.undo else None
        rates = [group["lr"] for group in self._opt.param_groups] if kind == "cut" else []
        act = do()
        self._trial = Trial(kind, step + self.cooldown, level, before, rates)
        self._next = step + self.cooldown
        self.left -= 1
        return act

    def _judge(self, trial: Trial, step: int) -> list[Act]:
        if trial.has_helped(self._mon._watches.losses.trend.level, self._mon._arguments.training):
            self._trial = None
            self._choices.begin_anew(step)
            return []
        is_undone = trial.can_undo(self._opt)
        if is_undone:
            trial.undo(self._opt)  # an interrupt after it makes no difference: it is done again
        self._trial, self._kept_until = None, step + self.cooldown
        if not is_undone:
            return []
        text = f"the loss is not below {trial.level:.4g}, so parameters and state are what they were before."
        return [noted(self._opt, "undo", text, {"of": trial.kind, "level": trial.level})]

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments on which decisions depend, also the monitor's seed."""
        return {**{name: getattr(self, name) for name in _ARGUMENTS}, "seed": self._mon.seed}

    def state_dict(self) -> dict[str, Any]:
        """Return plain values and arrays, for `adamcore.save`. It may have a copy of the parameters and their state."""
        return {
            "arguments": self._arguments(),
            "left": self.left,
            "read": self._read,
            "next": self._next,
            "kept_until": self._kept_until,
            "stopped": self.stopped,
            "was_on_plateau": self._was_on_plateau,
            "choices": self._choices.state_dict(),
            "trial": None if self._trial is None else self._trial.state_dict(self._opt),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            If the dict is not whole, or from a policy with other arguments. Nothing has changed then.
        """
        label = "Policy: state_dict"
        saved = Saved(state_dict, _KEYS, label)
        own = self._arguments()
        arguments = saved.inside("arguments", own)
        for name, value in own.items():
            if arguments[name] != value:
                of = short_repr(arguments[name])
                raise ValueError(f"{label}: it is of a policy with {name}={of}, but this one has {name}={value!r}")
        counts = [saved.count(name) for name in ("left", "read", "next", "kept_until")]
        stopped, was_on_plateau = saved.flag("stopped"), saved.flag("was_on_plateau")
        try:
            choices = self._choices.loaded(saved["choices"])
            trial = None if saved["trial"] is None else Trial.loaded(saved["trial"], self._opt)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{label}: {error}") from None
        self.left, self._read, self._next, self._kept_until = counts
        self._log = None
        self.stopped, self._was_on_plateau, self._choices, self._trial = stopped, was_on_plateau, choices, trial

    def __repr__(self) -> str:
        return f"<Policy: {self.left} of {self.budget} acts left{', stopped' if self.stopped else ''}>"
