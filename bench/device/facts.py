"""What a record says of the device, and which of torch's multi-tensor launches was measured."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from device.arrays import DeviceProblem, release
from device.torch import Fused
from environment import commit, machine, software
from peers.base import explain
from shapes import Shape

HEADER = Path(torch.__file__).parent / "include" / "ATen" / "native" / "cuda" / "MultiTensorApply.cuh"


def describe(packages: Iterable[str]) -> dict[str, Any]:
    import adamcore

    build = adamcore.build_info()
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "device": _device(),
        "adamcore_architectures": build["cuda_architectures"],
        "software": {**software(packages), "cuda": torch.version.cuda or "unknown"},
    }


def _device() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory": properties.total_memory,
        "cache": properties.L2_cache_size,
        "multiprocessors": properties.multi_processor_count,
        "driver": _nvidia_smi("driver_version"),
        "memory_clock": _nvidia_smi("clocks.max.memory"),
        "power_limit": _nvidia_smi("power.limit"),
    }


def _nvidia_smi(query: str) -> str:
    command = ["nvidia-smi", "--id=0", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"unknown ({explain(error)})"


def limits_in_header() -> dict[str, str]:
    """Return what torch's header says of tensors and blocks in a launch, for the builds that it distinguishes."""
    if not HEADER.exists():
        return {"header": "not there"}
    text = HEADER.read_text()
    found = re.findall(r"depth_to_max_(tensors|blocks)\[5\] = \{([\d, ]+)\}", text)
    limits = {name: " or ".join(numbers for other, numbers in found if other == name) for name, _ in found}
    return {**limits, "by_cuda_version": str("CUDART_VERSION" in text)}


def launches(shapes: dict[str, list[Shape]]) -> dict[str, Any]:
    """Count the kernels of torch's fused step, which tells 4 KB of arguments in a launch from 32 KB."""
    counts: dict[str, Any] = {}
    for name, each in shapes.items():
        problem = DeviceProblem(each)
        peer = Fused(problem.params(), 1)
        peer.use(problem.grads)
        peer.step()
        try:
            counts[name] = _count(peer)
        except Exception as error:  # noqa: BLE001  (a profiler that does not run here stops no benchmark)
            counts[name] = f"not counted: {explain(error)}"
        del peer, problem
        release()
    return {**limits_in_header(), "counted": counts}


def _count(peer: Fused) -> int:
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        peer.step()
        torch.cuda.synchronize()
    return sum(e.count for e in profiler.key_averages() if "multi_tensor_apply_kernel" in e.key and "Adam" in e.key)
