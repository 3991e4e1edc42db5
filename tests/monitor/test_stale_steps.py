"""Second moments of optimizers after a burst: they are found, and the evidence has the factor that mends them."""

from __future__ import annotations

import numpy as np
import pytest

import adamcore as ac


def stale_of(findings):
    return [(f.step, f.severity, f.tensor) for f in findings if f.kind == "stale"]


def burst(opt, mon, steps, factor, treat=None):
    """Step with signs as gradients, of another size for each parameter. Two have a burst in the steps 301 to 303."""
    rng = np.random.default_rng(1)
    sizes = {"w": 1.0, "slow": 1e-4, "other": 30.0}
    moved = []
    for step in range(1, steps + 1):
        scale = factor if 301 <= step <= 303 else 1.0
        grads = {name: rng.choice([-1.0, 1.0], (6, 6)) * size * scale for name, size in sizes.items()}
        grads["other"] /= scale
        info = opt.step(grads, stats=True)
        moved.append(info.stats)
        for finding in mon.observe(1.0, info):
            if treat is not None:
                treat(finding)
    return moved


def optimizers():
    zeros = {name: np.zeros((6, 6)) for name in ("w", "slow", "other")}
    groups = [{"params": {"w": zeros["w"]}}, {"params": {"slow": zeros["slow"], "other": zeros["other"]}, "lr": 1e-4}]
    options = {"lr": 1e-3, "eps": 1e-30}
    yield ac.AdamW(groups, weight_decay=0.0, **options)
    zeros = {name: np.zeros((6, 6)) for name in zeros}
    yield ac.Adam(zeros, amsgrad=True, **options)


@pytest.mark.parametrize("which", [0, 1], ids=["AdamW, two groups", "AMSGrad"])
def test_the_factor_in_the_evidence_makes_the_second_moment_that_of_the_gradients(which):
    opt = list(optimizers())[which]
    mon = ac.Monitor(opt, window=256)
    treated = []

    def treat(finding):
        if finding.kind == "stale" and finding.severity == "warning":
            treated.append((finding.step, finding.tensor))
            assert finding.evidence["c"] == 1 / finding.evidence["r"] ** 2
            opt.rescale_state(finding.evidence["c"], names=[finding.tensor])

    stats = burst(opt, mon, 420, 300.0, treat)
    assert sorted(treated) == [(377, "slow"), (377, "w")]
    sizes = np.array([{"w": 1.0, "slow": 1e-4, "other": 30.0}[name] for name in stats[0].names])
    averages = np.cumsum([0.001 * (300.0**2 if 301 <= k <= 303 else 1.0) / 0.999**k for k in range(1, 378)])
    averages *= 0.999 ** np.arange(1, 378)
    second = (averages[-1] if which == 0 else averages.max()) / (1 - 0.999**377)
    assert stats[376].second_rms / sizes == pytest.approx([second**0.5, second**0.5, 1.0], rel=1e-9)
    for step in (377, 378, 385):
        assert stats[step].second_rms / sizes == pytest.approx(np.ones(3), rel=0.01)
    # Steps are as long as usual again, once the first moment has got present gradients. AMSGrad's are, too.
    usual, later = (
        np.median([s.update_rms for s in stats[part]], axis=0) for part in (slice(200, 300), slice(397, 420))
    )
    assert later / usual == pytest.approx(np.ones(3), rel=0.3)
    assert stale_of(mon.findings) == [(313, "note", "w"), (313, "note", "slow")] + [
        (step, "warning", name) for step, name in treated
    ]


def test_it_is_over_after_rescaling():
    opt = next(optimizers())
    mon = ac.Monitor(opt, window=256)

    def treat(finding):
        if finding.kind == "stale" and finding.severity == "note":
            opt.rescale_state(finding.evidence["c"], names=finding.tensor)

    burst(opt, mon, 700, 300.0, treat)
    assert stale_of(mon.findings) == [(313, "note", "w"), (313, "note", "slow")]
    assert mon.state_dict()["tensors"]["stale"]["stale"] == []


def test_a_rule_without_a_second_moment_costs_no_memory():
    w = np.ones((4, 4))
    opt = ac.SGD({"w": w}, lr=0.1, momentum=0.9)
    mon = ac.Monitor(opt, stats_every=1)
    rng = np.random.default_rng(0)
    for i in range(400):
        grad = rng.standard_normal((4, 4)) * (300 if i == 200 else 1)
        mon.observe(1.0, opt.step({"w": grad}, stats=mon.wants_stats and mon.columns))
    assert stale_of(mon.findings) == []
    assert mon.state_dict()["tensors"]["stale"] == {"grads": [], "ratios": [], "levels": [], "counts": [0], "stale": []}
