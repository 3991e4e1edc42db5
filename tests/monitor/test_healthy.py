"""docs/experiments/healthy.py: in healthy runs the monitor finds nothing that is not so.

By default, and in CI, these are four runs; ADAMCORE_EXHAUSTIVE=all takes all 100.
"""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from adamcore._cli.training import one_thread
from pairs import WHOLE
from places import ROOT

FALSE = 0.05


@pytest.fixture(autouse=True)
def one_thread_only():
    with one_thread():
        yield


@pytest.fixture
def healthy(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "experiments")
    return import_module("healthy")


def test_false_findings(healthy):
    few = {"digits": 2, "autoencoder": 1, "convnet": 1, "transformer": 0}
    runs = {group: group.runs if WHOLE else few[group.name] for group in healthy.GROUPS}
    results = [result for group in healthy.GROUPS for result in healthy.measure(group, runs[group])]
    for kind in set(healthy.KINDS) - {"spike"}:
        false = [result.case for result in results if kind in result.false]
        assert len(false) <= FALSE * len(results), kind
    steps = sum(result.case.group.steps for result in results)
    assert sum(result.spikes for result in results) <= (0.0005 if WHOLE else 0.002) * steps


def test_the_script_prints_its_table(healthy, monkeypatch, capsys):
    group = healthy.GROUPS[0]._replace(steps=100)
    monkeypatch.setattr(healthy, "GROUPS", (group,))
    monkeypatch.setattr(sys, "argv", ["healthy.py", "--runs", "1"])
    assert healthy.main() == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row[:24].strip() for row in rows[2:-1]] == list(healthy.KINDS)


def test_numbers_of_runs_are_refused_before_the_work(healthy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["healthy.py", "--runs", "0"])
    with pytest.raises(SystemExit, match="2"):
        healthy.main()
    shown = capsys.readouterr()
    assert "at least 1" in shown.err
    assert shown.out == ""
