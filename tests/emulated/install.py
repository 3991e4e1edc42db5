"""Puts stand-ins in the place of CuPy, of adamcore's module for CUDA and, around the real one, of PyTorch's CUDA.

Nothing is loaded before somebody imports it, so that tests of what an import loads see what they would see.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Maker(Loader):
    def __init__(self, make: Callable[[], ModuleType]) -> None:
        self.make = make

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self.make()

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Changer(Loader):
    """Loads a real module, and then modifies it."""

    def __init__(self, loader: Any, change: Callable[[ModuleType], None]) -> None:
        self.loader, self.change = loader, change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        self.change(module)


def _cuda() -> ModuleType:
    from .core import EMULATED

    return EMULATED


def _cupy() -> ModuleType:
    from .cupy_fake import fake_cupy

    return fake_cupy()


def _torch() -> ModuleType:
    from .torch_missing import fake_torch

    return fake_torch()


def _change_torch(torch: ModuleType) -> None:
    from .torch_fake import give_devices

    give_devices(torch)


class _Finder(MetaPathFinder):
    MADE = {"adamcore._cuda": _cuda, "cupy": _cupy}  # noqa: RUF012

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        if make := self.MADE.get(name):
            return ModuleSpec(name, _Maker(make))
        if name != "torch":
            return None
        found = real_torch()
        if found is None:
            return ModuleSpec(name, _Maker(_torch))
        found.loader = _Changer(found.loader, _change_torch)
        return found


_FINDER = _Finder()


def real_torch() -> ModuleSpec | None:
    """Return where PyTorch is, without loading it."""
    others = [finder for finder in sys.meta_path if finder is not _FINDER]
    found = (finder.find_spec("torch", None) for finder in others if hasattr(finder, "find_spec"))
    return next((spec for spec in found if spec is not None), None)


def install() -> None:
    """Install the replacements in this process."""
    assert "torch" not in sys.modules
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    importlib.invalidate_caches()
