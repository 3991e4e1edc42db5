"""docs/experiments/findings.py: whether each trouble is found where it is and only there, and docs/monitoring.md."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from struct import unpack
from typing import get_args

import numpy as np
import pytest

import adamcore as ac
from adamcore._cli.training import one_thread
from adamcore.monitor.finding import Severity
from pairs import EXHAUSTIVE
from places import ROOT

DOCS = ROOT / "docs"
SCRIPT = DOCS / "experiments" / "findings.py"
PNG = b"\x89PNG\r\n\x1a\n"
KINDS = {
    "plateau": "warning",
    "saddle": "warning",
    "vanishing": "warning",
    "dead": "warning",
    "spike": "note",
    "exploding": "stop",
    "overflow_loop": "warning",
    "lost": "warning",
    "stale": "note",
    "lr_small": "note",
    "lr_large": "note",
    "overfitting": "warning",
}
# The step of the first finding, where it does not depend on the last bits of losses: the first that is possible.
EARLIEST = {
    "saddle": 400,
    "vanishing": 49,
    "spike": 150,
    "exploding": 203,
    "overflow_loop": 6,
    "lost": 201,
    "stale": 313,
    "lr_small": 129,
}


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "experiments")
    return import_module("findings_scenes")


def run(*arguments, cwd):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def size_of(picture):
    return unpack(">II", picture.read_bytes()[16:24])


def section_of(kind):
    text = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^### {kind}\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    return section


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes ten seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_the_script_prints_a_line_and_draws_a_picture_for_each_kind(tmp_path):
    done = run("--output", tmp_path / "pictures", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [re.match(r"step \d+: (\w+): (\w+)", line).groups() for line in lines] == [
        (severity, kind) for kind, severity in KINDS.items()
    ]
    pictures = {path.name: path for path in (tmp_path / "pictures").iterdir()}
    assert set(pictures) == {f"finding-{kind}.png" for kind in KINDS}
    for name, picture in pictures.items():
        assert picture.read_bytes().startswith(PNG), name
        assert 10_000 < picture.stat().st_size < 70_000, name
        assert size_of(picture) == size_of(DOCS / "images" / name), name
    assert {path.name for path in tmp_path.iterdir()} == {"pictures"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_trouble_is_found_and_a_healthy_run_does_not_have_it(experiment, kind):
    with one_thread(), np.errstate(over="ignore", invalid="ignore"):
        scene = experiment.SCENES[kind](1)
    finding = scene.troubled.first(kind)
    assert finding is not None
    assert scene.healthy.first(kind) is None
    assert finding.severity == KINDS[kind]
    assert finding.step == EARLIEST.get(kind, finding.step)
    assert scene.healthy.losses[-50:].mean() < scene.troubled.losses[-50:].mean() or kind in ("plateau", "overfitting")


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes three seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_only_one_kind_and_its_picture(tmp_path):
    done = run("--only", "spike", "--output", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("step 150: note: spike (")
    assert [path.name for path in tmp_path.iterdir()] == ["finding-spike.png"]


def test_kinds_that_do_not_exist_are_refused(tmp_path):
    done = run("--only", "spikes", cwd=tmp_path)
    assert done.returncode == 2
    assert "overfitting" in done.stderr


def test_what_was_not_found_makes_the_script_fail(experiment, monkeypatch, tmp_path, capsys):
    findings = import_module("findings")
    swapped = experiment.lr_small(0)
    swapped = type(swapped)(swapped.kind, swapped.healthy, swapped.troubled, swapped.panels)
    monkeypatch.setitem(experiment.SCENES, "lr_small", lambda _: swapped)
    monkeypatch.setattr(sys, "argv", ["findings.py", "--only", "lr_small", "--output", str(tmp_path)])
    assert findings.main() == 1
    printed = capsys.readouterr().out
    assert "lr_small was not found" in printed
    assert "the healthy run was reported too" in printed


def test_the_seed_decides_every_number(experiment):
    with one_thread():
        one, again, other = (experiment.SCENES["lr_small"](seed) for seed in (3, 3, 4))
    assert one.troubled.losses.tolist() == again.troubled.losses.tolist()
    assert one.troubled.monitor.findings == again.troubled.monitor.findings
    assert one.troubled.losses.tolist() != other.troubled.losses.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_a_section_with_a_picture_for_each_kind(kind):
    section = section_of(kind)
    ((alternative, path),) = re.findall(r"^!\[(.+)\]\((.+)\)$", section, re.MULTILINE)
    assert path == f"images/finding-{kind}.png"
    assert len(alternative) > 60
    assert (DOCS / path).read_bytes().startswith(PNG)
    assert section.count("**What to do.**") == 1
    assert section.count("**When to ignore it.**") == 1


def test_the_page_and_the_monitor_name_the_same_kinds():
    text = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == list(KINDS)
    assert set(re.findall(r'"(\w+)"', ac.Finding.__doc__.partition("step : int")[0])) == set(KINDS)
    assert all(f'"{severity}": ' in text for severity in get_args(Severity))


def test_the_pictures_are_small():
    assert sum(path.stat().st_size for path in (DOCS / "images").glob("finding-*.png")) < 700_000
