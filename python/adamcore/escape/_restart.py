"""`restart`: new weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.libraries import as_numpy
from adamcore._arrays.rebinding import match_arrays
from adamcore._checks.flags import as_flag
from adamcore._core import short_repr
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.escape._acting import noted, require_between_steps, seed_of
from adamcore.escape._changes import Change, rounded
from adamcore.monitor.act import Act
from adamcore.optimizer import Optimizer


def restart(
    opt: Optimizer,
    init: Callable[[np.random.Generator], Any],
    *,
    seed: int,
    keep_best: bool = True,
    reset_clock: bool = False,
) -> Act:
    """Begin anew with new weights: out of poor minima, and of networks that are dead.

    Parameters
    ----------
    opt : Optimizer
    init : callable
        ``init(rng)`` returns new parameters in the structure of the optimizer's, as that of a problem does.
    seed : int
        The seed of the generator that it gets, >= 0.
    keep_best : bool
        Whether the act keeps a copy of parameters and state, so that ``act.put_back()`` returns to them if the new ones
        turn out to be worse.
    reset_clock : bool
        Whether ``opt.completed`` becomes 0, so that schedules begin anew too.

    Returns
    -------
    Act

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, the new parameters do not fit, or gradients are being accumulated. Nothing has
        changed then.

    Notes
    -----
    All moments begin anew, and so do averages of weights, as the new ones. The arrays stay the same, and what `init`
    returns is converted to their dtypes.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = {"w": np.full(3, 100.0)}
    >>> opt = ac.AdamW(w)
    >>> act = ac.escape.restart(opt, lambda rng: {"w": rng.standard_normal(3)}, seed=1)
    >>> bool(abs(w["w"]).max() < 5)
    True
    >>> act.put_back()
    >>> w["w"]
    array([100., 100., 100.])
    """
    owner = "restart"
    require_between_steps(opt, owner)
    if not callable(init):
        raise TypeError(f"{owner}: init must be a function of a generator, got {short_repr(init)}")
    number = seed_of(seed, owner)
    keeps, resets = as_flag(keep_best, f"{owner}: keep_best"), as_flag(reset_clock, f"{owner}: reset_clock")
    snapshot = Snapshot(opt)
    weights = _matched(opt, init(np.random.default_rng(number)), snapshot, owner)
    begun = _begun(opt, snapshot, weights, reset_clock=resets)
    Change(opt, begun, weights, owner, keeps_origin=False).apply(reset=weights)
    text = "new parameters" + (", and schedules begin anew." if resets else ".")
    numbers = {"seed": number, "reset_clock": resets}
    return noted(opt, owner, text, numbers, before=snapshot if keeps else None)


def _begun(opt: Optimizer, snapshot: Snapshot, weights: Mapping[str, NDArray[Any]], *, reset_clock: bool) -> Snapshot:
    """Return what there is, with averages that begin anew."""
    own = opt._averages
    state = {
        name: slots | {average: rounded(weights[name], slots[average].dtype) for average in own}
        for name, slots in snapshot.state.items()
    }
    clock = {"completed": 0} if reset_clock else {}
    return snapshot.changed(state=state, averages=dict.fromkeys(own, (0, 0)), **clock)


def _matched(opt: Optimizer, made: Any, snapshot: Snapshot, owner: str) -> dict[str, NDArray[Any]]:
    """Return new parameters by name, in double precision. Raises an error for those that do not fit."""
    groups = match_arrays(f"{owner}: init", made, opt.param_groups)
    found = {}
    for group, (arrays, *_) in zip(opt.param_groups, groups, strict=True):
        for name, array in zip(group["param_names"], arrays, strict=True):
            values, old = as_numpy(array, owner), snapshot.params[name]
            if values.shape != old.shape or (values.dtype.kind == "c") != (old.dtype.kind == "c"):
                raise ValueError(
                    f"{owner}: init: {name!r} must be of {old.dtype} and have the shape {old.shape}, got "
                    f"{values.dtype} and {values.shape}"
                )
            found[name] = np.array(values, np.complex128 if values.dtype.kind == "c" else np.float64)
    return found
