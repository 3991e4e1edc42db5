"""`Monitor`: watches a run, and names what goes wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from adamcore._arrays.memory import HOST
from adamcore._arrays.structures import named_arrays
from adamcore._checks.numbers import as_int
from adamcore._checks.successors import latest
from adamcore._core import short_repr
from adamcore._history.columns import History
from adamcore.loss_scaler import LossScaler
from adamcore.monitor.acts import remember
from adamcore.monitor.arguments import Arguments
from adamcore.monitor.asking import Asking
from adamcore.monitor.detectors.watches import PARTS, Watches
from adamcore.monitor.finding import Finding
from adamcore.monitor.reading import COLUMNS, UNKNOWN, columns_of, gradients_of, kept, number_of, summary_of, values_of
from adamcore.monitor.record import Record
from adamcore.monitor.reporting import Reporting
from adamcore.monitor.saved import Saved
from adamcore.monitor.traits import Traits, traits_of
from adamcore.optimizer import Optimizer
from adamcore.step_info import StepInfo
from adamcore.step_stats import StepStats

_NAN = float("nan")
_UNITS_EVERY = 64
_IMMEDIATE = (float, int, np.generic, np.ndarray)
_MOST_PENDING = 256
"""So many steps wait for a device at most."""


class Monitor(Asking, Reporting):
    """Watches the losses of a run and what its steps return, and says what goes wrong.

    It finds a loss that has stopped falling (``plateau``), gradients that vanish on their way through the layers
    (``vanishing``), parameters or units without a gradient (``dead``), gradients that stand out (``spike``) and that
    grow without end (``exploding``), steps that are skipped again and again (``overflow_loop``), updates that a
    parameter's precision loses (``lost``), second moments that are too large for the present gradients (``stale``),
    rates that are too small or too large (``lr_small``, ``lr_large``), and validations that become worse while the
    training loss falls (``overfitting``). Asked by `curvature`, it says whether a plateau is a saddle (``saddle``). It
    changes nothing.

    In every eighth step `wants_stats` asks for statistics, which show what is wrong with single parameters. Other steps
    cost less than 2 us, and these about 0.1 ms and what the statistics themselves take; several times as much where
    caches are cold.

    Parameters
    ----------
    opt : Optimizer
        The optimizer. The monitor reads its names and its clock.
    window : int
        How many losses the test for plateaus looks at first, >= 4.
    stats_every : int or None
        In how many steps statistics are wanted once, >= 1. None: never.
    seed : int
        The seed of what is drawn at random, >= 0: by `curvature`, and by an `escape.Policy` of this monitor.
    tol : float
        An improvement within `window` losses that is smaller than this share of the loss counts as none, > 0.
    max_window : int, optional
        The most losses that the test looks at. The default is ``4 * window``.
    scale : float, optional
        A typical size of the loss, > 0, if losses may be near zero or negative.
    validation_window : int
        The same window for metrics of validations, >= 4.
    mode : {"min", "max"}
        Whether small or large metrics of validations are better.
    units : bool
        Whether to look for rows and columns without a gradient, in every 64th step. Pass ``grads`` to `observe` then.
    scaler : LossScaler, optional
        The loss scaler of the run.

    Attributes
    ----------
    wants_stats : bool
        Whether the next step should return statistics.
    columns : tuple of str
        Those of its columns that are used. ``stats=mon.wants_stats and mon.columns`` computes no others.
    findings : list of Finding
        What has been found, the latest last: the last 100 of each kind and tensor.
    history : History
        A copy of the columns of all steps: step, loss, grad_norm, skipped, and acts, if there are any: how many.
    acts : list of escape.Act
        What functions of `adamcore.escape` have done to the optimizer since the monitor was made, the latest last.
    statistics : History
        The same for steps with statistics: step, the median ratio of update to weight (ratio), the smallest gradient of
        a matrix relative to the largest one (share), and the median cosine (cos).

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Notes
    -----
    On a CUDA device, `observe` keeps what it gets until a step has statistics, which are waited for, or until 256 steps
    have come; so findings come a few steps later there. Each has the number of its step.

    Steps are counted from ``opt.completed`` on, skipped ones too. Losses beyond 1e300 count as infinite.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = {"w": np.full(10, 5.0)}
    >>> opt = ac.SGD(w, lr=2.1)
    >>> mon = ac.Monitor(opt, window=32)
    >>> for _ in range(70):
    ...     loss, grads = float(np.square(w["w"]).sum() / 2), {"w": w["w"].copy()}
    ...     info = opt.step(grads, stats=mon.wants_stats)
    ...     for finding in mon.observe(loss, info):
    ...         print(finding.step, finding.severity, finding.kind)
    38 note lr_large
    """

    def __init__(
        self,
        opt: Optimizer,
        window: int = 256,
        stats_every: int | None = 8,
        seed: int = 0,
        *,
        tol: float = 0.01,
        max_window: int | None = None,
        scale: float | None = None,
        validation_window: int = 20,
        mode: str = "min",
        units: bool = False,
        scaler: LossScaler | None = None,
    ) -> None:
        if not isinstance(opt, Optimizer):
            raise TypeError(f"Monitor: opt must be an optimizer, got {short_repr(opt)}")
        if scaler is not None and not isinstance(scaler, LossScaler):
            raise TypeError(f"Monitor: scaler must be a LossScaler or None, got {short_repr(scaler)}")
        arguments = Arguments(window, stats_every, tol, max_window, scale, validation_window, mode, units)
        if arguments.units and opt._memory is not HOST:
            raise ValueError("Monitor: units=True needs gradients in CPU memory")
        self._given, self._scaler, self._arguments, self._every = opt, scaler, arguments, arguments.every
        self.seed = as_int(seed, "Monitor: seed", "an int >= 0", 0)
        self.columns = COLUMNS
        self._pending: deque[tuple[Any, StepInfo]] = deque()
        self._traits: Traits | None = None
        self._begin(Watches(arguments), opt.completed, opt.completed, 0)
        remember(self)

    @property
    def _opt(self) -> Optimizer:  # type: ignore[override]
        """The optimizer, or the one to which it was switched."""
        return latest(self._given)

    def _begin(self, watches: Watches, first: int, seen: int, unknown: int) -> None:
        """Go on after `seen`, with a record that is empty."""
        self._watches, self._first, self._seen, self._taken = watches, first, seen, seen
        self._unknown = unknown
        self._pending.clear()
        self._record = Record(seen)
        self._add_loss, self._add_norm = self._record.add_loss, self._record.add_norm
        self._statistics = History({"step": "q", "ratio": "d", "share": "d", "cos": "d"})
        self.wants_stats: bool = self._every > 0 and (seen - first) % self._every == 0

    def observe(self, loss: Any, info: StepInfo, *, grads: Any = None) -> list[Finding]:
        """Take the loss and the result of one step. No loss raises an error, and nothing changes but the monitor.

        Parameters
        ----------
        loss : number
            The loss of the batch, before the step: also an array with one element, or a tensor on a device. What is no
            number is NaN in `history`, and nothing else is known of it.
        info : StepInfo
            What the step returned.
        grads : optional
            The gradients of the step, which are looked at with ``units=True``.

        Returns
        -------
        list of Finding
            What is new; mostly nothing. The same thing is reported again after it was over, or when it becomes worse.
        """
        try:
            is_known = info._read is None
        except AttributeError:
            info, is_known = UNKNOWN, True
        self._taken = step = self._taken + 1
        if self._every:
            self.wants_stats = (step - self._first) % self._every == 0
        is_now = type(loss) is float or isinstance(loss, _IMMEDIATE) or self._opt._memory is HOST
        if is_now and is_known and not self._pending:
            found = self._take(loss, info)
        else:
            self._pending.append((kept(loss), info))
            is_due = info.stats is not None or len(self._pending) >= _MOST_PENDING
            found = self._drain() if is_due or self._opt._memory is HOST else []
        if grads is not None and self._arguments.units and step % _UNITS_EVERY == 0:
            names = [name for name, _ in named_arrays(self._opt.param_groups)]
            found += self._watches.report(self._watches.units.observe(gradients_of(grads, names)), step)
        return found

    def _drain(self) -> list[Finding]:
        """Take what has been waiting."""
        found = []
        while self._pending:
            found += self._take(*self._pending.popleft())
        return found

    def _take(self, loss: Any, info: StepInfo) -> list[Finding]:
        """Take one step, whose numbers are known or waited for."""
        skipped, norm, guarded = info._known if info._read is None else values_of(info)
        value = loss if type(loss) is float else number_of(loss)
        self._seen = step = self._seen + 1
        if value is None:
            self._unknown += 1
        self._add_loss(_NAN if value is None else value)
        self._add_norm(_NAN if norm is None else norm)
        if skipped:
            self._record.add_skip(step)
        found = self._watches.step(step, value, skipped, norm, guarded)
        if info.stats is not None:
            found = found + self._take_statistics(info.stats, step)
        return found

    def _take_statistics(self, stats: StepStats, step: int) -> list[Finding]:
        columns = columns_of(stats)
        if self._traits is None or self._traits.names != stats.names:
            self._traits = traits_of(self._opt, stats.names)
        found = self._watches.statistics(columns, step, self._traits)
        self._statistics.append({"step": step, **summary_of(columns, self._traits.matrices)})
        if self._scaler is not None:
            # That of the last step that was read. Reading `scale` would wait, and take errors that are the user's.
            scale = self._scaler._now["scale"]
            found += self._watches.report(self._watches.gradients.observe_scale(scale), step)
        return found

    def observe_validation(self, metric: Any) -> list[Finding]:
        """Take the metric of one validation. On a device, this waits for the steps before it.

        Parameters
        ----------
        metric : number
            As a loss in `observe`. One that is NaN or infinite is left out.

        Returns
        -------
        list of Finding
            What is new, also in steps that have been waited for.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> mon = ac.Monitor(ac.SGD(np.ones(3)), validation_window=8)
        >>> [finding.kind for _ in range(8) for finding in mon.observe_validation(0.5)]
        ['plateau']
        """
        found = self._drain()
        value = number_of(metric)
        if value is None:
            return found
        losses = self._watches.losses
        signals = self._watches.validation.observe(value, losses.trend.level, losses.begin)
        return found + self._watches.report(signals, self._seen)

    def state_dict(self) -> dict[str, Any]:
        """Return what the monitor knows, without its history, as plain values for JSON and for `adamcore.save`.

        Its size depends on `max_window` and on the parameters, and not on how long the run was.
        """
        self._drain()
        counts = {"first": self._first, "seen": self._seen, "unknown": self._unknown}
        return {"arguments": self._arguments.to_dict(), **counts, **self._watches.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned. The history begins anew.

        Raises
        ------
        TypeError, ValueError
            If the dict is not whole, or from a monitor with other arguments. Nothing has changed then.
        """
        label = "Monitor: state_dict"
        saved = Saved(state_dict, ("arguments", "first", "seen", "unknown", *PARTS), label)
        self._arguments.require_same(saved, label)
        first, seen, unknown = (saved.count(key) for key in ("first", "seen", "unknown"))
        if seen < first:
            raise ValueError(f"{label}: seen must not be less than first, {first}, got {seen}")
        watches = Watches(self._arguments)
        watches.load_state_dict(state_dict)
        self._begin(watches, first, seen, unknown)

    def __repr__(self) -> str:
        steps, count = self._seen - self._first, len(self._watches.log)
        return f"<Monitor of {type(self._opt).__name__}: {steps} steps, {count} finding{'' if count == 1 else 's'}>"
