"""A run whose losses are made up, so that a test decides where it is on a plateau."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import adamcore as ac
from adamcore import escape

WINDOW = 32


class World:
    """An optimizer with random gradients, a monitor that sees losses of a formula, and a policy."""

    def __init__(self, loss: Callable[[World], float], *, lr: Any = 0.1, seed: int = 0, **options: Any) -> None:
        self.loss = loss
        self.params = {"w": np.ones(6), "b": np.zeros(3)}
        self.opt = ac.AdamW(self.params, lr=lr)
        self.mon = ac.Monitor(self.opt, window=WINDOW, stats_every=4, seed=seed)
        self.policy = escape.Policy(self.mon, **options)
        self.step = 0

    def go(self, steps: int) -> list[escape.Act]:
        """Do so many steps, and return what the policy has done."""
        acts = []
        for _ in range(steps):
            rng = np.random.default_rng(self.step)
            grads = {name: rng.standard_normal(array.shape) for name, array in self.params.items()}
            loss = self.loss(self) * (1 + 0.001 * rng.standard_normal())
            self.step += 1
            self.mon.observe(loss, self.opt.step(grads, stats=self.mon.wants_stats))
            acts += self.policy.act(("batch", self.step))
            if self.policy.stopped:
                break
        return acts

    def kinds(self, steps: int) -> list[str]:
        return [act.kind for act in self.go(steps)]


def learnt(world: World) -> float:
    """Falls from 10 to 1 within 40 steps, and stays there."""
    return max(10.0 - 0.225 * world.step, 1.0)


def falls_after(*acts: str) -> Callable[[World], float]:
    """Return the loss of a run that goes on falling only after one of these acts."""

    def loss(world: World) -> float:
        steps = [act.step for act in world.mon.acts if act.kind in acts and act.done]
        return learnt(world) * (0.97 ** min(world.step - steps[0], 60) if steps else 1.0)

    return loss
