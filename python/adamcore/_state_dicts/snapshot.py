"""A copy in memory of all that an optimizer's steps change, from which it is put back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
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
    has the values of hyper-parameters: schedules are not copied, so the groups get the very same objects again, which
    keep what they have observed since (as `ReduceOnPlateau` does).

    Attributes
    ----------
    params : dict
        The contents of the parameters by name.
    state : dict
        By name, the slots and step counts as in a state dict.
    values : list of dict
        The hyper-parameters of each group.

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
        self.values = [
            {key: value for key, value in group.items() if key not in OWN_KEYS} for group in serializer.param_groups
        ]
        self._rules = [serializer._rule_of(group) for group in serializer.param_groups]
        self._family = rules_of(serializer.rule_for, serializer.variant_keys, serializer.defaults)
        self._memories: list[Memory] = opt._memories()
        self._guard = serializer.guard
        with _core.Paired([(native.borrow, native.give_back)]) as (borrowed,):
            state, self._completed, self._numbers, progress, window, params = borrowed
            serializer._mark_all(state)
            self.state = {name: _copied(slots) for name, slots in state.items()}
            self.params = _copied(params)
            self._window = None if window is None else {**window, "sums": _copied(window["sums"])}
            self._norms = None if self._guard is None else self._guard._state_to_dict()
        self._averages = {name: (counts["steps"], counts["averaged"]) for name, counts in progress.items()}

    def changed(self, **parts: Any) -> Snapshot:
        """Return a snapshot of which these parts are others; it shares the rest.

        Parameters
        ----------
        **parts
            `params` and `state`, mappings from names to arrays and to slots; `completed`; `values`, a list of
            hyper-parameters by group; `averages`, steps and moves of each average.
        """
        other = copy.copy(self)
        for name, value in parts.items():
            setattr(other, name if name in ("params", "state", "values") else f"_{name}", value)
        return other

    def state_dict(self) -> dict[str, Any]:
        """Return what there is but hyper-parameters and the window, for `adamcore.save`."""
        return {
            "optimizer": self._owner,
            "params": dict(self.params),
            "state": {name: dict(slots) for name, slots in self.state.items()},
            "completed": self._completed,
            "numbers": dict(self._numbers),
            "averages": {name: list(counts) for name, counts in self._averages.items()},
            "norms": self._norms,
        }

    @classmethod
    def loaded(cls, opt: Any, saved: Mapping[str, Any]) -> Snapshot:
        """Return a snapshot with what `state_dict` returned, and the optimizer's own hyper-parameters.

        Raises ValueError if it is of another rule or of other parameters.
        """
        found = cls(opt)
        if saved["optimizer"] != found._owner:
            raise ValueError(f"{found._owner}: the copy is of {saved['optimizer']}")
        if set(saved["params"]) != set(found.params):
            raise ValueError(f"{found._owner}: the copy is of other parameters than the optimizer's")
        averages = {name: tuple(counts) for name, counts in saved["averages"].items()}
        found._numbers, found._norms, found._window = dict(saved["numbers"]), saved["norms"], None
        return found.changed(
            params=saved["params"], state=saved["state"], completed=saved["completed"], averages=averages
        )

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
            self.values,
            self.state,
            self._completed,
            self._numbers,
            np.asarray,
            self._rules,
            self._family,
            False,  # NaN in the state is what it was  # noqa: FBT003
            memories,
            self._averages,
            self._window,
            self.params,
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
        if set(self._native.places) != set(self.params):
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
