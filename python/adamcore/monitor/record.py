"""`Record`: what a monitor writes down of each step."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from adamcore._history.columns import History


class Record:
    """The losses and norms of all steps after `first`, and which of them were skipped. A step writes little."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._losses, self._norms = array("d"), array("d")
        self._skipped: list[int] = []
        self.add_loss, self.add_norm, self.add_skip = self._losses.append, self._norms.append, self._skipped.append

    def history(self, acts: Iterable[int] = ()) -> History:
        """Return the columns of all steps so far, which later steps do not change.

        `acts` are the numbers of the steps after which something was done.
        """
        rows = len(self._losses)
        found = History({"step": "q", "loss": "d", "grad_norm": "d", "skipped": "b"})
        skipped = array("b", bytes(rows))
        for step in self._skipped:
            skipped[step - self._first - 1] = True
        steps = array("q", range(self._first + 1, self._first + rows + 1))
        found.columns.update(step=steps, loss=self._losses[:], grad_norm=self._norms[:], skipped=skipped)
        inside = [step for step in acts if 0 < step - self._first <= rows]
        if inside:
            counts = found.columns["acts"] = array("q", bytes(8 * rows))
            for step in inside:
                counts[step - self._first - 1] += 1
        return found
