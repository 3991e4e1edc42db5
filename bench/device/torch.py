"""Peers: torch's optimizers on CUDA tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from device.arrays import as_torch
from peers.torch import TorchForeach, TorchFused, _Torch
from problem import Array, Arrays
from stability import TorchClip, TorchScaler


class _Cuda(_Torch):
    """torch's peers of the CPU, with CUDA tensors."""

    @staticmethod
    def tensor(array: Array) -> Any:
        return as_torch(array)


class Fused(_Cuda, TorchFused):
    pass


class Foreach(_Cuda, TorchForeach):
    bytes_per_element = 28  # its temporaries are as large as all the parameters, and there are several


class Graph(_Cuda):
    """The fused step as a CUDA graph: the first eager, the second captured, then replays."""

    key = "torch-graph"
    label = "torch, fused, capturable, CUDA graph"
    options: ClassVar = {"fused": True, "capturable": True}
    bytes_per_element = 16

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        super().__init__(params, threads)
        self.replay: Any = None
        self.has_stepped = False

    def use(self, grads: Arrays) -> None:
        import torch

        with torch.no_grad():
            for p, g in zip(self.params, grads, strict=True):
                if p.grad is None:
                    p.grad = self.tensor(g).clone()
                else:
                    p.grad.copy_(self.tensor(g))

    def step(self) -> None:
        import torch

        if self.replay is not None:
            self.replay()
        elif self.has_stepped:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.optimizer.step()
            self.replay = graph.replay
            self.replay()
        else:
            self.optimizer.step()
            self.has_stepped = True


class Clip(_Cuda, TorchClip):
    step_bytes = 40  # the norm's pass reads 4, the scaling's reads and writes 8
    bytes_per_element = 16


class Scaler(_Cuda, TorchScaler):
    step_bytes = 48  # and unscaling reads and writes 8
    bytes_per_element = 16
    device = "cuda"
