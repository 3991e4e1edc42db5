"""`Monitor`: watches a run, and names what goes wrong."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.memory import HOST
from adamcore._arrays.structures import named_arrays
from adamcore._checks.extras import import_extra
from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore._history.columns import History
from adamcore.loss_scaler import LossScaler
from adamcore.monitor.finding import Finding
from adamcore.monitor.reading import number_of, summary_of, values_of
from adamcore.monitor.report import describe
from adamcore.monitor.tensors import COLUMNS
from adamcore.monitor.watches import Watches
from adamcore.optimizer import Optimizer
from adamcore.schedules._detector import Plateau
from adamcore.step_info import StepInfo
from adamcore.step_stats import StepStats

_NAN = float("nan")
_UNITS_EVERY = 64
_IMMEDIATE = (float, int, np.generic, np.ndarray)
_ARGUMENTS = ("window", "tol", "max_window", "scale", "validation_window", "stats_every", "units", "mode")


class Monitor:
    """Watches the losses of a run and what its steps return, and says what goes wrong.

    It finds a loss that has stopped falling (``plateau``), gradients that vanish on their way through the layers
    (``vanishing``), parameters or units without a gradient (``dead``), gradients that stand out (``spike``) and that
    grow without end (``exploding``), steps that are skipped again and again (``overflow_loop``), updates that a
    parameter's precision loses (``lost``), rates that are too small or too large (``lr_small``, ``lr_large``), and
    validations that become worse while the training loss falls (``overfitting``). It changes nothing.

    A step without statistics costs less than 2 us. In every eighth step `wants_stats` asks for statistics, which show
    what is wrong with single parameters.

    Parameters
    ----------
    opt : Optimizer
        The optimizer. The monitor reads its names and its clock.
    window : int
        How many losses the test for plateaus looks at first, >= 4.
    stats_every : int or None
        In how many steps statistics are wanted once, >= 1. None: never.
    seed : int
        The seed of what is drawn at random, >= 0.
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
        All that has been found, the latest last.
    history : mapping
        Columns of numbers of all steps: step, loss, grad_norm, skipped.
    statistics : mapping
        Columns of numbers of the steps with statistics: the median ratio of update to weight, the smallest gradient of
        a matrix relative to the largest one, and the median cosine.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Notes
    -----
    On a CUDA device, `observe` keeps what it gets until a step has statistics, which are waited for; so findings come a
    few steps later there. Each has the number of its step.

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
    39 note lr_large
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
        if mode not in ("min", "max"):
            raise ValueError(f"Monitor: mode must be 'min' or 'max', got {short_repr(mode)}")
        if units and opt._memory is not HOST:
            raise ValueError("Monitor: units=True needs gradients in CPU memory")
        self._opt, self._scaler = opt, scaler
        self._training = _test("Monitor", window, tol, max_window, scale)
        self._validation = _test("Monitor: validation", validation_window, 0.02, None, None)
        every = None if stats_every is None else as_int(stats_every, "Monitor: stats_every", "an int >= 1 or None", 1)
        self._every = every or 0
        self._arguments = {
            "window": self._training.window,
            "tol": self._training.tol,
            "max_window": self._training.longest,
            "scale": self._training.scale,
            "validation_window": self._validation.window,
            "stats_every": self._every,
            "units": bool(units),
            "mode": mode,
        }
        self.seed = as_int(seed, "Monitor: seed", "an int >= 0", 0)
        self.columns = COLUMNS
        self.wants_stats = self._every > 0
        self._taken = self._seen = opt.completed
        self._first = self._seen
        self._pending: deque[tuple[Any, Any]] = deque()
        self._watches = self._new_watches()
        self._begin_history()
        self.statistics = History({"step": "q", "ratio": "d", "share": "d", "cos": "d"})
        self._matrices: tuple[tuple[str, ...], NDArray[np.bool_]] | None = None

    def _new_watches(self) -> Watches:
        return Watches(self._training, self._validation, self._every)

    def observe(self, loss: Any, info: StepInfo, *, grads: Any = None) -> list[Finding]:
        """Take the loss and the result of one step. It raises no error, and changes nothing but the monitor.

        Parameters
        ----------
        loss : number
            The loss of the batch, before the step: also an array without axes, or a tensor on a device.
        info : StepInfo
            What the step returned.
        grads : optional
            The gradients of the step, which are looked at with ``units=True``.

        Returns
        -------
        list of Finding
            What is new; mostly nothing. The same thing is reported again after it was over, or when it becomes worse.
        """
        self._taken = step = self._taken + 1
        if self._every:
            self.wants_stats = (step - self._first) % self._every == 0
        if info._read is None and not self._pending and (type(loss) is float or isinstance(loss, _IMMEDIATE)):
            found = self._take(loss, info)
        else:
            detach = getattr(loss, "detach", None)
            self._pending.append((loss if detach is None else detach(), info))
            waits = info.stats is not None or len(self._pending) >= self._training.window
            found = self._drain() if waits or self._opt._memory is HOST else []
        if grads is not None and self._arguments["units"] and step % _UNITS_EVERY == 0:
            found += self._watches.report(self._watches.units.observe(grads), step)
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
        self._add_loss(value)
        self._add_norm(_NAN if norm is None else norm)
        if skipped:
            self._skipped.append(step)
        found = self._watches.step(step, value, skipped, norm, guarded)
        if info.stats is not None:
            found = found + self._take_statistics(info.stats, step)
        return found

    def _take_statistics(self, stats: StepStats, step: int) -> list[Finding]:
        matrices = self._matrices_of(stats.names)
        found = self._watches.statistics(stats, step, matrices)
        self.statistics.append({"step": step, **summary_of(stats, matrices)})
        if self._scaler is not None:
            found += self._watches.report(self._watches.gradients.observe_scale(self._scaler.scale), step)
        return found

    def _matrices_of(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        if self._matrices is None or self._matrices[0] != names:
            axes = {name: np.ndim(array) for name, array in named_arrays(self._opt.param_groups)}
            self._matrices = names, np.array([axes.get(name, 0) > 1 for name in names])
        return self._matrices[1]

    def observe_validation(self, metric: Any) -> list[Finding]:
        """Take the metric of one validation, and return what is new."""
        self._drain()
        value = number_of(metric) * (1 if self._arguments["mode"] == "min" else -1)
        signals = self._watches.validation.observe(value, self._watches.losses.trend.level)
        return self._watches.report(signals, self._seen)

    @property
    def history(self) -> History:
        """Columns of numbers of all steps: step, loss, grad_norm, skipped. On a device, reading it waits."""
        self._drain()
        steps, losses, _, skipped = self._history.columns.values()
        steps.extend(range(self._seen - len(losses) + len(steps) + 1, self._seen + 1))
        skipped.extend([False] * (len(losses) - len(skipped)))
        for step in self._skipped:
            skipped[step - steps[0]] = True
        self._skipped.clear()
        return self._history

    def _begin_history(self) -> None:
        self._history = History({"step": "q", "loss": "d", "grad_norm": "d", "skipped": "b"})
        self._skipped: list[int] = []
        # Most steps only write these two columns; `history` completes the others.
        self._add_loss, self._add_norm = (self._history.columns[name].append for name in ("loss", "grad_norm"))

    @property
    def findings(self) -> list[Finding]:
        """All that has been found, the latest last. On a device, reading it waits for all steps."""
        self._drain()
        return list(self._watches.findings)

    def report(self) -> str:
        """Return what has been found, as text."""
        self._drain()
        return describe(type(self._opt).__name__, self.history, self._watches.findings)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the number of steps and all findings as JSON, and write it to `path` if one is given."""
        self._drain()
        rule, findings = type(self._opt).__name__, [finding.to_dict() for finding in self._watches.findings]
        text = json.dumps({"optimizer": rule, "steps": self._seen - self._first, "findings": findings}, indent=1)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw losses, gradients and updates with all findings, and save the picture if there is a path.

        Returns
        -------
        matplotlib.figure.Figure
        """
        self._drain()
        picture = import_extra("adamcore.monitor.picture", "Monitor.plot", "plot")
        return picture.plot(self.history, self.statistics, self._watches.findings, path)

    def state_dict(self) -> dict[str, Any]:
        """Return what the monitor knows, without its history, as plain values for JSON and for `adamcore.save`."""
        self._drain()
        counts = {"first": self._first, "seen": self._seen}
        return {"arguments": dict(self._arguments), **counts, **self._watches.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned. The history begins anew.

        Raises
        ------
        TypeError, ValueError
            If the dict is not whole, or from a monitor with other arguments. Nothing has changed then.
        """
        label = "Monitor: state_dict"
        if not isinstance(state_dict, Mapping) or not {"arguments", "first", "seen"} <= set(state_dict):
            raise ValueError(f"{label} must be from Monitor.state_dict, got {short_repr(state_dict)}")
        for name, value in self._arguments.items():
            if state_dict["arguments"].get(name) != value:
                saved = short_repr(state_dict["arguments"].get(name))
                raise ValueError(f"{label}: it is of a monitor with {name}={saved}, but this one has {name}={value!r}")
        first, seen = (as_int(state_dict[key], f"{label}: {key}", "an int >= 0", 0) for key in ("first", "seen"))
        watches = self._new_watches()
        watches.load_state_dict(state_dict)
        self._watches, self._first, self._seen, self._taken = watches, first, seen, seen
        self._pending.clear()
        self._begin_history()
        self.wants_stats = self._every > 0 and (seen - first) % self._every == 0

    def __repr__(self) -> str:
        steps, count = self._seen - self._first, len(self._watches.findings)
        return f"<Monitor of {type(self._opt).__name__}: {steps} steps, {count} finding{'' if count == 1 else 's'}>"


def _test(label: str, window: Any, tol: Any, max_window: Any, scale: Any) -> Plateau:
    try:
        return Plateau(window, tol, max_window=max_window, scale=scale)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("Plateau", label)) from None
