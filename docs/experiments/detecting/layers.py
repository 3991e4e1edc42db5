"""Vanishing gradients, and layers and units that get none: deep and dead networks, and healthy ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from detecting.runs import ADAMW, found, share, watch
from problems.layers import Layers
from problems.parts import digits

import adamcore as ac

DEEP = {f"sigmoid {depth} x 32": Layers((32,) * depth, "sigmoid") for depth in (7, 8, 10)}
HEALTHY = {
    "tanh 64": Layers((64,), "tanh"),
    "ReLU 64": Layers((64,), "relu"),
    "sigmoid 32": Layers((32,), "sigmoid"),
    "ReLU 64-32": Layers((64, 32), "relu"),
    "tanh 4 x 32": Layers((32,) * 4, "tanh"),
    "ReLU 4 x 32": Layers((32,) * 4, "relu"),
    "tanh 8 x 32, skip": Layers((32,) * 8, "tanh", skip=True),
    "ReLU 8 x 32, skip": Layers((32,) * 8, "relu", skip=True),
}
STEPS = 400
BARELY = 0.01

JOLT = ac.schedules.Piecewise([1.0, 300.0, 1.0], [100, 110])
DEAD = {
    "ReLU 64, biases -3": (Layers((64,), "relu", shift=-3), ADAMW),
    "ReLU 64-32, biases -3": (Layers((64, 32), "relu", shift=-3), ADAMW),
    "ReLU 32-32, AdamW jolted x300": (Layers((32, 32), "relu"), partial(ac.AdamW, lr=3e-3 * JOLT)),
    "ReLU 32-32, SGD jolted x300": (Layers((32, 32), "relu"), partial(ac.SGD, lr=0.05 * JOLT, momentum=0.9)),
}
"""Networks that are dead from the start, and some that may die when the rate is 300 times as large for ten steps."""

SHIFTS = (0.0, -0.5, -1.0, -1.5, -2.0)
UNITS_STEPS = 640
"""A unit counts as dead after eight looks, one in 64 steps."""


class Found(NamedTuple):
    """What was found in a run of which it is known whether a layer is dead."""

    vanishing: tuple[str | None, ...]
    dead: tuple[str | None, ...]
    first_dead: int | None
    """The first hidden layer with an active unit in less than 1% of the images at the end."""


def dead_layers(problem: Layers, params: Any) -> list[int]:
    """Return the hidden layers whose units are active in less than 1% of the images, all together."""
    outputs = problem.hidden_outputs(params, digits().x)
    return [i for i, values in enumerate(outputs) if (values > 0).any(axis=1).mean() < BARELY]


def examine(problem: Layers, make: Any, seeds: int, steps: int = STEPS) -> list[Found]:
    """Return what was found in a run of each seed."""
    results = []
    for seed in range(seeds):
        run = watch(problem, make, steps=steps, seed=seed)
        tensors = (tuple(f.tensor for f in found(run, kind)) for kind in ("vanishing", "dead"))
        dead = dead_layers(problem, run.params)
        results.append(Found(*tensors, dead[0] if dead and problem.activation == "relu" else None))
    return results


class Units(NamedTuple):
    """What was found in the units of a network with one hidden layer."""

    dead: float
    """The share of its units that are active for no image at the end."""
    reported: float
    severity: str
    pixels: float
    """The share of pixels that never change, where that was found."""


def examine_units(problem: Layers, seed: int) -> Units:
    """Train with looks at the gradients of units, and count the dead ones."""
    run = watch(problem, partial(ac.AdamW, lr=1e-3), steps=UNITS_STEPS, seed=seed, units=True)
    active = (problem.hidden_outputs(run.params, digits().x)[0] > 0).any(axis=0)
    findings = {f.tensor: f for f in found(run, "dead") if "axis" in f.evidence}
    units, pixels = findings.get("w1"), findings.get("w0")
    is_of_pixels = pixels is not None and pixels.evidence["axis"] == 0
    return Units(
        1 - float(active.mean()) if problem.activation == "relu" else 0.0,
        units.evidence["share"] if units else 0.0,
        units.severity if units else "-",
        pixels.evidence["share"] if pixels and is_of_pixels else 0.0,
    )


def _named(results: Sequence[Found]) -> str:
    first = share("w0" in result.vanishing for result in results)
    return f"{share(bool(result.vanishing) for result in results):10} {first}"


def show_vanishing(seeds: int = 8) -> None:
    """Print the table of vanishing gradients."""
    print(f"vanishing: {'':18} found      first layer named")
    for name, problem in (DEEP | HEALTHY).items():
        print(f"  {name:26} ", _named(examine(problem, ADAMW, seeds)), flush=True)


def show_dead(seeds: int = 8) -> None:
    """Print the tables of dead layers and of dead units."""
    print(f"dead: {'':26} dead       found      false")
    rows = DEAD | {name: (problem, ADAMW) for name, problem in HEALTHY.items() if problem.activation == "relu"}
    for name, (problem, make) in rows.items():
        results = examine(problem, make, seeds)
        dead = [result for result in results if result.first_dead is not None]
        hits = share(f"w{result.first_dead}" in result.dead for result in dead)
        false = share(bool(result.dead) for result in results if result.first_dead is None)
        print(f"  {name:30} {f'{len(dead)}/{len(results)}':10} {hits:10} {false}", flush=True)
    print(f"\ndead units: {'':20} dead       reported   largest error  severity")
    for shift in SHIFTS:
        units = [examine_units(Layers((64,), "relu", shift=shift), seed) for seed in range(seeds)]
        dead, reported = (f"{median(values):.0%}" for values in ([u.dead for u in units], [u.reported for u in units]))
        error = max(abs(u.dead - u.reported) for u in units)
        severities = ", ".join(sorted({u.severity for u in units}))
        print(f"  {f'ReLU 64, biases {shift:g}':30} {dead:10} {reported:10} {error:<14.1%} {severities}", flush=True)
    pixels = [examine_units(Layers((64,)), seed).pixels for seed in range(seeds)]
    print(f"  tanh 64: {min(pixels):.0%} to {max(pixels):.0%} of the pixels never change")
