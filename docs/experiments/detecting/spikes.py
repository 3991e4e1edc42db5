"""Spikes: bad batches, whether they are found, and what guards make of them; and runs that explode."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from detecting.runs import found, level, share, watch
from detecting.spoilt import How, Spoilt
from problems.layers import Layers

import adamcore as ac

STEPS = 800
DIGITS = Layers((64,))
RELU, UNEVEN = Layers((64,), "relu"), Layers((64, 64), "relu")
"""Late in their training, clean gradients differ so much that one 30 times as large may be nothing unusual."""
ADAMW = partial(ac.AdamW, lr=3e-3)

GUARDS = {
    "nothing": lambda params: ADAMW(params, nonfinite="skip"),
    "clip_norm=1.0": lambda params: ADAMW(params, clip_norm=1.0),
    "guard, clip": lambda params: ADAMW(params, clip_norm=ac.SpikeGuard()),
    "guard, skip": lambda params: ADAMW(params, clip_norm=ac.SpikeGuard(action="skip")),
}


class Spikes(NamedTuple):
    """What became of the bad batches of a run."""

    planted: int
    caught: int
    false: int
    spread: float
    """The standard deviation of the logarithms of the last 200 clean norms."""
    loss: float
    """On all images that were trained on, at the end."""
    stopped: bool


def examine(problem: Layers, how: How, bad: float, guard: str, seed: int) -> Spikes:
    """Train with a share of bad batches."""
    spoilt = Spoilt(problem, bad, how)
    run = watch(spoilt, GUARDS[guard], steps=STEPS, seed=seed)
    planted = np.array(spoilt.planted)
    is_found = np.zeros(len(planted), bool)
    is_found[[finding.step - 1 for finding in found(run, "spike")]] = True
    whole = Layers(problem.hidden, problem.activation, batch=problem.rows)
    loss, _ = whole.loss_and_grad(run.params, next(whole.batches(np.random.default_rng(0))))
    spread = float(np.std(np.log(run.history["grad_norm"][~planted][-200:])))
    caught, false = int((planted & is_found).sum()), int((is_found & ~planted).sum())
    return Spikes(int(planted.sum()), caught, false, spread, loss, bool(found(run, "exploding")))


P = ac.schedules.Piecewise
EXPLODING: dict[str, tuple[Layers, Any]] = {
    "tanh 64, SGD x100": (DIGITS, partial(ac.SGD, lr=P([0.1, 10.0], [300]), momentum=0.9)),
    "ReLU 64-64, SGD x30": (UNEVEN, partial(ac.SGD, lr=P([0.05, 1.5], [300]), momentum=0.9)),
    "ReLU 64-64, AdamW x30": (UNEVEN, partial(ac.AdamW, lr=P([3e-3, 0.09], [300]))),
}
"""Runs whose rate is multiplied after 300 steps."""


def explode(name: str, seed: int) -> tuple[bool, int | None]:
    """Return whether the losses rose tenfold for good, and how many steps later "stop" was said."""
    problem, make = EXPLODING[name]
    run = watch(problem, partial(make, nonfinite="skip"), steps=500, seed=seed)
    losses = run.history["loss"]
    stops = [finding.step - 300 for finding in found(run, "exploding")]
    return level(run) > 10 * float(np.median(losses[236:300])), stops[0] if stops else None


def show_spikes(seeds: int = 8) -> None:
    """Print the table of spikes."""
    print("spikes: bad batches          guard          caught   false       spread  loss   stop")
    rows: list[tuple[str, Layers, How, float]] = [("none", DIGITS, "gradient", 0.0)]
    rows += [(f"{bad:.0%} {how}", DIGITS, how, bad) for how in ("gradient", "images") for bad in (0.01, 0.05)]
    rows += [("5% gradient, ReLU 64", RELU, "gradient", 0.05), ("5% gradient, ReLU 64-64", UNEVEN, "gradient", 0.05)]
    for name, problem, how, bad in rows:
        for guard in GUARDS:
            each = [examine(problem, how, bad, guard, seed) for seed in range(seeds)]
            planted, caught, false = (sum(values) for values in list(zip(*each, strict=True))[:3])
            rates = f"{f'{caught}/{planted}':8} {f'{false}/{seeds * STEPS}':11}"
            spread, loss = (median(values) for values in ([s.spread for s in each], [s.loss for s in each]))
            stops = share(s.stopped for s in each)
            print(f"  {name:26} {guard:14} {rates} {spread:.2f}    {loss:.3f}  {stops}", flush=True)


def show_exploding(seeds: int = 8) -> None:
    """Print the table of runs that explode."""
    print("exploding:                 rose tenfold  found    steps later")
    for name in EXPLODING:
        each = [explode(name, seed) for seed in range(seeds)]
        rose = [stop for has_risen, stop in each if has_risen]
        stops = [stop for stop in rose if stop is not None]
        later = f"{median(stops):g}" if stops else "-"
        print(f"  {name:26} {len(rose)}/{len(each)}        {len(stops)}/{len(rose)}     {later}", flush=True)
