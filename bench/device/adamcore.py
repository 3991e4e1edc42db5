"""Peers: adamcore on arrays of CuPy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import cupy

from device.arrays import BF16, as_cupy, as_numpy, as_torch
from peers.adamcore import AdamCore
from problem import Array, Arrays
from stability import AdamCoreClip, AdamCoreScaler


class _CuPy(AdamCore):
    """adamcore's peers of the CPU, with arrays of CuPy."""

    packages = ("adamcore", "numpy", "cupy-cuda13x")

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        super().__init__([as_cupy(p, self.dtype).copy() for p in params], threads)

    def use(self, grads: Arrays) -> None:
        super().use([as_cupy(g, self.dtype) for g in grads])

    def result(self) -> Arrays:
        return [as_numpy(p) for p in self.params]


class OnDevice(_CuPy):
    """The same gradient arrays at each step, as from a graph or where gradients are written in place."""


class NewGrads(_CuPy):
    """New gradient objects at each step, as backpropagation makes them; their memory is the same."""

    key = "adamcore-new-grads"
    label = "adamcore, new gradient objects"

    def use(self, grads: Arrays) -> None:
        super().use(grads)
        self.fresh: list[Any] | None = None

    def renew(self) -> None:
        self.fresh = [g.view() for g in self.grads]

    def step(self) -> None:
        if self.fresh is None:
            self.renew()
        # What was used is kept until it is replaced, so that a step does not free it.
        self.used, self.fresh = self.fresh, None
        self.optimizer.step(self.used)


class Graph(_CuPy):
    """The step as a CUDA graph: the first eager, the second captured, then replays."""

    key = "adamcore-graph"
    label = "adamcore, CUDA graph"
    bytes_per_element = AdamCore.bytes_per_element + 4

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        super().__init__(params, threads)
        self.grads: Any = None
        self.replay: Any = None
        self.has_stepped = False

    def use(self, grads: Arrays) -> None:
        fresh = [as_cupy(g, self.dtype) for g in grads]
        if self.grads is None:
            self.grads = [g.copy() for g in fresh]
            return
        for mine, other in zip(self.grads, fresh, strict=True):
            mine[...] = other

    def step(self) -> None:
        if self.replay is not None:
            self.replay()
        elif self.has_stepped:
            stream = cupy.cuda.get_current_stream()
            stream.begin_capture()
            try:
                self.optimizer.step(self.grads)
            finally:
                graph = stream.end_capture()
            self.replay = lambda: graph.launch(stream)
            self.replay()
        else:
            self.optimizer.step(self.grads)
            self.has_stepped = True


class Tensors(AdamCore):
    """On tensors of torch's, which are checked by other means than CuPy's arrays."""

    key = "adamcore-torch"
    label = "adamcore, torch's tensors"

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        super().__init__([as_torch(p).clone() for p in params], threads)

    def use(self, grads: Arrays) -> None:
        super().use([as_torch(g) for g in grads])

    def result(self) -> Arrays:
        return [p.cpu().numpy() for p in self.params]


class Clip(_CuPy, AdamCoreClip):
    step_bytes = 32


class Scaler(_CuPy, AdamCoreScaler):
    step_bytes = 32


class _Stored(_CuPy):
    """Half-precision weights; `step_bytes` counts p, g and what the optimizer keeps, read and written."""

    dtype = BF16
    precision: ClassVar[dict[str, Any]]

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        import adamcore as ac

        self.options = {"precision": ac.Precision(**self.precision)}  # shadows the class's, which others share
        super().__init__(params, threads)


class Master(_Stored):
    key = "adamcore-bf16-master"
    label = "adamcore, bfloat16 weights, float32 master and state"
    precision: ClassVar = {}
    step_bytes = 30
    bytes_per_element = 16


class Remainder(_Stored):
    key = "adamcore-bf16-remainder"
    label = "adamcore, bfloat16 weights and state, remainder"
    precision: ClassVar = {"master": "remainder", "state": "bfloat16"}
    step_bytes = 18.25
    bytes_per_element = 11


class AllHalf(_Stored):
    key = "adamcore-bf16-all"
    label = "adamcore, all bfloat16, stochastic rounding"
    precision: ClassVar = {"master": None, "rounding": "stochastic", "state": "bfloat16"}
    step_bytes = 14
    bytes_per_element = 8
