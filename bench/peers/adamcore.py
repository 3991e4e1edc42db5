from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from peers.base import Peer
from problem import HYPER, Array, Arrays


class AdamCore(Peer):
    key = "adamcore"
    label = "adamcore"
    packages = ("adamcore", "numpy")
    options: ClassVar[dict[str, Any]] = {}
    """Keyword arguments of the optimizer, besides the problem's."""

    @classmethod
    def prepare(cls, threads: int) -> None:
        import adamcore

        adamcore.set_num_threads(threads)

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        import adamcore

        self.params = list(params)
        h = HYPER
        self.optimizer = adamcore.AdamW(
            self.params, lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, weight_decay=h.weight_decay, **self.options
        )

    def use(self, grads: Arrays) -> None:
        self.grads = grads

    def step(self) -> None:
        self.optimizer.step(self.grads)

    def result(self) -> Arrays:
        return self.params


class AdamCoreOtherGrads(AdamCore):
    """As when backpropagation makes new gradient arrays each time: two sets of them take turns."""

    key = "adamcore-other-grads"
    label = "adamcore, other gradients"
    bytes_per_element = AdamCore.bytes_per_element + 4

    def use(self, grads: Arrays) -> None:
        self.grads, self.others = grads, [g.copy() for g in grads]

    def step(self) -> None:
        self.optimizer.step(self.grads)
        self.grads, self.others = self.others, self.grads
