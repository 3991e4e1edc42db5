"""One run for each finding of a `Monitor` that has the trouble, and runs that do not have it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from findings_pictures import BAD, GOOD, OTHER, Curve, Panel, losses, steps_of
from findings_runs import Changed, HalfGradients, Maker, Stored, Watched, watch
from problems import autoencoder
from problems.layers import Layers
from problems.parts import digits

import adamcore as ac
from adamcore._cli.network import Array, Params


@dataclass(frozen=True)
class Scene:
    """A run in trouble, one that is not, and what is drawn of them."""

    kind: str
    troubled: Watched
    healthy: Watched
    panels: tuple[Panel, ...]


def plateau(seed: int = 0) -> Scene:
    """Train with a constant rate that is too large for the end; lower it when the plateau is found."""
    options: dict[str, Any] = {"steps": 800, "seed": seed, "window": 128, "tol": 0.02}

    def lower(finding: ac.Finding, opt: ac.Optimizer) -> None:
        if finding.kind == "plateau":
            opt.param_groups[0]["lr"] = 0.002

    troubled = watch(autoencoder, _adamw(0.02), **options)
    lowered = watch(autoencoder, _adamw(0.02), on_finding=lower, **options)
    healthy = watch(autoencoder, _adamw(0.001), **options)
    curves = (
        losses("rate 0.02", troubled, BAD),
        losses("rate 0.02, and 0.002 after the report", lowered, GOOD),
        losses("rate 0.001: slower, but still falling", healthy, OTHER),
    )
    return Scene("plateau", troubled, healthy, (Panel("training loss", curves, range=(0.25, 1.0)),))


def saddle(seed: int = 0) -> Scene:
    """Train 16 units that begin equal; ask at step 400 and go on; leave the place then; and train different units."""
    equal, different = (Layers((16,), "tanh", identical=identical) for identical in (True, False))
    rows = np.random.default_rng(0).permutation(len(digits().x))[:512]
    batch = digits().x[rows], digits().labels[rows]
    lines: list[tuple[Array, Array, Array]] = []

    def ask(step: int, params: Params, monitor: ac.Monitor) -> None:
        if step == _ASKED_AT:
            found = monitor.curvature(equal.loss_and_grad, batch)
            lines.append(_losses_along(equal, params, batch, found.direction))

    def leave(step: int, _: Params, monitor: ac.Monitor) -> None:
        if step == _ASKED_AT:
            ac.escape.along_curvature(monitor._opt, equal.loss_and_grad, batch, seed=seed)

    options: dict[str, Any] = {"steps": 1000, "seed": seed}
    troubled = watch(equal, _adamw(3e-3), after=ask, **options)
    left = watch(equal, _adamw(3e-3), after=leave, **options)
    healthy = watch(different, _adamw(3e-3), after=ask, **options)
    moves, along, down = lines[0]
    panels = (
        Panel(
            "training loss",
            (
                losses("16 equal units", troubled, BAD),
                losses("moved along the curvature", left, GOOD),
                losses("16 different units", healthy, OTHER),
            ),
        ),
        Panel(
            f"loss of 512 images around step {_ASKED_AT}",
            (Curve(moves, along, "along the curvature", GOOD), Curve(moves, down, "along the gradient", BAD)),
            x_label="move, relative to the weights",
            range=(1.55, 1.8),
            marked=False,
        ),
    )
    return Scene("saddle", troubled, healthy, panels)


def vanishing(seed: int = 0) -> Scene:
    """Train eight layers with sigmoids, and with tanh."""
    sigmoid, tanh = (watch(Layers((32,) * 8, name), _adamw(3e-3), steps=500, seed=seed) for name in ("sigmoid", "tanh"))
    found = _step_of(sigmoid, "vanishing")
    sizes = [
        Curve(range(1, 10), _matrix_sizes(run, found), name, style, marker="o")
        for run, name, style in ((sigmoid, "sigmoid", BAD), (tanh, "tanh", GOOD))
    ]
    panels = (
        Panel("training loss", (losses("sigmoid", sigmoid, BAD), losses("tanh", tanh, GOOD))),
        Panel(f"gradient (rms) at step {found}", tuple(sizes), x_label="layer", log=True, marked=False),
    )
    return Scene("vanishing", sigmoid, tanh, panels)


def dead(seed: int = 0) -> Scene:
    """Train a network of ReLUs with a rate that kills them in the first steps, and with a usual one."""
    problem = Layers((64, 64), "relu")
    troubled, healthy = (watch(problem, _adamw(lr), steps=400, seed=seed) for lr in (0.5, 3e-3))
    zeros = [
        Curve([step for step, _ in run.statistics], [stats.zero[0] for _, stats in run.statistics], name, style)
        for run, name, style in ((troubled, "rate 0.5", BAD), (healthy, "rate 0.003", GOOD))
    ]
    panels = (
        Panel("training loss", (losses("rate 0.5", troubled, BAD), losses("rate 0.003", healthy, GOOD)), log=True),
        Panel("share of zeros in the gradient of w0", tuple(zeros), range=(-0.04, 1.04)),
    )
    return Scene("dead", troubled, healthy, panels)


def spike(seed: int = 0) -> Scene:
    """Train with a few broken batches: their images are 30 times too bright, and their labels are wrong."""
    network = Layers((64,), "relu")
    broken = Changed(network, (150, 250), lambda batch: (30 * batch[0], (batch[1] + 1) % 10))
    options: dict[str, Any] = {"steps": 400, "seed": seed}
    troubled = watch(broken, _sgd(0.05, lambda: math.inf), **options)
    guarded = watch(broken, _sgd(0.05, lambda: ac.SpikeGuard(action="skip")), **options)
    healthy = watch(network, _sgd(0.05, lambda: math.inf), **options)
    runs = ((troubled, "two broken batches", BAD), (guarded, "the same, with a SpikeGuard", GOOD))
    return Scene("spike", troubled, healthy, _loss_and_norm(runs))


def exploding(seed: int = 0) -> Scene:
    """Train an autoencoder with one batch that is 30 times too bright."""
    broken = Changed(autoencoder, (200,), lambda batch: 30 * batch)
    options: dict[str, Any] = {"steps": 300, "seed": seed}
    troubled = watch(broken, _sgd(0.03, lambda: math.inf), **options)
    healthy = watch(broken, _sgd(0.03, lambda: ac.SpikeGuard(action="skip")), **options)
    runs = ((troubled, "one broken batch", BAD), (healthy, "the same, with a SpikeGuard", GOOD))
    return Scene("exploding", troubled, healthy, _loss_and_norm(runs))


def overflow_loop(seed: int = 0) -> Scene:
    """Train with float16 gradients and a constant loss scale that is too large, and with a `LossScaler`."""
    problem = HalfGradients(Layers())
    scales: tuple[Any, ...] = (2.0**20, ac.LossScaler())
    troubled, healthy = (watch(problem, _adamw(3e-3), steps=400, seed=seed, loss_scale=scale) for scale in scales)
    runs = ((troubled, "loss scale 2**20", BAD), (healthy, "ac.LossScaler()", GOOD))
    skips = [steps_of(name, _skips(run), style) for run, name, style in runs]
    panels = (
        Panel("training loss", tuple(losses(name, run, style) for run, name, style in runs)),
        Panel("skipped of the last 20 steps", tuple(skips), limit=(5, "limit: 5"), range=(-0.8, 20.8)),
    )
    return Scene("overflow_loop", troubled, healthy, panels)


def lost(seed: int = 0) -> Scene:
    """Train bfloat16 parameters without a master and with one, and float32 ones."""
    problem = Stored(Layers(), ml_dtypes.bfloat16)
    options: dict[str, Any] = {"steps": 600, "seed": seed, "measure": _unmoved}
    nearest, master = (
        watch(problem, _adamw(2e-4, precision=precision), **options)
        for precision in (ac.Precision(master=None), ac.Precision(master="float32"))
    )
    healthy = watch(Layers(), _adamw(2e-4), **options)
    runs = ((nearest, "bfloat16", BAD), (master, "bfloat16, float32 master", GOOD), (healthy, "float32", OTHER))
    panels = (
        Panel("training loss", tuple(losses(name, run, style) for run, name, style in runs)),
        Panel(
            "weights that have not moved",
            tuple(steps_of(name, run.measured, style) for run, name, style in runs),
            range=(-0.04, 1.04),
        ),
    )
    return Scene("lost", nearest, healthy, panels)


def stale(seed: int = 0) -> Scene:
    """Train with three broken batches; rescale the moments at the warning; and skip the batches."""
    broken = Changed(Layers((64,), "relu"), (300, 301, 302), lambda batch: (30 * batch[0], (batch[1] + 1) % 10))
    options: dict[str, Any] = {"steps": 700, "seed": seed}

    def rescale(finding: ac.Finding, opt: ac.Optimizer) -> None:
        if finding.kind == "stale" and finding.severity == "warning":
            opt.rescale_state(finding.evidence["c"], names=[finding.tensor])

    troubled = watch(broken, _adamw(3e-3), **options)
    rescaled = watch(broken, _adamw(3e-3), on_finding=rescale, **options)
    healthy = watch(broken, lambda params: ac.AdamW(params, lr=3e-3, clip_norm=ac.SpikeGuard(action="skip")), **options)
    runs = (
        (troubled, "three broken batches", BAD),
        (rescaled, "rescaled at the warnings", GOOD),
        (healthy, "batches skipped", OTHER),
    )
    panels = (
        Panel(
            "training loss", tuple(losses(name, run, style) for run, name, style in runs), log=True, range=(0.02, 10)
        ),
        Panel(
            "second moment of w0, relative to gradients",
            tuple(Curve(*_second_moments(run), name, style) for run, name, style in runs),
            log=True,
            limit=(3, "limit: 3"),
            range=(0.7, 2000),
        ),
    )
    return Scene("stale", troubled, healthy, panels)


def lr_small(seed: int = 0) -> Scene:
    """Train with a rate that is twenty times too small."""
    troubled, healthy = (watch(Layers(), _adamw(lr), steps=400, seed=seed) for lr in (5e-4, 1e-2))
    runs = ((troubled, "rate 0.0005", BAD), (healthy, "rate 0.01", GOOD))
    panels = (
        Panel("training loss", tuple(losses(name, run, style) for run, name, style in runs), log=True),
        Panel(
            "cosine of gradient and first moment",
            tuple(Curve(*_agreement(run), name, style) for run, name, style in runs),
            limit=(0.3, "limit: 0.3"),
            range=(-0.3, 1.2),
        ),
    )
    return Scene("lr_small", troubled, healthy, panels)


def lr_large(seed: int = 0) -> Scene:
    """Train with a warm-up to a rate that is too large, and to a third of it."""
    rates = [ac.schedules.Warmup(ac.schedules.Constant(top), steps=150) for top in (1.5, 0.5)]
    troubled, healthy = (watch(Layers(), _sgd(rate), steps=300, seed=seed) for rate in rates)
    runs = ((troubled, "warm-up to 1.5", BAD), (healthy, "warm-up to 0.5", GOOD))
    best = troubled.first("lr_large")
    limit = 3 * best.evidence["best"] if best is not None else math.nan
    shown = tuple(losses(name, run, style) for run, name, style in runs)
    shown_rates = zip(runs, rates, strict=True)
    rising = [steps_of(name, [rate(t) for t in range(300)], style) for (_, name, style), rate in shown_rates]
    panels = (
        Panel("training loss", shown, log=True, limit=(limit, "limit: 3 x the best")),
        Panel("rate", tuple(rising)),
    )
    return Scene("lr_large", troubled, healthy, panels)


def overfitting(seed: int = 0) -> Scene:
    """Train on 128 digits, a fifth of which have random labels, and on all."""
    options: dict[str, Any] = {"steps": 500, "seed": seed, "validate_every": 10}
    few, all_rows = (watch(Layers(rows=rows, labels=0.2, batch=32), _adamw(5e-3), **options) for rows in (128, 1438))
    panels = tuple(
        Panel(
            title,
            (losses("training loss", run, GOOD), Curve(*zip(*run.validations, strict=True), "validation loss", BAD)),
            range=(0, 2.5),
            marked=run is few,
        )
        for title, run in (("128 digits to train on", few), ("1438 digits", all_rows))
    )
    return Scene("overfitting", few, all_rows, panels)


SCENES: dict[str, Callable[[int], Scene]] = {
    scene.__name__: scene
    for scene in (
        plateau,
        saddle,
        vanishing,
        dead,
        spike,
        exploding,
        overflow_loop,
        lost,
        stale,
        lr_small,
        lr_large,
        overfitting,
    )
}
"""What makes the scene of each finding from a seed."""


_ASKED_AT = 400
"""The step after which the scene of the saddle asks for it."""


def _losses_along(problem: Layers, params: Params, batch: Any, direction: Params) -> tuple[Array, Array, Array]:
    """Return moves relative to the weights, and the losses there: along a direction, and down along the gradient."""
    size = _length(params)
    _, gradient = problem.loss_and_grad(params, batch)
    moves = np.linspace(-0.2, 0.2, 41)
    found = []
    for line, sign in ((direction, 1.0), (gradient, -1.0)):
        unit = sign * size / _length(line)
        moved = [{name: array + move * unit * line[name] for name, array in params.items()} for move in moves]
        found.append(np.array([problem.loss_and_grad(each, batch)[0] for each in moved]))
    return moves, found[0], found[1]


def _length(arrays: Params) -> float:
    return float(np.sqrt(sum(np.square(array).sum() for array in arrays.values())))


def _adamw(lr: Any, **options: Any) -> Maker:
    return lambda params: ac.AdamW(params, lr=lr, **options)


def _sgd(lr: Any, limit: Callable[[], Any] = lambda: None) -> Maker:
    return lambda params: ac.SGD(params, lr=lr, momentum=0.9, clip_norm=limit())


def _step_of(run: Watched, kind: str) -> int:
    finding = run.first(kind)
    return 0 if finding is None else finding.step


def _matrix_sizes(run: Watched, at: int) -> Array:
    """Return the size of each matrix's gradient in the last step with statistics that is not after `at`."""
    _, stats = next((pair for pair in reversed(run.statistics) if pair[0] <= at), run.statistics[-1])
    return np.array([size for name, size in zip(stats.names, stats.grad_rms, strict=True) if name.startswith("w")])


def _second_moments(run: Watched) -> tuple[Array, Array]:
    """Return the steps with statistics, and the second moment of the first matrix relative to nine gradients."""
    known = [(step, stats) for step, stats in run.statistics if np.isfinite(stats.second_rms[0])]
    sizes = [stats.grad_rms[0] for _, stats in known]
    ratios = [known[i][1].second_rms[0] / np.median(sizes[i - 8 : i + 1]) for i in range(8, len(known))]
    return np.array([step for step, _ in known[8:]]), np.array(ratios)


def _agreement(run: Watched) -> tuple[Array, Array]:
    """Return the steps with statistics, and the cosine of matrices: the median of the last eight such steps."""
    steps, rows = zip(*run.statistics, strict=True)
    matrices = [name.startswith("w") for name in rows[0].names]
    cosines = np.array([np.median(stats.cos[matrices]) for stats in rows[1:]])  # the first step has no moment
    return np.array(steps[8:]), np.array([np.median(cosines[i - 8 : i]) for i in range(8, len(rows))])


def _loss_and_norm(runs: tuple[tuple[Watched, str, dict[str, Any]], ...]) -> tuple[Panel, ...]:
    norms = [steps_of(name, run.monitor.history["grad_norm"], style) for run, name, style in runs]
    return (
        Panel(
            "training loss", tuple(losses(name, run, style) for run, name, style in runs), log=True, range=(0.02, 1e4)
        ),
        Panel("gradient norm", tuple(norms), log=True, range=(0.05, 1e5)),
    )


def _skips(run: Watched) -> Array:
    """Return how many of the last 20 steps were skipped, after each step."""
    return np.convolve(run.monitor.history["skipped"], np.ones(20), "full")[: len(run.losses)]


def _unmoved(start: Params, params: Params) -> float:
    """Return the share of the first layer's weights that have the value with which they began."""
    return float((params["w0"] == start["w0"]).mean())
