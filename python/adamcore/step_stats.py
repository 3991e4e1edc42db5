"""Statistics of a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adamcore._checks.numbers import as_int
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import short_repr, step_columns

Floats = NDArray[np.float64]

Columns = bool | str | Iterable[str]
"""What `Optimizer.step` takes as ``stats``."""


def columns_of(stats: Columns, owner: str) -> int:
    """Return the columns that a user has asked for, as bits. Raises TypeError or ValueError for what is none."""
    if isinstance(stats, (bool, np.bool_)):
        return (1 << len(step_columns)) - 1 if stats else 0
    label = f"{owner}.step: stats"
    try:
        chosen = [stats] if isinstance(stats, (str, bytes)) else list(stats)
    except TypeError:  # it is not iterable
        raise TypeError(f"{label} must be True, False, or the names of columns, got {short_repr(stats)}") from None
    bits = 0
    for name in chosen:
        if not isinstance(name, str):
            raise TypeError(f"{label} must be names of columns, got {short_repr(name)}")
        if name not in step_columns:
            raise ValueError(f"{label}: there is no column {short_repr(name)}{did_you_mean(name, step_columns)}")
        bits |= 1 << step_columns.index(name)
    return bits


class StepStats:
    """Statistics of a step, for each parameter: `Optimizer.step` returns them with ``stats=True``.

    Each column is a float64 array with one number for each parameter, in the order of `names`. Sums are computed in
    double, in a fixed order, so they have the same bits with any instruction set, number of threads and memory layout,
    on the CPU and on a device. On a device they are queued like the step, and the first look at a column waits.

    A number is NaN if there is no such thing: in all columns for a parameter without a gradient, in all but those of
    gradients if the step was skipped, in `cos` if the rule has no first moment or the moment is 0, and in
    `second_rms`, `effective_lr` and `floor` if the rule has no second moment for each element. Complex numbers count as
    two real ones.

    Attributes
    ----------
    names : tuple of str
        The names of the parameters.
    columns : tuple of str
        The names of the columns that the step was asked for.
    size : ndarray of int64
        How many numbers each parameter has.
    grad_rms : ndarray
        The root of the mean square of the gradient, after unscaling and before clipping.
    grad_max : ndarray
        The largest magnitude in that gradient.
    zero : ndarray
        The share of the gradient's elements that are 0.
    param_rms : ndarray
        The root of the mean square of the weights before the step: of the masters where there are any.
    update_rms : ndarray
        The same of what the step has changed them by, before they are rounded to the parameter's dtype.
    ratio : ndarray
        ``update_rms / param_rms``. Around 1e-3 is usual in training. It is infinite for weights that were all 0.
    lost : ndarray
        The share of elements whose weight has changed, but whose stored parameter has not, because of its precision.
    cos : ndarray
        The cosine between the gradient (negated if the optimizer maximizes) and the first moment before the step.
    second_rms : ndarray
        The root of the mean of the second moment after the step, with its bias corrected as the rule does it. With
        AMSGrad, the moment is the maximum.
    effective_lr : ndarray
        ``lr / (second_rms + eps)``.
    floor : ndarray
        The share of elements with a second moment whose root is less than ten times eps, so that eps limits the step.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> opt = ac.SGD({"w": np.full(4, 2.0), "b": np.zeros(1)}, lr=0.1)
    >>> stats = opt.step({"w": np.array([0.0, 1, 1, 1]), "b": np.ones(1)}, stats=True).stats
    >>> stats.zero
    array([0.25, 0.  ])
    >>> stats.worst("grad_rms", 1)
    [('b', 1.0)]
    """

    __slots__ = ("_read", "_table", "columns", "names", "size")

    names: tuple[str, ...]
    columns: tuple[str, ...]
    size: NDArray[np.int64]
    _table: Floats
    _read: Callable[[], Floats] | None

    if TYPE_CHECKING:
        grad_rms: Floats
        param_rms: Floats
        update_rms: Floats
        ratio: Floats
        grad_max: Floats
        zero: Floats
        lost: Floats
        cos: Floats
        second_rms: Floats
        effective_lr: Floats
        floor: Floats

    def __init__(
        self,
        names: Sequence[str],
        columns: int,
        table: Floats | Callable[[], Floats],
        size: NDArray[np.int64],
    ) -> None:
        self.names = tuple(names)
        self.columns = tuple(name for place, name in enumerate(step_columns) if columns >> place & 1)
        self.size = size
        if callable(table):
            self._read = table
        else:
            self._read, self._table = None, table

    def __getattr__(self, name: str) -> Floats:
        if name in step_columns and name in self.columns:
            return self._row(name)
        if name in step_columns:
            raise AttributeError(f"StepStats: the step was not asked for {name!r}, but for {', '.join(self.columns)}")
        raise AttributeError(f"'StepStats' object has no attribute {name!r}")

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self.columns]

    def _row(self, name: str) -> Floats:
        if self._read is not None:
            self._table, self._read = self._read(), None
        row: Floats = self._table[step_columns.index(name)]
        return row

    def __len__(self) -> int:
        return len(self.names)

    def worst(self, column: str, n: int = 5) -> list[tuple[str, float]]:
        """Return the names and values of the `n` parameters that stand out in a column, the first one most.

        These are the ones with the largest values, or with the smallest in `cos`. A gradient with NaN comes first.
        Other parameters whose value is NaN are left out.

        Raises
        ------
        TypeError, ValueError
            If there is no such column, the step was not asked for it, or `n` is not an int >= 0.
        """
        most = as_int(n, "StepStats.worst: n", "an int >= 0", 0)
        if column not in self.columns:
            wrong = "the step was not asked for" if column in step_columns else "there is no column"
            raise ValueError(f"StepStats.worst: {wrong} {short_repr(column)}{did_you_mean(column, self.columns)}")
        sign = -1 if column == "cos" else 1
        has_gradient = ~np.isnan(self._row("zero"))

        def badness(place: int, value: float) -> float:
            if math.isnan(value):
                return math.inf if column in ("grad_rms", "grad_max") and has_gradient[place] else math.nan
            return sign * value

        ranked = [(badness(place, value), place) for place, value in enumerate(self._row(column).tolist())]
        known = sorted((item for item in ranked if not math.isnan(item[0])), key=lambda item: -item[0])
        return [(self.names[place], float(self._row(column)[place])) for _, place in known[:most]]

    def to_dict(self) -> dict[str, list[Any]]:
        """Return plain lists: the names, the sizes and each column, for data frames and for JSON.

        (Numbers may be NaN or infinite, which Python's ``json`` writes and reads, but other programs may not.)
        """
        rows: dict[str, list[Any]] = {column: self._row(column).tolist() for column in self.columns}
        return {"names": list(self.names), "size": self.size.tolist(), **rows}

    def table(self) -> str:
        """Return all columns as text, one line for each parameter. A number that does not exist is "-"."""
        lines = [["name", "size", *self.columns]]
        for place, name in enumerate(self.names):
            values = (self._row(column)[place] for column in self.columns)
            lines.append([name, str(self.size[place]), *("-" if np.isnan(x) else f"{x:.3g}" for x in values)])
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        return "\n".join(_aligned(lines, widths))

    def __repr__(self) -> str:
        count = len(self.names)
        return f"<StepStats of {count} parameter{'' if count == 1 else 's'}: {', '.join(self.columns)}>"


def _aligned(lines: list[list[str]], widths: list[int]) -> Iterator[str]:
    """Align the first column to the left, and numbers to the right."""
    for first, *rest in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
