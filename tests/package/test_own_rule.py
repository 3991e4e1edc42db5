"""docs/own-rules.md: its code is that of examples/own_rule, which compiles against the installed package and runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from builds import import_from
from places import ROOT

EXAMPLE = ROOT / "examples" / "own_rule"


def test_the_page_shows_the_files() -> None:
    page = (ROOT / "docs" / "own-rules.md").read_text()
    shown = dict(re.findall(r"`([\w.]+)`[^`\n]*(?:\n[^`]+)?:\n\n```\w+\n(.*?)```", page, re.DOTALL))
    assert shown == {path.name: path.read_text() for path in EXAMPLE.iterdir() if path.is_file()}


def test_the_program_finds_the_minimum(own_rule: Path) -> None:
    done = subprocess.run([own_rule / "train"], capture_output=True, text=True, check=True)
    assert "after 400 steps: 0.00" in done.stdout


def test_the_module_trains(own_rule: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(own_rule)}
    subprocess.run([sys.executable, "-W", "error", EXAMPLE / "use.py"], env=environment, check=True)


def test_the_module_computes_the_rule(own_rule: Path, rng: np.random.Generator) -> None:
    module = import_from("own_rule", own_rule)
    for shape in ((1,), (37, 53), (9000,)):
        p, buffer = rng.standard_normal(shape).astype(np.float32), np.zeros(shape, np.float32)
        expected, average = p.astype(np.float64), np.zeros(shape)
        for t in range(1, 11):
            g = rng.standard_normal(shape).astype(np.float32)
            module.step(p, g, buffer, t, lr=0.1, momentum=0.8)
            average = 0.8 * average + 0.2 * g
            expected -= 0.1 * average / np.linalg.norm(average)
        np.testing.assert_allclose(p, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError):
        module.step(p.astype(np.float64), g, buffer, 1)
    with pytest.raises(ValueError, match="must have the size of param"):
        module.step(p, g[1:], buffer, 1)
