"""`Checkpoints`: the files of a run in one folder, of which the latest and the best are kept."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from adamcore._checkpoints.background import BackgroundSave, finish, settle
from adamcore._checkpoints.files import read, save_with_notes
from adamcore._checkpoints.steps import run
from adamcore._checks.numbers import as_float, as_int
from adamcore._core import short_repr
from adamcore._files.errors import CheckpointError
from adamcore._files.reading import ArrayFile
from adamcore._files.writing import remove_leftovers
from adamcore._state_dicts.loaded_schedules import Choice

_METRIC = "metric"
"""The key of a text in the metadata of files: the metric, with all its bits."""
_ORDER = "order"
"""The key of another one, which is larger in files that were written later."""

_HEXADECIMAL = re.compile(r"-?(0x[01]\.?[0-9a-f]*p[+-]\d+|inf)")
_NAME = re.compile(r"step-([0-9]{10,19})\.safetensors")


class _Saved(NamedTuple):
    order: int
    step: int
    path: Path
    metric: float | None


class Checkpoints:
    """The checkpoints of a run: files in a folder, of which the latest and the best are kept.

    Parameters
    ----------
    folder : str or path
        The folder, which is made when something is saved.
    keep : int or None
        How many of the latest files are kept, >= 1. None keeps all.
    best : int
        How many files with the best metrics are kept besides, >= 0.
    every : int or None
        If it is a number, `save` does nothing unless the step is a multiple of it.
    mode : {"min", "max"}
        Whether small or large metrics are better.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

    Notes
    -----
    The files are named "step-0000001000.safetensors". Other files in the folder are left alone.

    Examples
    --------
    >>> import adamcore as ac, numpy as np, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> w = np.zeros(1)
    >>> opt = ac.SGD({"w": w}, lr=1.0)
    >>> checkpoints = ac.Checkpoints(folder.name, keep=1)
    >>> checkpoints.load(opt) is None
    True
    >>> for step, loss in enumerate([0.5, 0.1, 0.3, 0.4]):
    ...     info = opt.step({"w": -np.ones(1)})
    ...     path = checkpoints.save(step, opt, metric=loss, extra={"next": step + 1})
    >>> checkpoints.load(opt), w
    ({'next': 4}, array([4.]))
    >>> checkpoints.load(opt, which="best"), w
    ({'next': 2}, array([2.]))
    >>> folder.cleanup()
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int | None = 3,
        best: int = 1,
        every: int | None = None,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        self.folder = Path(folder)
        self.keep = None if keep is None else as_int(keep, "Checkpoints: keep", "an int >= 1 or None", 1)
        self.best = as_int(best, "Checkpoints: best", "an int >= 0", 0)
        self.every = None if every is None else as_int(every, "Checkpoints: every", "an int >= 1 or None", 1)
        if mode not in ("min", "max"):
            raise ValueError(f"Checkpoints: mode must be 'min' or 'max', got {short_repr(mode)}")
        self.mode = mode
        self._pending: BackgroundSave | None = None
        self._order: int | None = None  # of the file that was saved last

    def save(
        self,
        step: int,
        opt: Any,
        metric: float | None = None,
        *,
        extra: Any = None,
        background: bool = False,
        always: bool = False,
        **parts: Any,
    ) -> Path | None:
        """Save a checkpoint, and remove those that are not to be kept.

        Parameters
        ----------
        step : int
            The number of the step, >= 0. A checkpoint of the same step is replaced.
        opt : Optimizer
            The optimizer.
        metric : float or None
            What decides which checkpoints are the best. One without a metric, or with NaN, is never among them.
        always : bool
            Whether `every` is left out of account, as for the last step of a run.
        extra, background, **parts
            As for `adamcore.save`. With `background`, files that are not to be kept are removed by the next `save` or
            `wait`.

        Returns
        -------
        path or None
            The file, or None if nothing was saved because of `every`.

        Raises
        ------
        TypeError, ValueError, RuntimeError, OSError
            As by `adamcore.save`.
        """
        number = as_int(step, "Checkpoints: step", "an int >= 0 and < 10**19", 0, 10**19 - 1)
        score = None if metric is None else as_float(metric, "Checkpoints: metric", "a number or None")
        if self.every is not None and number % self.every != 0 and not always:
            return None
        self._finish()
        path = self.folder / f"step-{number:010d}.safetensors"
        if self._order is None:
            self._order = max((saved.order for saved in self._latest(warns=False)), default=0)
        if self.folder.is_dir():
            remove_leftovers(self.folder, rf"\.{_NAME.pattern}\.")
        notes = {_ORDER: str(self._order + 1), **({} if score is None or math.isnan(score) else {_METRIC: score.hex()})}
        self._pending = save_with_notes(path, opt, notes, extra=extra, background=background, parts=parts)
        self._order += 1
        if self._pending is None:
            self._rotate(path)
        return path

    def load(
        self,
        opt: Any,
        which: Literal["latest", "best"] = "latest",
        *,
        strict: bool = True,
        schedules: Choice | None = None,
        **parts: Any,
    ) -> Any:
        """Load the latest checkpoint or the best one.

        Files that are damaged, or that adamcore has not written, are left out with a RuntimeWarning that names them.

        Parameters
        ----------
        opt : Optimizer or None
            The optimizer.
        which : {"latest", "best"}
            Which checkpoint: the one that was saved last, or the one with the best metric.
        strict, schedules, **parts
            As for `adamcore.load`.

        Returns
        -------
        object or None
            What was saved as `extra`, or {} if nothing was. None if there is no checkpoint; nothing has changed then.

        Raises
        ------
        TypeError, ValueError
            If a checkpoint does not fit the optimizer or a part. Nothing has changed then.
        """
        if which not in ("latest", "best"):
            raise ValueError(f"Checkpoints: which must be 'latest' or 'best', got {short_repr(which)}")
        settle()
        files = self._latest(warns=True)
        for saved in self._best(files) if which == "best" else files:
            with _leaving_out(warns=True):
                steps, extra = read(saved.path, opt, strict=strict, schedules=schedules, parts=parts)
                break
        else:
            return None
        run(steps)
        return extra

    def wait(self) -> None:
        """Wait for a file that is being written in the background, and remove what is not to be kept then.

        Raises
        ------
        OSError, MemoryError
            If the file could not be written, and no error has been raised for it before.
        """
        self._finish()

    @property
    def paths(self) -> list[Path]:
        """The files of checkpoints, the latest first. Those that are damaged are left out."""
        return [saved.path for saved in self._latest(warns=False)]

    def _latest(self, *, warns: bool) -> list[_Saved]:
        """Return the files, the one that was written last first."""
        if not self.folder.exists():
            return []
        paths = {int(match[1]): path for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))}
        found = []
        for step, path in sorted(paths.items(), reverse=True):
            with _leaving_out(warns=warns), ArrayFile(path) as file:
                found.append(_Saved(_order_in(file.texts.get(_ORDER)), step, path, _metric_in(file.texts.get(_METRIC))))
        return sorted(found, key=lambda saved: (saved.order, saved.step), reverse=True)

    def _best(self, files: list[_Saved]) -> list[_Saved]:
        """Return the files that have metrics, the best first, and of equal ones that of the first step."""
        sign = 1 if self.mode == "min" else -1
        measured = [(sign * saved.metric, saved.step, saved) for saved in files if saved.metric is not None]
        return [saved for *_, saved in sorted(measured)]

    def _finish(self) -> None:
        """Wait for the file that is being written, and remove what is not to be kept then."""
        finish()
        if self._pending is not None and self._pending.succeeded:
            self._rotate(self._pending.path)
        self._pending = None

    def _rotate(self, last: Path) -> None:
        """Remove what is not to be kept now that `last` has been saved."""
        if self.keep is None:
            return
        files = self._latest(warns=False)
        kept = {*files[: self.keep], *self._best(files)[: self.best]}
        for saved in files:
            if saved not in kept and saved.path.name != last.name:
                saved.path.unlink(missing_ok=True)


def _order_in(text: str | None) -> int:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else 0


def _metric_in(text: str | None) -> float | None:
    try:
        return float.fromhex(text) if text is not None and _HEXADECIMAL.fullmatch(text) else None
    except OverflowError:
        return None


@contextmanager
def _leaving_out(*, warns: bool) -> Iterator[None]:
    """Go on if a file is no whole checkpoint, or if another process has removed it."""
    try:
        yield
    except FileNotFoundError:
        pass
    except (CheckpointError, OSError) as error:
        if warns:
            warnings.warn(f"a checkpoint is left out: {error}", RuntimeWarning, stacklevel=5)
