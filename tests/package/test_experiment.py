"""docs/experiments/precision.py: its arithmetic, and whether docs/precision.md agrees with it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from helpers import numeric_gradient
from pairs import EXHAUSTIVE
from places import ROOT

DOCS = ROOT / "docs"
PNG = b"\x89PNG\r\n\x1a\n"
CURED = (
    "bfloat16, master",
    "bfloat16, remainder",
    "bfloat16, stochastic",
    "bfloat16, compensated",
    "float16, master, loss scaling",
    "float16, nearest, loss scaling",
)
FAILING = ("bfloat16, nearest", "float16, master, no scaling")


@pytest.fixture
def half_network(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "experiments")
    import half_network

    return half_network


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes eight seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_a_short_run_prints_every_row_and_draws_the_curves(tmp_path):
    script = DOCS / "experiments" / "precision.py"
    command = [sys.executable, str(script), "--steps", "150", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "bit for bit: True" in done.stdout

    picture = tmp_path / "precision.png"
    assert picture.read_bytes().startswith(PNG)
    assert 20_000 < picture.stat().st_size < 150_000

    lines = done.stdout.splitlines()
    losses = {line[:30].rstrip(): float(line[30:].split()[0]) for line in lines[1 : lines.index("")]}
    assert sorted(losses) == sorted(("float32", *CURED, *FAILING))
    assert losses["float32"] < 1.6
    for name in CURED:
        assert losses[name] == pytest.approx(losses["float32"], rel=0.05), name
    for name in FAILING:
        assert losses[name] > 1.9, name

    text = (DOCS / "precision.md").read_text(encoding="utf-8")
    for name in losses:
        assert f"\n{name:30}  " in text


def test_counts_of_steps_are_refused_before_training():
    command = [sys.executable, str(DOCS / "experiments" / "precision.py"), "--steps", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "at least 1" in done.stderr
    assert done.stdout == ""


def test_rounding_to_float16_is_numpys(half_network):
    rng = np.random.default_rng(0)
    everyday = rng.standard_normal(10_000).astype(np.float32) * 10.0 ** rng.integers(-12, 6, 10_000)
    halves = np.arange(0, 4096, dtype=np.float32) * np.float32(2.0**-26)  # ties among subnormals, and beside them
    edges = np.array([0, 2.0**-14, np.nextafter(np.float32(2.0**-14), np.float32(0)), 65519, 65520, np.inf])
    values = np.concatenate([everyday, halves, edges]).astype(np.float32)
    with np.errstate(over="ignore"):
        for each in (values, -values):
            assert (half_network.rounded(each, np.float16) == each.astype(np.float16)).all()


@pytest.mark.parametrize("name", ["w0", "b0", "w1", "b1", "w2", "b2"])
def test_gradients_are_the_finite_differences_of_the_loss(half_network, name):
    rng = np.random.default_rng(3)
    params = half_network.init_params(rng, (5, 7, 6, 4), np.float64)
    x, labels = rng.standard_normal((8, 5)), rng.integers(0, 4, 8)
    _, grads = half_network.loss_and_grads(params, x, labels, 1 / 8)

    numeric = numeric_gradient(lambda moved: half_network.evaluate(moved, x, labels)[0], params, name)
    np.testing.assert_allclose(grads[name], numeric, rtol=1e-6, atol=1e-9)


def test_everything_is_kept_in_half_precision_and_starts_from_the_same_weights(half_network):
    import ml_dtypes

    networks = [
        half_network.init_params(np.random.default_rng(0), (64, 64, 10), dtype)
        for dtype in (np.float32, ml_dtypes.bfloat16, np.float16)
    ]
    x, labels = np.ones((4, 64), np.float32), np.arange(4)
    for params in networks:
        _, grads = half_network.loss_and_grads(params, x, labels, 1 / 4)
        for name, p in params.items():
            assert (p.astype(np.float32) == networks[0][name]).all()
            assert (grads[name].dtype, grads[name].shape) == (p.dtype, p.shape)
