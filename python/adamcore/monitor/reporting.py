"""The reports of a monitor: text, JSON and a picture."""

from __future__ import annotations

import json
import os
from typing import Any

from adamcore._checks.extras import import_extra
from adamcore._files.writing import put_text
from adamcore._history.columns import History
from adamcore.monitor.detectors.watches import Watches
from adamcore.monitor.finding import Finding
from adamcore.monitor.record import Record
from adamcore.monitor.report import describe
from adamcore.optimizer import Optimizer


class Reporting:
    """Reports, for `Monitor`."""

    _opt: Optimizer
    _watches: Watches
    _record: Record
    _statistics: History
    _every: int
    _first: int
    _seen: int
    _unknown: int

    def _drain(self) -> Any:
        """Take what has been waiting for a device."""
        raise NotImplementedError

    @property
    def history(self) -> History:
        """Columns of numbers of all steps: step, loss, grad_norm, skipped. On a device, reading it waits."""
        self._drain()
        return self._record.history([act.step for act in self._watches.acts.all() if act.done])

    @property
    def statistics(self) -> History:
        """Columns of numbers of the steps with statistics: step, ratio, share, cos."""
        self._drain()
        return self._statistics.copy()

    @property
    def findings(self) -> list[Finding]:
        """What has been found, the latest last. On a device, reading it waits for all steps."""
        self._drain()
        return self._watches.log.all()

    def report(self) -> str:
        """Return what has been found and done, as text.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> mon = ac.Monitor(ac.SGD(np.ones(3)))
        >>> mon.observe(0.5, ac.StepInfo())
        []
        >>> print(mon.report())
        SGD, 1 step: loss 0.5 at first, 0.5 at last, 0.5 at best
        Nothing was found to be wrong.
        """
        history, log = self.history, self._watches.log
        steps = self._seen - self._first
        lacks = self._every > 0 and steps > 2 * self._every and not self._statistics.rows and len(history["step"]) > 0
        rule = type(self._opt).__name__
        return describe(
            rule,
            steps,
            history,
            log.all(),
            self._watches.acts.all(),
            log.left_out,
            self._unknown,
            lacks_statistics=lacks,
        )

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the findings and the number of steps as JSON, and write it to `path` if one is given."""
        self._drain()
        log = self._watches.log
        content = {"optimizer": type(self._opt).__name__, "steps": self._seen - self._first, **log.state_dict()}
        return put_text(json.dumps(content, indent=1, allow_nan=False), path)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw losses, gradients and updates with the findings, and save the picture to `path` if one is given.

        Extra: ``plot``.

        Returns
        -------
        matplotlib.figure.Figure
        """
        import_extra("matplotlib.figure", "Monitor.plot", "plot")
        from adamcore.monitor import picture  # noqa: PLC0415  (it needs matplotlib)

        return picture.plot(self.history, self.statistics, self.findings, path)
