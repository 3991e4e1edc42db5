"""A checkpoint that is of another run than the one that goes on from it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import adamcore as ac
from small_problems import Line


def first(folder, **options):
    return ac.fit(Line(), partial(ac.SGD, lr=0.01), epochs=1, checkpoints=folder, progress=None, **options)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (partial(ac.AdamW, lr=0.01), {}, "AdamW"),
        (partial(ac.SGD, lr=0.01, nesterov=True, momentum=0.9), {"monitor": True}, "monitor"),
        (partial(ac.SGD, lr=0.01), {"early_stopping": ac.EarlyStopping("min")}, "early_stopping"),
    ],
)
def test_what_does_not_fit_is_refused_with_advice_and_changes_nothing(tmp_path, make, options, message):
    first(tmp_path)
    with pytest.raises(
        ValueError, match=f"(?s)fit: the checkpoint in .* does not fit: .*{message}.*use another folder"
    ):
        ac.fit(Line(), make, epochs=2, checkpoints=tmp_path, progress=None, **options)
    assert ac.fit(Line(), partial(ac.SGD, lr=0.01), epochs=2, checkpoints=tmp_path, progress=None).step == 14


def test_other_numbers_than_the_saved_ones_are_warned_of(tmp_path, capsys):
    first(tmp_path)
    with pytest.warns(UserWarning, match=r"numbers are used: lr=0.01, not 5.0; momentum=0.0, not"):
        run = ac.fit(Line(), partial(ac.SGD, lr=5.0, momentum=0.5), epochs=2, checkpoints=tmp_path, progress="lines")
    assert run.opt.param_groups[0]["lr"] == 0.01
    assert f"fit: goes on from step 7, from {tmp_path}" in capsys.readouterr().err


def test_a_text_is_no_problem():
    with pytest.raises(TypeError, match=r"must be a module or an object, got .*osc.*: import it first"):
        ac.fit("osc.py", ac.SGD, steps=1)


@pytest.mark.parametrize("lr", [1e-3, 3e-4, 1e-4, 1e-5])
def test_a_rate_that_is_far_too_small_is_not_to_be_lowered(lr):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 8))
    y = x @ np.arange(8.0)
    params = {"w": np.zeros((8, 1))}
    opt = ac.AdamW(params, lr=lr)
    mon = ac.Monitor(opt)
    for _ in range(600):
        error = x @ params["w"] - y[:, None]
        info = opt.step({"w": 2 * x.T @ error / len(x)}, stats=mon.wants_stats)
        mon.observe(float(np.square(error).mean()), info)
    assert "lr_small" in [finding.kind for finding in mon.findings]
    for finding in mon.findings:
        if finding.kind == "plateau":
            assert "may be far too small" in finding.advice
