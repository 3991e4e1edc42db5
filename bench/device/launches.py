"""Count the kernels of torch's fused step, which tells 4 KB of arguments in a launch from 32 KB.

python -m device.launches RECORD.json, with PYTHONPATH=bench. A process of its own, after all that is timed: the
callbacks of torch's profiler may stay attached to CUDA, and every later call would take longer on the host.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

import keep
from device.acceptance import LARGE, MANY
from device.arrays import DeviceProblem, release
from device.torch import Fused
from peers.base import explain
from shapes import CASES, Shape


def launches(shapes: dict[str, list[Shape]]) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for name, each in shapes.items():
        problem = DeviceProblem(each)
        peer = Fused(problem.params(), 1)
        peer.use(problem.grads)
        peer.step()
        try:
            counts[name] = _count(peer)
        except Exception as error:  # noqa: BLE001  (a profiler that does not run here stops nothing else)
            counts[name] = f"not counted: {explain(error)}"
        del peer, problem
        release()
    return counts


def _count(peer: Fused) -> int:
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        peer.step()
        torch.cuda.synchronize()
    return sum(e.count for e in profiler.key_averages() if "multi_tensor_apply_kernel" in e.key and "Adam" in e.key)


def main() -> None:
    shapes = {case.name: case.shapes for case in CASES if case.name in (LARGE[0], MANY)}
    counts = launches(shapes)

    def add(record: dict[str, Any]) -> None:
        record.setdefault("facts", {}).setdefault("torch_launches", {})["counted"] = counts

    keep.update(Path(sys.argv[1]), add)
    print(f"Launches of torch's fused step: {counts}")


if __name__ == "__main__":
    main()
