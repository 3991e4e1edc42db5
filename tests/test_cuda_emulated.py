"""The GPU's tests without a GPU: over a CUDA of host memory, where the kernels' own code runs thread after thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
FILES = [f"test_{name}.py" for name in ("parity", "layouts", "norms", "nonfinite", "graphs", "arrays", "lifetimes")]


def run(emulation: Path, *arguments: str, **environment: str) -> None:
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "emulated", "-p", "no:cacheprovider", *arguments],
        cwd=TESTS,
        env={**os.environ, "ADAMCORE_EMULATION": str(emulation), "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("file", FILES)
def test_the_devices_tests(file: str, emulation: Path) -> None:
    run(emulation, f"gpu/{file}")


@pytest.mark.parametrize("file", ["test_parity.py", "test_norms.py"])
def test_threads_and_blocks_in_the_other_order(file: str, emulation: Path) -> None:
    run(emulation, f"gpu/{file}", ADAMCORE_EMULATION_BACKWARDS="1")


def test_streams_and_waits(emulation: Path) -> None:
    run(emulation, "emulated_only")
