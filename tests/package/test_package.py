"""The package: doctests, snippets, and what C++ users get."""

from __future__ import annotations

import doctest
import importlib.util
import pkgutil
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import adamcore as ac
from places import ROOT

HEADERS = [ROOT / "cpp" / "include", ROOT / "cuda" / "include"]


def modules() -> list[str]:
    found = pkgutil.walk_packages(ac.__path__, "adamcore.")
    return ["adamcore", *(m.name for m in found if not m.name.endswith(("__main__", "_core")))]


@pytest.mark.parametrize("name", modules())
def test_docstrings(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_public_names_have_examples() -> None:
    for name in ac.__all__:
        thing = getattr(ac, name)
        if callable(thing) and name not in ("Optimizer", "StepInfo", "get_include", "get_cmake_dir"):
            assert ">>>" in thing.__doc__, name


def snippets() -> list:
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for i, code in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)):
            found.append(pytest.param(code, id=f"{path.name}-{i}"))
    return found


@pytest.mark.parametrize("code", snippets())
def test_snippets_of_the_documentation_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})  # noqa: S102


def test_links_of_the_readme_work_on_a_package_page() -> None:
    """A package page has no repository beside it, so links must be absolute, and lead to files that exist."""
    project = (ROOT / "pyproject.toml").read_text()
    (repository,) = re.findall(r'^Repository = "(.+)"$', project, re.MULTILINE)
    pictures = repository.replace("https://github.com", "https://raw.githubusercontent.com") + "/main/"
    readme = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith("#")]
    links += re.findall(r"^\[.+\]: (.+)$", readme, re.MULTILINE)
    assert len(links) > 5
    for link in links:
        path = re.sub(f"^({re.escape(pictures)}|{re.escape(repository)}/(blob|tree)/main/)", "", link)
        assert path != link, f"{link} is not in the repository that pyproject.toml names"
        assert (ROOT / path).exists(), link


def test_include_folder_holds_the_headers() -> None:
    installed = {p.relative_to(ac.get_include()).as_posix() for p in Path(ac.get_include()).rglob("*.hpp")}
    assert installed == {p.relative_to(folder).as_posix() for folder in HEADERS for p in folder.rglob("*.hpp")}
    assert (Path(ac.get_cmake_dir()) / "adamcoreConfig.cmake").is_file()


def test_a_cpp_project_finds_the_package(tmp_path: Path) -> None:
    """An external project: find_package, headers alone and compiled kernels."""
    cmake = [sys.executable, "-m", "cmake"]
    source = ROOT / "tests" / "cpp" / "consumer"
    for command in (
        [
            *cmake,
            "-S",
            str(source),
            "-B",
            str(tmp_path),
            "-DCMAKE_BUILD_TYPE=Release",
            f"-Dadamcore_DIR={ac.get_cmake_dir()}",
        ],
        [*cmake, "--build", str(tmp_path), "--target", "consumer_headers", "consumer_kernels", "trajectories"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    programs = [p for p in tmp_path.iterdir() if p.is_file() and p.stat().st_mode & 0o100 and not p.suffix]
    assert {program.name for program in programs} == {"consumer_headers", "consumer_kernels", "trajectories"}
    printed = {}
    for program in programs:
        printed[program.name] = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    require_trajectories_of_python(printed["trajectories"])


def require_trajectories_of_python(printed: str) -> None:
    """What optimizers in C++ make of a vector and a matrix has the bits of Python's. (consumer/trajectories.cpp)"""
    optimizers = {
        "adamw": lambda params: ac.AdamW(params, lr=0.125, weight_decay=0.25),
        "adagrad": lambda params: ac.Adagrad(params, lr=0.125, initial_accumulator_value=0.5),
        "sgd_momentum": lambda params: ac.SGD(params, lr=0.125, momentum=0.75),
        "lamb": lambda params: ac.LAMB(params, lr=0.125),
        "prodigy": lambda params: ac.Prodigy(params, d0=0.125),
        "adafactor": lambda params: ac.Adafactor(params, lr=0.125),
    }
    lines = dict(line.split(maxsplit=1) for line in printed.splitlines())
    assert lines.keys() == optimizers.keys()
    for name, make in optimizers.items():
        vector = (1 + np.arange(5) / 8).astype(np.float32)
        matrix = (2 - np.arange(12) / 8).astype(np.float32).reshape(3, 4)
        opt = make([vector, matrix])
        for t in range(1, 6):
            grad = ((7 * np.arange(12) + 3 * t) % 11 / 8 - 0.5).astype(np.float32)
            opt.step([None if t == 2 else grad[:5], grad.reshape(3, 4)])
        assert [float.fromhex(x) for x in lines[name].split()] == [*vector.tolist(), *matrix.ravel().tolist()], name


def test_the_wheel_is_small() -> None:
    """What is available without CUDA."""
    others = ("__pycache__", "_cuda")
    files = [p for p in Path(ac.__file__).parent.rglob("*") if p.is_file() and not any(o in str(p) for o in others)]
    assert sum(len(zlib.compress(p.read_bytes())) for p in files) < 3_600_000
