from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from peers.base import Peer
from problem import HYPER, Array, Arrays


class _Torch(Peer):
    packages = ("torch",)
    options: ClassVar[dict[str, bool]]

    @classmethod
    def prepare(cls, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        import torch

        self.params = [torch.nn.Parameter(self.tensor(p).clone()) for p in params]
        self.optimizer = self.make()

    def make(self) -> Any:
        import torch

        h = HYPER
        return torch.optim.AdamW(
            self.params, lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, weight_decay=h.weight_decay, **self.options
        )

    @staticmethod
    def tensor(array: Array) -> Any:
        """Return a tensor over an array's memory."""
        import torch

        return torch.from_numpy(array)

    def use(self, grads: Arrays) -> None:
        for p, g in zip(self.params, grads, strict=True):
            p.grad = self.tensor(g)

    def step(self) -> None:
        self.optimizer.step()

    def result(self) -> Arrays:
        return [p.detach().cpu().numpy() for p in self.params]


class TorchFused(_Torch):
    key = "torch-fused"
    label = "torch, fused"
    options: ClassVar = {"fused": True}


class TorchForeach(_Torch):
    key = "torch-foreach"
    label = "torch, foreach"
    options: ClassVar = {"foreach": True}
    bytes_per_element = 20  # its temporaries are as large as all the parameters


class DeepSpeed(_Torch):
    key = "deepspeed"
    label = "DeepSpeed CPUAdam"
    packages = ("deepspeed",)

    @classmethod
    def prepare(cls, threads: int) -> None:
        import torch

        super().prepare(threads)
        # It compiles its kernel when the first optimizer is made, and raises where it cannot.
        cls._optimizer([torch.nn.Parameter(torch.zeros(1))])

    def make(self) -> Any:
        return self._optimizer(self.params)

    @staticmethod
    def _optimizer(params: list[Any]) -> Any:
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        h = HYPER
        return DeepSpeedCPUAdam(
            params, lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, weight_decay=h.weight_decay, adamw_mode=True
        )
