"""`along_curvature`: the way down from a saddle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from adamcore._checks.numbers import as_int
from adamcore._curvature.curvature import Curvature
from adamcore._curvature.measure import FARTHER, LENGTHS, measure, scale_of
from adamcore._curvature.weights import Objective
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.escape._acting import noted, require_between_steps, seed_of
from adamcore.escape._changes import Change, exact_weights
from adamcore.monitor.act import Act
from adamcore.optimizer import Optimizer

_MOST_TRIALS = 24


def along_curvature(
    opt: Optimizer,
    loss_and_grad: Callable[[Any, Any], tuple[Any, Any]],
    batch: Any,
    *,
    seed: int,
    iterations: int = 16,
) -> Act:
    """Move the weights along the direction of the most negative curvature, if the loss is lower there.

    The direction is that of `Monitor.curvature`. Lengths from a hundredth of that of the weights on are tried, in both
    directions and farther as long as the loss falls; the best one is taken. Then all moments begin anew.

    Parameters
    ----------
    opt : Optimizer
    loss_and_grad : callable
        ``loss_and_grad(params, batch)`` returns the loss and the gradients, and must be a function of the weights.
    batch
        What it gets besides the parameters; of 512 rows or more, since noise hides saddles.
    seed : int
        The seed of the vector with which Lanczos' method begins, >= 0.
    iterations : int
        As for `Monitor.curvature`.

    Returns
    -------
    Act
        Its ``done`` is False if there is no negative curvature, or no lower loss; nothing has changed then.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, gradients are being accumulated, the loss or a gradient is not finite, or a
        parameter has half precision. Nothing has changed then.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.array([1e-9, 1e-6])
    >>> def loss_and_grad(w, batch):
    ...     return float(w[0]**2 - w[1]**2 + w[1]**4), np.array([2 * w[0], 4 * w[1]**3 - 2 * w[1]])
    >>> act = ac.escape.along_curvature(ac.AdamW(w), loss_and_grad, None, seed=0)
    >>> act.done, bool(loss_and_grad(w, None)[0] < -0.1)
    (True, True)
    """
    owner = "along_curvature"
    require_between_steps(opt, owner)
    number = seed_of(seed, owner)
    count = as_int(iterations, f"{owner}: iterations", "an int >= 2", 2)
    before = Snapshot(opt)
    found = measure(opt, loss_and_grad, [(batch,)], owner=owner, seed=number, iterations=count)
    return move_along(opt, before, found, loss_and_grad, [(batch,)])


def move_along(
    opt: Optimizer,
    before: Snapshot,
    found: Curvature,
    loss_and_grad: Callable[..., Any],
    batches: Sequence[tuple[Any, ...]],
) -> Act:
    """Move the weights along the direction that was found, at the weights where it was: those of the snapshot."""
    owner = "along_curvature"
    numbers = {**found.evidence(), "loss": found.loss}
    if not found.min < 0 or not found.length:
        reason = "there is no negative curvature." if not found.min < 0 else "no lower loss was found along it."
        return noted(opt, owner, reason, numbers, done=False)
    objective = Objective(opt, loss_and_grad, batches, owner)
    weights = objective.weights
    direction = weights.joined(found.direction, owner)
    with weights.put_back_in_the_end():
        length, lowest = _search(objective, direction, found.length)
    moves = {name: exact_weights(before, name) + length * found.direction[name] for name in weights.names}
    Change(opt, before, moves, owner, keeps_origin=True).apply(reset=weights.names)
    numbers |= {"length": length, "lower": lowest}
    text = f"the loss of the batch falls from {found.loss:.4g} to {lowest:.4g}; all moments begin anew."
    return noted(opt, owner, text, numbers)


def _search(objective: Objective, direction: Any, length: float) -> tuple[float, float]:
    """Return the best length, at least as good as the one that is known, and its loss."""
    base = objective.weights.vector
    lowest = objective.loss(base + length * direction)
    if length < LENGTHS[-1] * scale_of(base):
        return length, lowest  # a longer one was tried, and was worse
    for _ in range(_MOST_TRIALS):
        loss = objective.loss(base + FARTHER * length * direction)
        if not loss < lowest:
            break
        length, lowest = FARTHER * length, loss
    return length, lowest
