"""`History`: columns of numbers that grow by one row a step."""

from __future__ import annotations

import csv
import io
import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adamcore._checks.extras import import_extra
from adamcore._checks.numbers import as_float
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import short_repr
from adamcore._files.writing import put_text

if TYPE_CHECKING:
    import os

_TYPES = {"q": np.int64, "b": np.bool_, "d": np.float64}
_TAKEN = {"q": "iu", "b": "b", "d": "fiu"}
_CALLED = {"q": "ints", "b": "True and False", "d": "numbers"}
_NAN = math.nan


class History(Mapping[str, NDArray[Any]]):
    """Columns of numbers with one row for each step: a mapping from a name to an array.

    ``history["loss"]`` and ``history.loss`` return a new array each time: int64 for steps, bool for what is yes or no,
    and float64 for everything else. A number that was not measured in a step is NaN.

    Examples
    --------
    >>> from adamcore._history.columns import History
    >>> history = History({"step": "q", "loss": "d"})
    >>> history.append({"step": 1, "loss": 0.5})
    >>> history.append({"step": 2, "loss": 0.25, "val_loss": 0.75})
    >>> history["loss"]
    array([0.5 , 0.25])
    >>> print(history.to_csv(), end="")
    step,loss,val_loss
    1,0.5,
    2,0.25,0.75
    """

    __slots__ = ("_first", "began", "columns")

    began: float | None
    """When the first row was measured, in seconds since 1970, for TensorBoard. None if nobody noted it."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self.columns: dict[str, array[Any]] = {name: array(kind) for name, kind in types.items()}
        """What the numbers are in, for whoever fills columns one by one. They must be equally long in the end."""
        self._first = tuple(types)  # columns that there always are; others begin when they are measured
        self.began = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return min(map(len, self.columns.values()), default=0)

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row. A name that is new begins a column, whose numbers so far are NaN. An error changes nothing."""
        rows = self.rows
        columns = self._with(row, rows)
        try:
            for name, column in columns.items():
                column.append(row.get(name, _NAN))
        except BaseException:
            for column in columns.values():
                del column[rows:]
            raise
        self.columns = columns

    def amend(self, row: Mapping[str, float]) -> None:
        """Write numbers into the last row, of which there must be one. An error changes nothing."""
        rows = self.rows
        if not rows:
            raise IndexError("History: there is no row yet")
        checked = {name: array(self._kind(name), [value])[0] for name, value in row.items()}
        self.columns = self._with(row, rows)
        for name, value in checked.items():
            self.columns[name][-1] = value

    def _kind(self, name: str) -> str:
        return self.columns[name].typecode if name in self.columns else "d"

    def _with(self, row: Mapping[str, float], rows: int) -> dict[str, array[Any]]:
        """Return the columns, with new ones for names that have none."""
        new = {name: array("d", [_NAN]) * rows for name in row if name not in self.columns}
        return {**self.columns, **new} if new else self.columns

    def copy(self) -> History:
        """Return a history of its own with the same numbers."""
        other = History({})
        other.columns = {name: column[:] for name, column in self.columns.items()}
        other.began = self.began
        return other

    def __eq__(self, other: object) -> bool:
        """Whether two histories have the same columns in the same order, with the same bits."""
        if not isinstance(other, History):
            return NotImplemented
        own, others = ([(n, c.typecode, c.tobytes()) for n, c in of.columns.items()] for of in (self, other))
        return own == others

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise KeyError(f"there is no column {short_repr(name)}{did_you_mean(name, self.columns)}")
        column = self.columns[name]
        return np.array(column, _TYPES[column.typecode])

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name.startswith("_") or name not in self.columns:
            raise AttributeError(f"'History' object has no attribute {name!r}")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.columns]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"<History of {self.rows} steps: {', '.join(self.columns)}>"

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the columns as CSV, and write it to `path` if one is given. Numbers are exact; NaN is empty."""
        written = io.StringIO(newline="")
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow(self.columns)
        for row in zip(*self._lists(), strict=True):
            writer.writerow(["" if value is None else value for value in row])
        return put_text(written.getvalue(), path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return an object of lists as JSON, and write it to `path` if one is given. NaN and infinity are null."""
        lists = (_finite(values) for values in self._lists())
        return put_text(json.dumps(dict(zip(self.columns, lists, strict=True))), path)

    def _lists(self) -> Iterator[list[Any]]:
        """Give the numbers of each column; None for NaN."""
        for column in self.columns.values():
            values = map(bool, column) if column.typecode == "b" else column
            yield [None if value != value else value for value in values]  # noqa: PLR0124  (NaN)

    def plot(self, path: str | os.PathLike[str] | None = None, findings: Sequence[Any] = ()) -> Any:
        """Draw the columns over the steps, and save the picture to `path` if one is given (extra: ``plot``).

        The steps of `findings` of a `Monitor` are marked.

        Returns
        -------
        matplotlib.figure.Figure
        """
        import_extra("matplotlib.figure", "plot", "plot")
        from adamcore._history import picture  # noqa: PLC0415  (it needs matplotlib)

        return picture.plot(self, path, findings)

    def to_tensorboard(self, folder: str | os.PathLike[str]) -> None:
        """Write the columns as scalars to a folder, for TensorBoard (extra: ``tensorboard``)."""
        writer = import_extra("tensorboardX", "to_tensorboard", "tensorboard").SummaryWriter(str(folder))
        steps, walls = self.columns["step"], self.columns.get("wall")
        try:
            for name in self.columns:
                if name in ("step", "wall"):
                    continue
                for place, value in enumerate(self.columns[name]):
                    if not math.isnan(value):
                        when = None if walls is None or self.began is None else self.began + walls[place]
                        writer.add_scalar(name, value, steps[place], walltime=when)
        finally:
            writer.close()

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all columns."""
        return {"began": self.began, "columns": {name: self[name] for name in self}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            If it does not have equally long columns of numbers. Nothing has changed then.
        """
        label = "History: state_dict"
        if not isinstance(state_dict, Mapping) or not isinstance(state_dict.get("columns"), Mapping):
            raise TypeError(f"{label} must be a dict with a dict of columns, got {short_repr(state_dict)}")
        began = state_dict.get("began")
        if began is not None:
            began = as_float(began, f"{label}: began", "a number or None")
        columns = {}
        for name, values in state_dict["columns"].items():
            if not isinstance(name, str):
                raise TypeError(f"{label}: the names of columns must be texts, got {short_repr(name)}")
            columns[name] = _column(self._kind(name), values, f"{label}: {name}")
        if missing := [name for name in self._first if name not in columns]:
            raise ValueError(f"{label}: column {missing[0]!r} is missing")
        if len({len(column) for column in columns.values()}) != 1:
            raise ValueError(f"{label}: columns must have the same length")
        self.columns, self.began = columns, began


def _column(kind: str, values: Any, label: str) -> array[Any]:
    try:
        given = np.asarray(values)
    except (TypeError, ValueError):
        raise TypeError(f"{label} must be numbers, got {short_repr(values)}") from None
    if given.ndim != 1 or (given.size and given.dtype.kind not in _TAKEN[kind]):
        raise TypeError(f"{label} must be a list of {_CALLED[kind]}, got {short_repr(values)}")
    return array(kind, given.astype(_TYPES[kind]).tolist())


def _finite(values: list[Any]) -> list[Any]:
    return [None if isinstance(value, float) and math.isinf(value) else value for value in values]
