"""The stubs of the compiled modules."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import adamcore as ac
from pairs import EXHAUSTIVE
from places import ROOT


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes seven seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
@pytest.mark.parametrize("module", ["_core", "_cuda"])
def test_stubs_are_those_of_the_module(module: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(f"adamcore.{module}") is None:
        assert not ac.build_info()["cuda"]
        assert not (Path(ac._core.__file__).parent / f"{module}.pyi").exists()
        return
    allowed = tmp_path / "allowed"
    # Their metaclass is pybind11's; their members are still checked.
    allowed.write_text(
        "".join(
            f"adamcore.{module}.{name}\n"
            for name in (
                "HostOptimizer",
                "DeviceOptimizer",
                "Evaluator",
                "Paired",
                "Scaler",
                "SpikeHistory",
                "StatisticsReport",
                "StatisticsReport.__init__",
                "StepReport",
                "StepReport.__init__",
            )
        )
    )
    options = ["--allowlist", str(allowed), "--ignore-unused-allowlist"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", f"adamcore.{module}", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def members(stub: Path, owner: str) -> dict[str, str]:
    (found,) = [n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ClassDef) and n.name == owner]
    functions = {n.name: n for n in found.body if isinstance(n, ast.FunctionDef)}
    return {name: ast.unparse(node).replace("NDArray[Any]", "Any") for name, node in functions.items()}


def test_optimizers_of_both_modules_have_the_same_stub() -> None:
    """One C++ function defines what both have, so this finds what is missing where CUDA is not built."""
    host = members(ROOT / "python/adamcore/_core.pyi", "HostOptimizer")
    device = members(ROOT / "cuda/python/adamcore/_cuda.pyi", "DeviceOptimizer")
    assert set(device) - set(host) == {"device", "upload"}
    assert not set(host) - set(device)
    assert {name for name in host if device[name] != host[name]} == {"__init__", "step", "state"}
