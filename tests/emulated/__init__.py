"""A CUDA of host memory, CuPy over it, and PyTorch's tensors on it: as a pytest plugin, and for scripts.

``pytest -p emulated tests/gpu/test_parity.py`` runs what those tests ask of a device on the CPU, with the kernels' own
code; ``python -m emulated SCRIPT`` runs a script. ADAMCORE_EMULATION names the folder of the built module.
ADAMCORE_EMULATION_SCHEDULE (eager, lazy or random) and ADAMCORE_EMULATION_SEED choose the order in which streams do
their work, ADAMCORE_EMULATION_LARGE=1 the sizes of a real device.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

MUCH = 5000
"""New objects, of which some may be garbage."""
WITHOUT_A_GPU = {"test_what_the_extension_links": "there is no extension for CUDA to look at"}


def pytest_configure() -> None:
    from .install import install

    install()
    if os.environ.get("ADAMCORE_EMULATION_LARGE") != "1":
        os.environ["ADAMCORE_GPU_SLOW"] = "1"
    os.environ.setdefault("ADAMCORE_GPU_PYTHON", "-m emulated")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    from .install import real_torch

    left_out: dict[str, list[pytest.Item]] = {}
    for item in items:
        name = item.name.partition("[")[0]
        if reason := WITHOUT_A_GPU.get(name):
            left_out.setdefault(reason, []).append(item)
        elif real_torch() is None and _needs_torch(item):
            left_out.setdefault("torch is not installed", []).append(item)
    gone = {item for some in left_out.values() for item in some}
    if gone:
        config.hook.pytest_deselected(items=list(gone))
        items[:] = [item for item in items if item not in gone]
    config.stash[_LEFT_OUT] = {reason: len(some) for reason, some in left_out.items()}


def _needs_torch(item: pytest.Item) -> bool:
    return item.get_closest_marker("torch") is not None or "torch" in item.name or "torch" in item.path.name


def pytest_collection_finish() -> None:
    """Collect garbage only between tests.

    Python does so at any time, also in work that a device is just doing: an optimizer among the garbage would then wait
    for the device, and so for itself.
    """
    gc.disable()


_LEFT_OUT = pytest.StashKey[dict[str, int]]()
_ORDER = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for reason, count in config.stash.get(_LEFT_OUT, {}).items():
        terminalreporter.write_line(f"left out: {count}, since {reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    from .core import start_schedule

    item.stash[_ORDER] = start_schedule(item.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:  # noqa: ARG001
    """Work that a test leaves queued is done before the next test starts, and an error in it fails the test."""
    from .core import EMULATED, failures

    failures.clear()
    outcome = yield
    try:
        EMULATED.synchronize()
    except RuntimeError as error:  # a capture that a failing test has not ended
        failures.append(error)
    EMULATED.set_device(0)
    if gc.get_count()[0] > MUCH:
        gc.collect()
    if failures and outcome.excinfo is None:
        outcome.force_exception(failures[0])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    if call.excinfo is not None:
        outcome.get_result().sections.append(("the emulation's order", item.stash.get(_ORDER, "")))
