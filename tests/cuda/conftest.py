"""The GPU tests on the emulation, in processes that start when it has been compiled, while other tests still run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builds import BUILDS
from emulated.runs import RUNS
from jobs import Job, Jobs, result_of
from places import ROOT, TESTS

JOBS = Jobs(workers=min(2, os.cpu_count() or 1))


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or "PYTEST_XDIST_WORKER" in os.environ:
        return
    for item in session.items:
        if "devices_tests" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec"):
            begin(item.callspec.params["name"])


def pytest_unconfigure() -> None:
    JOBS.end()


def begin(name: str) -> Job:
    """Start a run of RUNS when the emulation is available."""
    built = os.environ.get("ADAMCORE_EMULATION")
    after = None if built else BUILDS.job("emulation")
    folder = built or BUILDS.folder("emulation")
    arguments, environment = RUNS[name]
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "emulated", "-p", "no:cacheprovider", "-p", "no:logging"]
    return JOBS.begin(
        name,
        [[*command, "--rootdir", ROOT, *arguments]],
        after,
        {"ADAMCORE_EMULATION": str(folder), "PYTHONPATH": paths, **environment},
    )


@pytest.fixture
def devices_tests(emulation: Path, pytestconfig: pytest.Config) -> Callable[[str], Job]:
    """Return a finished run."""
    del emulation  # has been built

    def wait(name: str) -> Job:
        job = begin(name)
        result_of(job, pytestconfig)
        return job

    return wait
