"""Tests that need a GPU, CuPy and torch. They run only if this folder is named, and fail if one of these is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent


def missing() -> str | None:
    """Say what is missing for these tests."""
    try:
        import cupy
        import torch
    except ImportError as error:
        return f"{error.name} is not installed"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no device: {error}"
    if devices == 0 or not torch.cuda.is_available():
        return "there is no device that CuPy and torch can use"
    import adamcore

    return None if adamcore.build_info()["cuda"] else "this build of adamcore has no CUDA (ADAMCORE_CUDA=ON)"


def pytest_sessionstart() -> None:
    # An error and not skips: who names this folder wants these tests run, and skipping would look like success.
    if reason := missing():
        raise pytest.UsageError(f"tests/gpu needs a GPU: {reason}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            # What CuPy and torch warn of differs from version to version.
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(params=["cupy", "torch"])
def library(request: pytest.FixtureRequest) -> Any:
    """Every library that arrays may come from, in turn."""
    from gpu.device import CUPY, TORCH

    return {"cupy": CUPY, "torch": TORCH}[request.param]
