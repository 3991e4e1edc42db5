"""docs/experiments/escapes.py: what gets out of where, and what a policy makes of networks that are stuck.

By default, and in CI, these are few runs; ADAMCORE_EXHAUSTIVE=all takes as many as the specification's tables.
"""

from __future__ import annotations

import sys
from importlib import import_module
from statistics import median

import pytest

from adamcore._cli.training import one_thread
from pairs import WHOLE
from places import ROOT

SEEDS = range(6 if WHOLE else 1)
SADDLES = range(12 if WHOLE else 3)


@pytest.fixture(autouse=True)
def one_thread_only():
    with one_thread():
        yield


@pytest.fixture
def experiments(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "experiments")


@pytest.fixture
def functions(experiments):
    del experiments  # which finds it
    return import_module("escaping.functions")


@pytest.fixture
def nets(experiments):
    del experiments
    return import_module("escaping.nets")


def steps_of(functions, place, name, seeds=SADDLES):
    treatment = import_module("escaping.treatments").TREATMENTS[name]
    return [functions.steps_until_left(place, treatment, seed) for seed in seeds]


@pytest.mark.parametrize("place", ["x^2 - y^2 + y^4", "monkey saddle"])
def test_a_stale_second_moment_on_a_ridge_is_cured_by_a_reset_and_fastest_by_curvature(functions, place):
    nothing, jolt, reset, noise, curvature = (
        median(steps_of(functions, place, name))
        for name in ("nothing", "jolt", "reset", "perturb + reset", "along_curvature")
    )
    assert curvature < reset <= nothing / 5
    assert noise <= nothing / 5
    assert jolt > nothing / 2, "the first thing that everybody tries"


def test_an_exact_saddle_needs_noise_or_curvature(functions):
    seeds = range(20 if WHOLE else 4)
    for name in ("nothing", "jolt", "reset"):
        assert steps_of(functions, "factorisation", name, seeds[:2]) == [None, None]
    for name in ("perturb", "perturb + reset", "along_curvature"):
        assert None not in steps_of(functions, "factorisation", name, seeds)


def test_poor_minima_need_new_weights(functions):
    treatments = import_module("escaping.treatments").TREATMENTS
    stuck = [s for s in range(60 if WHOLE else 5) if not functions.solves_xor(treatments["nothing"], s)[0]]
    assert len(stuck) >= 2
    solved = {
        name: sum(functions.solves_xor(treatments[name], seed)[1] for seed in stuck) for name in ("jolt", "restart")
    }
    assert solved["jolt"] == 0
    assert solved["restart"] >= len(stuck) / 2


def test_vanishing_gradients_need_another_beginning(nets):
    treatments = import_module("escaping.treatments").TREATMENTS
    noise = median(nets.treated(nets.VANISHING, treatments["perturb + reset"], seed) for seed in SEEDS)
    anew = median(
        nets.treated(nets.VANISHING, treatments["restart"], seed, init=nets.WELL_BEGUN.init) for seed in SEEDS
    )
    assert anew < 0.2
    assert noise > 0.7


@pytest.mark.parametrize(("window", "tol"), [(256, 0.01), (128, 0.02)])
def test_with_a_policy_identical_units_become_different(nets, window, tol):
    ends = [nets.train(nets.IDENTICAL["tanh"], seed, policy=True, window=window, tol=tol) for seed in SEEDS]
    assert sum(end.loss < 0.3 for end in ends) >= (5 if WHOLE else 1)
    assert all(nets.train(nets.IDENTICAL["tanh"], seed, policy=False).loss > 1.2 for seed in SEEDS)


def test_a_policy_never_makes_relus_worse(nets):
    for seed in SEEDS:
        without, with_one = (nets.train(nets.IDENTICAL["relu"], seed, policy=policy) for policy in (False, True))
        assert with_one.loss <= 1.05 * without.loss


def test_a_policy_leaves_healthy_runs_alone(nets):
    for case in nets.healthy_cases(20 if WHOLE else 2):
        plain, before = nets.run_healthy(case, policy=False)
        watched, after = nets.run_healthy(case, policy=True)
        if any(act.done for act in watched.monitor.acts):
            assert after <= 1.01 * before
        else:
            assert nets.same_bits(plain, watched)


@pytest.mark.usefixtures("experiments")
def test_the_script_prints_each_table_and_refuses_others(monkeypatch, capsys):
    escapes = import_module("escapes")
    monkeypatch.setattr(sys, "argv", ["escapes.py", "saddles", "--runs", "1"])
    assert escapes.main() == 0
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines()][-2] == ["factorisation", "0/1"]
    monkeypatch.setattr(sys, "argv", ["escapes.py", "cliffs"])
    with pytest.raises(SystemExit, match="2"):
        escapes.main()
    assert set(escapes.TABLES) == {"saddles", "xor", "networks", "policy", "healthy"}
