"""What tests need to have compiled, besides the package. It is built in the background, while other tests run."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

from adamcore import get_cmake_dir
from jobs import Job, Jobs, result_of
from places import ROOT


class Builds:
    """One build at a time, because the tests need a processor too. Its folder has the name of its fixture."""

    def __init__(self) -> None:
        self._jobs = Jobs(workers=1)

    def needed_by(self, item: pytest.Item) -> set[str]:
        there = {"emulation"} if os.environ.get("ADAMCORE_EMULATION") else set()
        return (COMMANDS.keys() - there) & set(getattr(item, "fixturenames", ()))

    def begin(self, names: Iterable[str]) -> None:
        """Start with the shortest build."""
        for name in sorted(names, key=list(COMMANDS).index):
            self.job(name)

    def job(self, name: str) -> Job:
        """Start a build, unless it has been started."""
        folder = self.folder(name)
        folder.mkdir(exist_ok=True)
        return self._jobs.begin(name, COMMANDS[name](folder))

    def folder_of(self, name: str, config: pytest.Config) -> Path:
        """Wait for a build."""
        job = self.job(name)
        assert result_of(job, config) == 0, job.output
        return self.folder(name)

    def end(self) -> None:
        self._jobs.end()

    def folder(self, name: str) -> Path:
        return self._jobs.folder / name


def gate_commands(folder: Path) -> list[list[object]]:
    import pybind11

    built = folder / f"cuda_gate{sysconfig.get_config_var('EXT_SUFFIX')}"
    sources = [
        ROOT / "tests/cpp/gate/module.cpp",
        *(ROOT / "cuda/bindings" / f for f in ("device_array.cpp", "interface.cpp")),
    ]
    sources += [
        ROOT / "cpp/bindings" / f"{name}.cpp" for name in ("gate/view", "gate/dlpack", "gate/foreign", "runtime/gil")
    ]
    includes = [ROOT / "cpp/include", ROOT / "cpp/bindings", ROOT / "cuda/bindings"]
    includes += [pybind11.get_include(), sysconfig.get_paths()["include"]]
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"]
    # One file that includes the others: pybind11 is read once.
    whole = folder / "gate.cpp"
    whole.write_text("".join(f'#include "{source}"\n' for source in sources))
    return [[os.environ.get("CXX", "c++"), *flags, *(f"-I{path}" for path in includes), whole, "-o", built]]


def own_rule_commands(folder: Path) -> list[list[object]]:
    """Build examples/own_rule against the installed package."""
    import pybind11

    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "adamcore_DIR": get_cmake_dir(),
        "pybind11_DIR": pybind11.get_cmake_dir(),
        **dict.fromkeys(("Python_EXECUTABLE", "PYTHON_EXECUTABLE"), sys.executable),
    }
    configure = ["cmake", "-S", ROOT / "examples" / "own_rule", "-B", folder, "-G", "Ninja"]
    return [[*configure, *(f"-D{name}={value}" for name, value in options.items())], ["cmake", "--build", folder]]


def emulation_commands(folder: Path) -> list[list[object]]:
    import pybind11

    configure: list[object] = ["-G", "Ninja", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
    # pybind11 goes by either, as the age of CMake has it.
    configure += [f"-D{name}_EXECUTABLE={sys.executable}" for name in ("Python", "PYTHON")]
    return [["cmake", "-S", ROOT / "cuda" / "emulation", "-B", folder, *configure], ["cmake", "--build", folder]]


COMMANDS = {"cuda_gate": gate_commands, "own_rule": own_rule_commands, "emulation": emulation_commands}
BUILDS = Builds()


def import_from(name: str, folder: Path) -> ModuleType:
    """Import a module that was built into a folder."""
    (path,) = folder.glob(f"{name}*{sysconfig.get_config_var('EXT_SUFFIX')}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
