"""Clipping and loss scaling with a step, against PyTorch's calls for the same: python bench/stability.py."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from statistics import median
from typing import Any, ClassVar

from environment import default_threads, describe, limit_threads
from peers.adamcore import AdamCore
from peers.base import Peer
from peers.torch import TorchFused
from problem import Array, Arrays, Problem
from shapes import Shape

MAX_NORM = 1.0
# PyTorch writes the unscaled and clipped gradients back. With a scale of 1 they stay what they are, so that every round
# is the same work.
SCALE = 1.0
NEVER = 10**9
CASES: dict[str, list[Shape]] = {"1 x 48M": [(48_000_000,)], "1000 x 1000": [(1000,)] * 1000}
LINES = {("1 x 48M", "clip"): 1.3, ("1 x 48M", "scaler"): 1.55, ("1000 x 1000", "clip"): 30.0}


class AdamCoreClip(AdamCore):
    key = "adamcore-clip"
    label = "adamcore, clip_norm"
    options: ClassVar = {"clip_norm": MAX_NORM}
    max_norm = MAX_NORM


class AdamCoreScaler(AdamCoreClip):
    key = "adamcore-scaler"
    label = "adamcore, LossScaler and clip_norm"

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        import adamcore as ac

        super().__init__(params, threads)
        self.scaler = ac.LossScaler(SCALE, growth_interval=NEVER)

    def step(self) -> None:
        self.optimizer.step(self.grads, loss_scale=self.scaler)


class TorchClip(TorchFused):
    key = "torch-clip"
    label = "torch, clip_grad_norm_ and fused step"
    max_norm = MAX_NORM

    def use(self, grads: Arrays) -> None:
        super().use(grads)
        for p in self.params:
            p.grad = p.grad.clone()  # it will be written to

    def step(self) -> None:
        import torch

        torch.nn.utils.clip_grad_norm_(self.params, MAX_NORM)
        self.optimizer.step()


class TorchScaler(TorchClip):
    key = "torch-scaler"
    label = "torch, unscale_, clip_grad_norm_ and GradScaler's step"
    device: ClassVar[str] = "cpu"

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        import torch

        super().__init__(params, threads)
        self.scaler = torch.amp.GradScaler(self.device, init_scale=SCALE, growth_interval=NEVER)
        self.scaler.scale(torch.zeros((), device=self.device))  # sets it up

    def step(self) -> None:
        import torch

        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.params, MAX_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()


PAIRS: dict[str, tuple[type[Peer], type[Peer]]] = {
    "step": (AdamCore, TorchFused),
    "clip": (AdamCoreClip, TorchClip),
    "scaler": (AdamCoreScaler, TorchScaler),
}


def measure(shapes: list[Shape], threads: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each peer's steps, all of them taking turns."""
    from measure import Runner, take_turns

    problem = Problem(shapes)
    runners = []
    for peer_class in (peer for pair in PAIRS.values() for peer in pair):
        peer_class.prepare(threads)
        peer = peer_class(problem.params(), threads)
        peer.use(problem.grads)
        runners.append(Runner(peer))
        runners[-1].calibrate()
    take_turns(runners, rounds)
    return {runner.peer.key: runner.seconds for runner in runners}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, help="number of threads (default: as many as adamcore uses)")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    threads = options.threads or default_threads()
    limit_threads(threads)
    facts: dict[str, Any] = describe(threads, ["adamcore", "torch"])
    print(", ".join(f"{key}: {value}" for key, value in facts.items() if isinstance(value, (str, int))))
    for case, shapes in CASES.items():
        seconds = measure(shapes, threads, options.rounds)
        for name, (ours, theirs) in PAIRS.items():
            a, b = median(seconds[ours.key]), median(seconds[theirs.key])
            each = sorted(y / x for x, y in zip(seconds[ours.key], seconds[theirs.key], strict=True))
            line = LINES.get((case, name))
            print(
                f"{case:>12}  {ours.label:<36} {a * 1e3:9.3f} ms   {theirs.label:<56} {b * 1e3:9.3f} ms   "
                f"{b / a:6.2f} times ({each[len(each) // 4]:.2f} to {each[-len(each) // 4]:.2f})"
                + (f", line {line}" if line else "")
            )


if __name__ == "__main__":
    main()
