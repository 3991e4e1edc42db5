"""What can be done to a run that is stuck: the rows of the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import adamcore as ac
from adamcore import escape


class Stuck(NamedTuple):
    """A run that is stuck."""

    opt: ac.Optimizer
    loss_and_grad: Callable[[Any, Any], tuple[float, Any]]
    batch: Any
    init: Callable[[Any], Any]
    seed: int


Treatment = Callable[[Stuck], object]

TREATMENTS: dict[str, Treatment] = {
    "nothing": lambda _: None,
    "jolt": lambda stuck: escape.jolt(stuck.opt),
    "reset": lambda stuck: stuck.opt.reset_state(),
    "perturb": lambda stuck: escape.perturb(stuck.opt, seed=stuck.seed, reset=False),
    "perturb + reset": lambda stuck: escape.perturb(stuck.opt, seed=stuck.seed),
    "along_curvature": lambda stuck: escape.along_curvature(
        stuck.opt, stuck.loss_and_grad, stuck.batch, seed=stuck.seed
    ),
    "restart": lambda stuck: escape.restart(stuck.opt, stuck.init, seed=1000 + stuck.seed),
}
