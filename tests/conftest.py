"""Fixtures: the table of cases, and instruction sets and threads that are put back after each test."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import hypothesis
import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from reference import CASES, Case

hypothesis.settings.register_profile("default", deadline=None, max_examples=60)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=5000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> type:
    return request.param


@pytest.fixture(params=_core.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set that runs here, in turn."""
    before = _core.isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


@pytest.fixture(autouse=True)
def _same_threads_after() -> Iterator[None]:
    before = ac.get_num_threads()
    yield
    ac.set_num_threads(before)


@pytest.fixture(scope="session")
def cuda_gate(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The gate for CUDA arrays, built as a module of its own; it needs no CUDA."""
    root = Path(__file__).resolve().parent.parent
    pybind11 = pytest.importorskip("pybind11", reason="pybind11 builds the gate")
    built = tmp_path_factory.mktemp("gate") / f"cuda_gate{sysconfig.get_config_var('EXT_SUFFIX')}"
    sources = [root / "tests/cpp/gate/module.cpp", *(root / "cuda/bindings" / f for f in ("gate.cpp", "interface.cpp"))]
    sources += [root / "cpp/bindings" / f"{name}.cpp" for name in ("view", "dlpack", "foreign")]
    includes = [root / "cpp/include", root / "cpp/bindings", root / "cuda/bindings"]
    includes += [pybind11.get_include(), sysconfig.get_paths()["include"]]
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"]
    command = [os.environ.get("CXX", "c++"), *flags, *(f"-I{path}" for path in includes), *sources, "-o", built]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spec = importlib.util.spec_from_file_location("cuda_gate", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def emulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the module that runs CUDA kernels on the CPU; ADAMCORE_EMULATION names one that is there."""
    if built := os.environ.get("ADAMCORE_EMULATION"):
        return Path(built)
    folder = tmp_path_factory.mktemp("emulation")
    source = Path(__file__).resolve().parent.parent / "cuda" / "emulation"
    pybind11 = subprocess.run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], capture_output=True, text=True, check=True
    )
    configure = ["-G", "Ninja", f"-Dpybind11_DIR={pybind11.stdout.strip()}"]
    # pybind11 goes by either, as the age of CMake has it.
    configure += [f"-D{name}_EXECUTABLE={sys.executable}" for name in ("Python", "PYTHON")]
    for command in (["cmake", "-S", source, "-B", folder, *configure], ["cmake", "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20150507)


@pytest.fixture
def unchanged() -> Callable[..., None]:
    """Return a function that runs `call`, expects `error`, and holds that no array's bytes have changed."""

    def check(error: type[Exception], match: str, arrays: list[np.ndarray], call: Callable[[], object]) -> None:
        before = [a.tobytes() for a in arrays]
        with pytest.raises(error, match=match):
            call()
        assert [a.tobytes() for a in arrays] == before

    return check
