"""The GPU's tests without a GPU: over a CUDA of host memory, where the kernels' own code runs thread after thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from places import TESTS

# What runs in one process. Those that take longest come first: two processes run at a time.
FILES = [
    ("parity",),
    ("nonfinite",),
    ("large", "process"),
    ("graphs", "streams", "arrays", "torch"),
    ("norms", "uses", "environment"),
    ("lifetimes", "layouts", "scales"),
]
EXHAUSTIVE = "ADAMCORE_EXHAUSTIVE" in os.environ
OF_STREAMS = ("graphs", "streams", "lifetimes")
WITHOUT = ("-p", "no:cacheprovider", "-p", "no:logging")
BACKWARDS = {"ADAMCORE_EMULATION_BACKWARDS": "1"}
RUNS: dict[str, tuple[list[str], dict[str, str]]] = {
    **{" ".join(names): ([f"gpu/test_{name}.py" for name in names], {}) for names in FILES},
    # PyTorch's tensors get to the same kernels.
    **{
        f"{name}, threads and blocks in the other order": ([f"gpu/test_{name}.py", "-k", "not torch"], BACKWARDS)
        for name in (("parity", "norms") if EXHAUSTIVE else ("norms",))
    },
    **{
        f"streams, {schedule}": (
            [f"gpu/test_{name}.py" for name in OF_STREAMS],
            {"ADAMCORE_EMULATION_SCHEDULE": schedule, "ADAMCORE_EMULATION_SEED": "1"},
        )
        for schedule in (("lazy", "random") if EXHAUSTIVE else ())
    },
    "what is queued": (["emulated_only"], {}),
}


def python(emulation: Path, arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=TESTS,
        env={**os.environ, "ADAMCORE_EMULATION": str(emulation), "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def run(emulation: Path, arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return python(emulation, ["-m", "pytest", "-q", "-p", "emulated", *WITHOUT, *arguments], **environment)


@pytest.fixture(scope="module")
def result_of(emulation: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Future]]:
    """Return a run's result. All that are asked for run two at a time, unless pytest itself runs several."""
    ours = [item for item in request.session.items if item.path == Path(__file__) and hasattr(item, "callspec")]
    chosen = [item.callspec.params["name"] for item in ours]
    if "PYTEST_XDIST_WORKER" in os.environ:
        chosen = []
    pool = ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1))
    futures = {name: pool.submit(run, emulation, *RUNS[name]) for name in chosen}
    yield lambda name: futures.get(name) or pool.submit(run, emulation, *RUNS[name])
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", RUNS)
def test_the_devices_tests(name: str, result_of: Callable[[str], Future]) -> None:
    done = result_of(name).result()
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_all_files_are_among_them() -> None:
    assert {name for names in FILES for name in names} == {
        path.stem.removeprefix("test_") for path in (TESTS / "gpu").glob("test_*.py")
    }


def test_what_the_sanitizers_look_at(emulation: Path) -> None:
    done = python(emulation, ["-m", "emulated", "gpu/sanitize.py"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("graphs: done\n")
