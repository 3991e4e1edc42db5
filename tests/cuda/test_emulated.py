"""The GPU tests without a GPU: on an emulation of CUDA, which runs the kernels' own code thread after thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emulated.runs import FILES, RUNS
from jobs import Job
from places import TESTS


@pytest.mark.parametrize("name", RUNS)
def test_the_devices_tests(name: str, devices_tests: Callable[[str], Job]) -> None:
    job = devices_tests(name)
    assert job.future.result() == 0, job.output[-10_000:]
    assert " passed" in job.output


def test_all_files_are_among_them() -> None:
    assert {name for names in FILES for name in names} == {
        path.stem.removeprefix("test_") for path in (TESTS / "gpu").glob("test_*.py")
    }


def test_what_the_sanitizers_look_at(emulation: Path) -> None:
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "emulated", "gpu/sanitize.py"],
        cwd=TESTS,
        env={**os.environ, "ADAMCORE_EMULATION": str(emulation), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("graphs: done\n")
