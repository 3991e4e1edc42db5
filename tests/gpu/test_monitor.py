"""`Monitor` on a device: the CPU's findings and history, read when a step has statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import Library, Twins
from storage import F32

SHAPES = [(300,), (70, 60), ()]


def draw(rng: np.random.Generator, size: float) -> list[np.ndarray]:
    return [np.asarray(size * rng.standard_normal(shape)).astype(F32) for shape in SHAPES]


@pytest.mark.parametrize("stats_every", [8, None])
def test_findings_and_history(library: Library, rng: np.random.Generator, stats_every: int | None) -> None:
    def build(params: Any) -> ac.Optimizer:
        return ac.AdamW(params, lr=1e-3, clip_norm=1e6, nonfinite="skip")

    twins = Twins(library, build, draw(rng, 1.0))
    watches = [ac.Monitor(opt, window=32, stats_every=stats_every) for opt in (twins.cpu, twins.gpu)]
    found: list[list[ac.Finding]] = [[], []]
    still = draw(rng, 0.1)
    for i in range(120):
        grads = draw(rng, 0.1 if i % 40 != 30 else 50.0)
        grads[1] = 1e-6 * still[1]  # the only matrix, so nothing vanishes
        if 60 <= i < 70:
            grads[0][5] = np.nan
        infos = (
            twins.cpu.step(grads, stats=watches[0].wants_stats),
            twins.gpu.step([twins.place(g) for g in grads], stats=watches[1].wants_stats),
        )
        loss = np.asarray(1.0 + 0.001 * rng.standard_normal(), F32)
        losses = (float(loss), library.put(loss))
        for k in range(2):
            found[k] += watches[k].observe(losses[k], infos[k])
        assert watches[0].wants_stats == watches[1].wants_stats
    for watch, findings in zip(watches, found, strict=True):
        assert watch.findings == sorted(watch.findings, key=lambda finding: finding.step)
        assert findings == watch.findings[: len(findings)]
    kinds = {finding.kind for finding in watches[0].findings}
    assert {"plateau", "spike", "overflow_loop"} <= kinds
    assert watches[0].findings == watches[1].findings
    for column in ("step", "loss", "grad_norm", "skipped"):
        np.testing.assert_array_equal(watches[0].history[column], watches[1].history[column])
    assert watches[0].state_dict() == watches[1].state_dict()
