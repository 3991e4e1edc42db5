"""docs/experiments/tuning.py: `tune` finds better numbers than random search with as many steps."""

from __future__ import annotations

import re
import sys
from functools import partial
from statistics import fmean

import pytest

import adamcore as ac
from adamcore._cli import digits
from pairs import WHOLE
from places import ROOT

EXPERIMENTS = ROOT / "docs" / "experiments"


@pytest.fixture
def tuning(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    import tuning

    return tuning


def test_every_search_has_the_same_steps_and_says_what_fit_gives(tuning):
    for found in (tuning.random_search(3, 0), tuning.search(3, "asha")):
        rule = partial(ac.AdamW, **found.best[0])
        run = ac.fit(digits, rule, steps=240, seed=3, validate_every=240, progress=None)
        assert run.history["val_loss"][-1] == found.value
    assert found.whole < found.trials


@pytest.mark.skipif(not WHOLE, reason="takes a minute: ADAMCORE_EXHAUSTIVE=all runs it")
def test_tune_is_mostly_better_than_random_search(tuning, monkeypatch, capsys):
    command = ["tuning.py", "--repetitions", "10", "--only", "tune", "--no-new-seeds"]
    monkeypatch.setattr(sys, "argv", command)
    assert tuning.main() == 0
    printed = capsys.readouterr().out
    (wins,) = re.findall(r"^tune .* (\d+) of 50 ", printed, re.MULTILINE)
    values = [list(map(float, line.split()))[1:] for line in printed.splitlines()[-10:]]
    assert sum(ours < random for *draws, ours in values for random in draws) == int(wins)
    assert int(wins) >= 33  # of which the page says that it is about 40
    assert fmean(ours for *_, ours in values) < 0.9 * fmean(random for *draws, _ in values for random in draws)


def test_the_page_has_the_ranges_of_the_table(tuning):
    text = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    for name in ("random", *tuning.PRUNERS):
        assert f"\n{name:16}  " in text
