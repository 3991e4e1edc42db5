"""docs/experiments/tuning.py: `tune` finds better numbers than random search with as many steps."""

from __future__ import annotations

import re
import sys
from functools import partial

import pytest

import adamcore as ac
from adamcore._cli import digits
from pairs import EXHAUSTIVE
from places import ROOT

EXPERIMENTS = ROOT / "docs" / "experiments"


@pytest.fixture
def tuning(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    import tuning

    return tuning


def test_every_search_has_the_same_steps_and_says_what_fit_gives(tuning):
    for found in (tuning.random_search(3), tuning.search(3, "asha")):
        rule = partial(ac.AdamW, **found.numbers)
        run = ac.fit(digits, rule, steps=240, seed=3, validate_every=240, progress=None)
        assert run.history["val_loss"][-1] == found.value
    assert found.whole < found.trials


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes half a minute: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
@pytest.mark.parametrize("first", [0, 100])
def test_tune_is_better_than_random_search_in_four_of_five(tuning, monkeypatch, capsys, first):
    command = ["tuning.py", "--repetitions", "5", "--first", str(first), "--only", "tune", "--no-new-seeds"]
    monkeypatch.setattr(sys, "argv", command)
    assert tuning.main() == 0
    printed = capsys.readouterr().out
    (wins,) = re.findall(r"^tune .* (\d) of 5 ", printed, re.MULTILINE)
    assert int(wins) >= 4
    values = [line.split() for line in printed.splitlines()[-5:]]
    assert sum(float(ours) < float(random) for _, random, ours in values) == int(wins)


def test_the_page_has_the_ranges_of_the_table(tuning):
    text = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    for name in ("random", *tuning.PRUNERS):
        assert f"\n{name:16}  " in text
