"""A run that goes on in a new process has the bits of an unbroken one, for every rule."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adamcore as ac
from checkpoints.resuming import AFTER, BEFORE, Run, resumed, runs
from places import ROOT
from reference import CASES

BY_NAME = {name: (case, way) for name, case, way in runs()}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Runs that were saved on their way, and what came out of each."""
    folder, digests = tmp_path_factory.mktemp("runs"), {}
    for name, case, way in runs():
        run = Run(case, way)
        run.go_on(0, BEFORE)
        ac.save(folder / name, run.optimizer, extra={"step": BEFORE, "rng": run.rng}, **run.parts())
        run.go_on(BEFORE, BEFORE + AFTER)
        digests[name] = run.digest()
    return folder, digests


@pytest.fixture(scope="module")
def broken(unbroken: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """What comes out of a new process that goes on with these files."""
    command = [sys.executable, "-m", "checkpoints.resuming", str(unbroken[0])]
    ran = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("name", BY_NAME)
def test_in_a_new_process(name: str, unbroken: tuple[Path, dict[str, str]], broken: dict[str, str]) -> None:
    assert broken[name] == unbroken[1][name]


def test_what_goes_on_matters(unbroken: tuple[Path, dict[str, str]]) -> None:
    """Without one of the parts, or with another file, something else comes out: the digest sees them."""
    folder, digests = unbroken
    name = f"{CASES[0].id}-stochastic"
    case, way = BY_NAME[name]
    assert resumed(folder / name, case, way) == digests[name]
    for left_out in ("scaler", "rng"):
        run = Run(case, way)
        parts = {key: part for key, part in run.parts().items() if key != left_out}
        extra = ac.load(folder / name, run.optimizer, strict=False, **parts)
        if left_out != "rng":
            run.rng = extra["rng"]
        run.go_on(BEFORE, BEFORE + AFTER)
        assert run.digest() != digests[name], left_out


def test_a_window_of_float64_leaves(tmp_path: Path) -> None:
    """A single leaf is kept as it was passed, in float64, and is saved so."""
    results = []
    for is_broken in (False, True):
        w = np.linspace(0, 1, 7).astype(np.float32)
        optimizer = ac.Adam({"w": w})
        optimizer.accumulate({"w": np.cos(np.arange(7.0))}, weight=0.3)
        if is_broken:
            optimizer.save(tmp_path / "run")
            w = np.zeros(7, np.float32)
            optimizer = ac.Adam({"w": w})
            optimizer.load(tmp_path / "run")
        optimizer.step({"w": np.ones(7)})
        results.append(w.tobytes())
    assert results[0] == results[1]
