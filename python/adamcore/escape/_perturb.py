"""`perturb`: noise for the weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._checks.flags import as_flag
from adamcore._checks.numbers import as_positive
from adamcore._curvature.lanczos import length_of
from adamcore._curvature.noise import noise
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.escape._acting import noted, require_between_steps, seed_of
from adamcore.escape._changes import Change, exact_weights
from adamcore.monitor.act import Act
from adamcore.optimizer import Optimizer


def perturb(
    opt: Optimizer,
    *,
    seed: int,
    radius: float = 1e-2,
    names: str | Iterable[str] | None = None,
    reset: bool = True,
) -> Act:
    """Move each parameter in a random direction, and begin its moments anew.

    This gets away from saddles, and tells units apart that have equal weights.

    Parameters
    ----------
    opt : Optimizer
    seed : int
        The seed of the directions, >= 0. They also depend on ``opt.completed`` and on the names of parameters, and on
        nothing else.
    radius : float
        How far each parameter moves, relative to its own length (its L2 norm), > 0. One that is 0 moves by `radius`.
    names : str or iterable of str, optional
        The names of parameters. The default is all of them.
    reset : bool
        Whether to reset their moments, as ``opt.reset_state`` does. Keep it: second moments that are too large for
        the gradients at a saddle make the way out ten times as long.

    Returns
    -------
    Act

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or gradients are being accumulated. Nothing has changed then.

    Notes
    -----
    Where half-precision weights have a master, the master moves.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.ones(4)
    >>> act = ac.escape.perturb(ac.AdamW({"w": w}), seed=0, radius=0.5)
    >>> print(act)
    step 0: perturb: noise of 0.5 of their length for 1 parameter, whose moments begin anew.
    >>> round(float(np.linalg.norm(w - 1) / np.linalg.norm(np.ones(4))), 12)
    0.5
    """
    owner = "perturb"
    require_between_steps(opt, owner)
    number = seed_of(seed, owner)
    length, resets = as_positive(radius, f"{owner}: radius"), as_flag(reset, f"{owner}: reset")
    places = opt._chosen(owner, names)
    all_names = list(opt._native.places)
    chosen = [all_names[place] for place in places]
    snapshot = Snapshot(opt)
    weights = {name: _moved(exact_weights(snapshot, name), number, opt.completed, name, length) for name in chosen}
    change = Change(opt, snapshot, weights, owner, keeps_origin=True)
    change.apply(reset=chosen if resets else ())
    count = len(chosen)
    whose = ", whose moments begin anew" if resets else ""
    text = f"noise of {length:g} of their length for {count} parameter{'' if count == 1 else 's'}{whose}."
    return noted(opt, owner, text, {"seed": number, "radius": length, "reset": resets})


def _moved(values: NDArray[Any], seed: int, step: int, name: str, radius: float) -> NDArray[Any]:
    reals = np.ascontiguousarray(values).reshape(-1)
    flat = reals.view(np.float64)
    direction = noise(seed, step, name, flat.size)
    length = length_of(direction)
    if length:
        flat = flat + (radius * (length_of(flat) or 1.0) / length) * direction
    return flat.view(values.dtype).reshape(values.shape)
