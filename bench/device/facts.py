"""What a record says of the device and of the libraries that were measured on it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from device import machine
from environment import software

HEADER = Path(torch.__file__).parent / "include" / "ATen" / "native" / "cuda" / "MultiTensorApply.cuh"


def describe(packages: Iterable[str]) -> dict[str, Any]:
    import adamcore

    facts = machine.describe()
    return {
        **facts,
        "device": {**facts["device"], **_properties()},
        "adamcore_architectures": adamcore.build_info()["cuda_architectures"],
        "software": {**software(packages), "cuda": torch.version.cuda or "unknown"},
        "torch_launches": limits_in_header(),
    }


def _properties() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory": properties.total_memory,
        "cache": properties.L2_cache_size,
        "multiprocessors": properties.multi_processor_count,
    }


def limits_in_header() -> dict[str, str]:
    """Return what torch's header says of tensors and blocks in a launch, for the builds that it distinguishes."""
    if not HEADER.exists():
        return {"header": "not there"}
    text = HEADER.read_text()
    found = re.findall(r"depth_to_max_(tensors|blocks)\[5\] = \{([\d, ]+)\}", text)
    limits = {name: " or ".join(numbers for other, numbers in found if other == name) for name, _ in found}
    return {**limits, "by_cuda_version": str("CUDART_VERSION" in text)}
