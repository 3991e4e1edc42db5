"""Replaces PyTorch if it is not installed: the part that tests of CuPy arrays need."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

from .core import EMULATED


def fake_torch() -> ModuleType:
    torch = ModuleType("torch")
    for name in ("uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"):
        setattr(torch, name, name)
    torch.cuda = SimpleNamespace(is_available=lambda: True, synchronize=EMULATED.synchronize)
    torch.Tensor = type("Tensor", (), {})
    return torch
