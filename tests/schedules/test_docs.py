"""docs/schedules.md and its pictures show every family."""

from __future__ import annotations

import re
import sys

import pytest

from adamcore import schedules
from adamcore._state_dicts.saved_schedules import parts_of
from pairs import EXHAUSTIVE
from places import ROOT

DOCS = ROOT / "docs"
TEXT = (DOCS / "schedules.md").read_text(encoding="utf-8")
PNG = b"\x89PNG\r\n\x1a\n"
METHODS = {"Product": "*", "Sum": "+", "Clip": "clip", "Shift": "shift", "Stretch": "stretch", "Every": "every"}


@pytest.fixture
def script(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(DOCS / "experiments")
    import schedules

    yield schedules
    del sys.modules["schedules"]


def test_the_script_draws_the_pictures_of_the_page(script, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["schedules.py", "--output", str(tmp_path)])
    names = {f"schedules-{name}.png" for name in (*script.PICTURES, "plateau")}
    assert names == set(re.findall(r"\(images/(schedules-.*?\.png)\)", TEXT))
    if not EXHAUSTIVE:
        monkeypatch.setattr(script, "PICTURES", {"cycles": script.PICTURES["cycles"]})
        names = {"schedules-cycles.png", "schedules-plateau.png"}
    assert script.main() == 0
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in names:
        for picture in (tmp_path / name, DOCS / "images" / name):
            assert picture.read_bytes().startswith(PNG)
            assert 20_000 < picture.stat().st_size < 100_000


def test_every_family_is_drawn(script):
    drawn = {
        type(part).__name__
        for panels in script.PICTURES.values()
        for panel in panels.values()
        for s in panel.values()
        for _, part in parts_of(s)
    }
    assert drawn | {"ReduceOnPlateau", "Plateau", "Schedule", "register"} == set(schedules.__all__)


def test_the_page_names_every_family():
    for name in schedules.__all__:
        assert METHODS.get(name, name) in TEXT, name


def test_the_plot_of_the_page_is_the_commands(capsys):
    from adamcore import __main__ as cli

    (text,) = re.findall(r'^python -m adamcore schedule "(.*)"$', TEXT, re.MULTILINE)
    assert cli.main(["schedule", text]) == 0
    assert f"```\n{capsys.readouterr().out}```" in TEXT
