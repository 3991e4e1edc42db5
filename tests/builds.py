"""What tests have compiled, beside the package: in the background, while other tests run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from places import ROOT


class Builds:
    """One at a time, since the tests want a processor too; each in a folder of its own, named as its fixture."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._futures: dict[str, Future[Path]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None

    def needed_by(self, item: pytest.Item) -> set[str]:
        there = {"emulation"} if os.environ.get("ADAMCORE_EMULATION") else set()
        return (COMMANDS.keys() - there) & set(getattr(item, "fixturenames", ()))

    def begin(self, names: Iterable[str]) -> None:
        """Begin with what takes least."""
        for name in COMMANDS:
            if name in names and name not in self._futures:
                self._folder = self._folder or tempfile.TemporaryDirectory(prefix="adamcore-")
                folder = Path(self._folder.name) / name
                self._futures[name] = self._pool.submit(self._build, name, folder)

    def folder_of(self, name: str) -> Path:
        """Wait for it."""
        self.begin([name])
        return self._futures[name].result()

    def end(self) -> None:
        """Leave nothing behind, when tests are interrupted, too."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        self._pool.shutdown()
        if self._folder is not None:
            self._folder.cleanup()

    def _build(self, name: str, folder: Path) -> Path:
        folder.mkdir()
        for command in COMMANDS[name](folder):
            words = [str(word) for word in command]
            self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            output, _ = self._process.communicate()
            assert self._process.returncode == 0, output
        return folder


def gate_commands(folder: Path) -> list[list[object]]:
    import pybind11

    built = folder / f"cuda_gate{sysconfig.get_config_var('EXT_SUFFIX')}"
    sources = [ROOT / "tests/cpp/gate/module.cpp", *(ROOT / "cuda/bindings" / f for f in ("gate.cpp", "interface.cpp"))]
    sources += [ROOT / "cpp/bindings" / f"{name}.cpp" for name in ("view", "dlpack", "foreign", "gil")]
    includes = [ROOT / "cpp/include", ROOT / "cpp/bindings", ROOT / "cuda/bindings"]
    includes += [pybind11.get_include(), sysconfig.get_paths()["include"]]
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"]
    return [[os.environ.get("CXX", "c++"), *flags, *(f"-I{path}" for path in includes), *sources, "-o", built]]


def emulation_commands(folder: Path) -> list[list[object]]:
    import pybind11

    configure: list[object] = ["-G", "Ninja", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
    # pybind11 goes by either, as the age of CMake has it.
    configure += [f"-D{name}_EXECUTABLE={sys.executable}" for name in ("Python", "PYTHON")]
    return [["cmake", "-S", ROOT / "cuda" / "emulation", "-B", folder, *configure], ["cmake", "--build", folder]]


COMMANDS = {"cuda_gate": gate_commands, "emulation": emulation_commands}


def import_from(name: str, folder: Path) -> ModuleType:
    """Import a module that was built into a folder."""
    (path,) = folder.glob(f"{name}*{sysconfig.get_config_var('EXT_SUFFIX')}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
