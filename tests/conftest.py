"""Fixtures: the table of cases, and instruction sets and threads, which are restored after each test."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from builds import BUILDS, import_from
from pairs import EXHAUSTIVE
from places import ROOT
from pulse import register
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


@pytest.fixture(scope="session", autouse=True)
def _one_thread_of_blas() -> Iterator[None]:
    """Matrices are small here: more threads of NumPy's library wait for each other, above all beside other tests."""
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"  # of child processes
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:  # on a machine for GPU tests, which need no extras
        limits: AbstractContextManager[Any] = nullcontext()
    else:
        limits = threadpool_limits(1, user_api="blas")
    with limits:
        yield
    if before is None:
        del os.environ[name]
    else:
        os.environ[name] = before


@pytest.fixture(autouse=True)
def _same_threads_after() -> Iterator[None]:
    before = ac.get_num_threads()
    yield
    ac.set_num_threads(before)


@pytest.fixture
def without_collections() -> Iterator[None]:
    """No garbage collections: Hypothesis has a callback for them, in which what a signal's handler raises is lost."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def failing_new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preloaded library that counts calls of operator new and lets one fail."""
    built = tmp_path_factory.mktemp("preloaded") / "failing_new.so"
    source = ROOT / "tests" / "preloaded" / "failing_new.cpp"
    compiler = [os.environ.get("CXX", "c++"), "-std=c++17", "-O1", "-shared", "-fPIC"]
    subprocess.run([*compiler, str(source), "-o", str(built)], check=True)
    return built


@pytest.fixture(scope="session")
def cuda_gate(pytestconfig: pytest.Config) -> ModuleType:
    """The gate for CUDA arrays, built as a separate module. It does not need CUDA."""
    pytest.importorskip("pybind11", reason="pybind11 builds the gate")
    return import_from("cuda_gate", BUILDS.folder_of("cuda_gate", pytestconfig))


@pytest.fixture(scope="session")
def own_rule(pytestconfig: pytest.Config) -> Path:
    """The folder in which examples/own_rule is built."""
    pytest.importorskip("pybind11", reason="pybind11 builds the module of the example")
    return BUILDS.folder_of("own_rule", pytestconfig)


@pytest.fixture(scope="session")
def emulation(pytestconfig: pytest.Config) -> Path:
    """The folder of the module that runs CUDA kernels on the CPU. ADAMCORE_EMULATION names an existing one."""
    built = os.environ.get("ADAMCORE_EMULATION")
    return Path(built) if built else BUILDS.folder_of("emulation", pytestconfig)


def pytest_configure(config: pytest.Config) -> None:
    register(config)


def pytest_report_header() -> list[str]:
    if EXHAUSTIVE:
        return ["products of parameters: nearly whole, as ADAMCORE_EXHAUSTIVE asks"]
    return [
        "products of parameters: so much of each that any two values meet; ADAMCORE_EXHAUSTIVE=1, as in CI, runs more,",
        "also more orders of streams and blocks on the emulated GPU, and the tests of a rule that is added to a copy",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need a build run last: it is built while the others run."""
    items.sort(key=lambda item: bool(BUILDS.needed_by(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        BUILDS.begin({name for item in session.items for name in BUILDS.needed_by(item)})
    freeze()


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    """Freeze what the modules before this one have imported."""
    freeze()


def freeze() -> None:
    """Let later collections skip what exists. All tests are millions of objects, and many tests collect."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    BUILDS.end()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20150507)


@pytest.fixture
def unchanged() -> Callable[..., None]:
    """Return a function that runs `call`, expects `error`, and checks that no array's bytes have changed."""

    def check(error: type[Exception], match: str, arrays: list[np.ndarray], call: Callable[[], object]) -> None:
        before = [a.tobytes() for a in arrays]
        with pytest.raises(error, match=match):
            call()
        assert [a.tobytes() for a in arrays] == before

    return check
