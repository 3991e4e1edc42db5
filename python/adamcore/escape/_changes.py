"""Other weights for an optimizer, in whatever they are stored, with state that fits them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._core import call_all, rules
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.optimizer import Optimizer

_LEFT_OVER = ("remainder", "remainder_ties", "compensation")
"""What rounding has left over of weights. Beside new ones it is 0."""


def exact_weights(snapshot: Snapshot, name: str) -> NDArray[Any]:
    """Return a parameter in double precision: its master where it has one."""
    stored = snapshot.params[name]
    wide = np.complex128 if stored.dtype.kind == "c" else np.float64
    values: NDArray[Any] = np.array(stored, wide)
    master = snapshot.state[name].get("master")
    if master is not None:  # it counts only where the parameter is its rounded value, as in every step
        counts = master.astype(stored.dtype) == stored
        values[counts] = master[counts]
    return values


class Change:
    """New weights, prepared so that `apply` writes all of them or none.

    Parameters
    ----------
    opt : Optimizer
    snapshot : Snapshot
        What there is.
    weights : mapping
        New weights in double precision, by name. Raises ValueError, which begins with `owner`, if one is not finite.
    owner : str
    keeps_origin : bool
        Whether what a rule keeps of the first weights, as `Prodigy` does, and of all steps stays. The fast weights of
        `ScheduleFreeAdamW` move as the weights do in any case.
    """

    def __init__(
        self, opt: Optimizer, snapshot: Snapshot, weights: Mapping[str, NDArray[Any]], owner: str, *, keeps_origin: bool
    ) -> None:
        self._opt = opt
        params = dict(snapshot.params)
        state = dict(snapshot.state)
        described = _slots_of(opt)
        for name, new_values in weights.items():
            values = np.asarray(new_values)  # sums of arrays without axes are scalars
            stored = snapshot.params[name]
            params[name] = rounded(values, stored.dtype)
            if not np.isfinite(params[name].astype(values.dtype)).all():
                raise ValueError(f"{owner}: the new weights of {name!r} are not finite in {stored.dtype}")
            slots = dict(state[name])
            moved = values - exact_weights(snapshot, name)
            for slot, of in [(slot, of) for slot, of in described[name].items() if slot in slots]:
                if of["start"] == "param" and (slot == "z" or not keeps_origin):
                    new = np.array(slots[slot], values.dtype) + moved if keeps_origin else values
                    slots[slot] = rounded(new, slots[slot].dtype)
                elif of["start"] == "value" and of["degree"] == 0 and not keeps_origin:
                    slots[slot] = np.full_like(slots[slot], of["initial"])
            if "master" in slots:
                slots["master"] = values.astype(slots["master"].dtype)
            for slot in [slot for slot in _LEFT_OVER if slot in slots]:
                slots[slot] = np.zeros_like(slots[slot])
            state[name] = slots
        self._after = snapshot.changed(params=params, state=state)

    def apply(self, *, reset: Iterable[str]) -> None:
        """Write the weights, and reset the moments of these parameters; in between, Python handles no signal."""
        places = self._opt._native.places
        calls: list[Callable[[], Any]] = [self._after.restorer]
        if names := list(reset):
            calls.append(partial(self._opt._native.reset_state, [places[name] for name in names]))
        call_all(calls)


def rounded(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round to nearest, to half precision by way of float32, as a master is."""
    with np.errstate(over="ignore"):
        wide = values.astype(np.float32) if dtype.itemsize == 2 else values
        return np.asarray(wide).astype(dtype)


def _slots_of(opt: Optimizer) -> dict[str, dict[str, dict[str, Any]]]:
    """Return by parameter the descriptions of the slots of its rule."""
    known, rule_of = rules(), opt._serializer()._rule_of
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for group in opt.param_groups:
        found.update(dict.fromkeys(group["param_names"], known[rule_of(group)]["state"]))
    return found
