"""docs/experiments/lr_finder.py: suggestions of `lr_finder` are near the best rate of a grid."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from pairs import WHOLE
from places import ROOT

MOST = {"steepest": 1.37, "minimum/10": 1.54, "valley": 1.90}
"""The largest losses at the suggestions, relative to the best of a grid, on the nets of the specification."""


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "docs" / "experiments")
    import lr_finder

    if not WHOLE:
        name = "digits, tanh 64"
        monkeypatch.setattr(lr_finder, "NETS", {name: lr_finder.NETS[name]._replace(steps=100)})
    return lr_finder


def test_suggestions_keep_to_the_specified_table(
    experiment: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["lr_finder.py", *([] if WHOLE else ["--seeds", "1"])])
    experiment.main()
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split("|")[3:-1:2]] == [f"{way}: rate" for way in MOST]
    assert len(rows) == len(experiment.NETS)
    for row in rows:
        _, best, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert 1e-4 < float(best) < 0.2
        for rate, loss, most in zip(cells[::2], cells[1::2], MOST.values(), strict=True):
            assert 1e-4 < float(rate) < 0.2
            assert 0.9 <= float(loss) <= most + (0 if WHOLE else 0.6)
