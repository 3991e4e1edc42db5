"""A rule takes four places: one is added to a copy of the repository, where the tests of rules take it up and pass."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import Jobs, result_of
from new_rule import add_rule
from pairs import EXHAUSTIVE
from places import ROOT

COPIED = (
    "CMakeLists.txt",
    "README.md",
    "cmake",
    "cpp",
    "cuda",
    "docs",
    "examples",
    "pyproject.toml",
    "python",
    "tests",
)
FOLDERS = ("arrays", "gradients", "optimizer", "package", "precision", "rules", "state")
CHOSEN = "signdescent or adamcore.optimizers or defaults_are_those_of_the_rules"
NOT_BUILT = ("__pycache__", "*.so", "build", ".*")

pytestmark = pytest.mark.skipif(not EXHAUSTIVE, reason="compiles a copy of the library: ADAMCORE_EXHAUSTIVE=1")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "copy").mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / "copy" / name, ignore=shutil.ignore_patterns(*NOT_BUILT))
        else:
            shutil.copy(source, tmp_path / "copy" / name)
    return tmp_path / "copy"


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs(workers=1)
    yield jobs
    jobs.end()


def build_commands(copy: Path, build: Path) -> list[list[object]]:
    """What compiles the module where Python finds it: for one instruction set, and unoptimised but for kernels."""
    import pybind11

    options = {
        "ADAMCORE_BUILD_BINDINGS": "ON",
        "ADAMCORE_CUDA": "OFF",
        "ADAMCORE_ISAS": "",
        "CMAKE_BUILD_TYPE": "None",
        "CMAKE_CXX_FLAGS": "-O0",
        "CMAKE_INTERPROCEDURAL_OPTIMIZATION": "OFF",
        "CMAKE_LIBRARY_OUTPUT_DIRECTORY": copy / "python" / "adamcore",
        "pybind11_DIR": pybind11.get_cmake_dir(),
        "PYTHON_EXECUTABLE": sys.executable,
        "Python_EXECUTABLE": sys.executable,
        "Python3_EXECUTABLE": sys.executable,
    }
    configure = ["cmake", "-S", copy, "-B", build, "-G", "Ninja", *(f"-D{k}={v}" for k, v in options.items())]
    return [configure, ["cmake", "--build", build, "--target", "_core"]]


def differences(left: Path, right: Path) -> Iterator[str]:
    """Yield the files that are in one folder alone, or have other contents there."""
    names = {p.relative_to(folder).as_posix() for folder in (left, right) for p in folder.rglob("*") if p.is_file()}
    for name in names:
        both = (left / name, right / name)
        if not all(path.is_file() for path in both) or not filecmp.cmp(*both, shallow=False):
            yield name


def test_a_rule_is_added_in_four_places(copy: Path, jobs: Jobs, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    shutil.copytree(copy, tmp_path / "before")
    added = add_rule(copy)
    assert added == set(differences(tmp_path / "before", copy))
    assert len(added) == 4

    built = jobs.begin("a build with another rule", build_commands(copy, tmp_path / "build"))
    assert result_of(built, pytestconfig) == 0, built.output

    pytest_there = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", copy]
    folders = [copy / "tests" / name for name in FOLDERS]
    environment = {"PYTHONPATH": os.pathsep.join([str(copy / "python"), os.environ.get("PYTHONPATH", "")])}
    environment["ADAMCORE_EXHAUSTIVE"] = "1"
    tests = jobs.begin(
        "the tests of another rule",
        [[*pytest_there, "-c", copy / "pyproject.toml", *folders, "-k", CHOSEN]],
        environment=environment,
    )
    assert result_of(tests, pytestconfig) == 0, tests.output[-10_000:]
    passed = int(tests.output.rsplit(" passed", 1)[0].split()[-1])
    assert passed > 100, tests.output
