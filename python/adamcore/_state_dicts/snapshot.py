"""A copy in memory of all that an optimizer's steps change, from which it is put back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore import _core
from adamcore._parts.clock import rules_of
from adamcore._parts.groups import OWN_KEYS
from adamcore._state_dicts.serializer import Memory


class Snapshot:
    """A copy of all that an optimizer has and that steps change. `put_back` restores it bit for bit.

    It has the contents of the parameters; the state with masters, remainders, compensations and averages of weights;
    step counts, `completed` and `numbers`; the open window of accumulation; and what a `SpikeGuard` remembers. It also
    has the values of hyper-parameters: schedules are not copied, so the groups get the very same objects again.

    Parameters
    ----------
    opt : Optimizer
        The optimizer. On a device, its arrays are copied to the host, for which the queued steps are waited for.

    Raises
    ------
    RuntimeError
        If the optimizer is in use.
    ValueError
        If the hyper-parameters of a group cannot be combined, so that no step is possible.
    """

    def __init__(self, opt: Any) -> None:
        serializer = opt._serializer()
        native = self._native = serializer.native
        self._owner = serializer.owner
        self._values = [
            {key: value for key, value in group.items() if key not in OWN_KEYS} for group in serializer.param_groups
        ]
        self._rules = [serializer._rule_of(group) for group in serializer.param_groups]
        self._family = rules_of(serializer.rule_for, serializer.variant_keys, serializer.defaults)
        self._memories: list[Memory] = opt._memories()
        self._guard = serializer.guard
        with _core.Paired([(native.borrow, native.give_back)]) as (borrowed,):
            state, self._completed, self._numbers, progress, window, params = borrowed
            serializer._mark_all(state)
            self._state = {name: _copied(slots) for name, slots in state.items()}
            self._params = _copied(params)
            self._window = None if window is None else {**window, "sums": _copied(window["sums"])}
            self._norms = None if self._guard is None else self._guard._state_to_dict()
        self._averages = {name: (counts["steps"], counts["averaged"]) for name, counts in progress.items()}

    @property
    def restorer(self) -> Callable[[], None]:
        """A function without arguments that puts everything back or, if it raises, changes nothing.

        It is one call of a function in C. Used as the end of a `Paired` block, nothing that a signal's handler raises
        can come between. It is for one call: take another one for the next.
        """
        memories = list(self._memories)
        if self._guard is not None and self._norms is not None:
            memories.append((self._guard._memory, {"state": self._guard._state_from_dict(self._norms)}))
        return partial(
            self._native.restore,
            self._values,
            self._state,
            self._completed,
            self._numbers,
            np.asarray,
            self._rules,
            self._family,
            False,  # NaN in the state is what it was  # noqa: FBT003
            memories,
            self._averages,
            self._window,
            self._params,
        )

    def put_back(self) -> None:
        """Make the optimizer what it was. It does all of this or nothing, and can be called several times.

        Raises
        ------
        RuntimeError
            If the optimizer is in use.
        ValueError
            If parameters or averages of weights have been added since.
        """
        if set(self._native.places) != set(self._params):
            raise ValueError(f"{self._owner}: parameters have been added since the snapshot, which has none of theirs")
        if set(self._native.averages) != set(self._averages):
            raise ValueError(f"{self._owner}: averages have been added since the snapshot, which has none of theirs")
        self.restorer()


def _copied(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return copies of arrays that are views of an optimizer's own, in the same order in memory; and numbers."""
    return {key: _copy(value) if isinstance(value, np.ndarray) else value for key, value in arrays.items()}


def _copy(array: NDArray[Any]) -> NDArray[Any]:
    # What owns its memory is a copy already, which the optimizer has made of an array on a device.
    return array if array.flags.owndata else array.copy(order="K")
