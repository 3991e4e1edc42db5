"""Second moments that are too large: after a burst of gradients, in healthy runs, and what ends it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from detecting.runs import found, level, watch
from problems.layers import Layers

import adamcore as ac
from adamcore._cli.network import Params

NETS = {
    "tanh 64": Layers((64,)),
    "ReLU 64-32": Layers((64, 32), "relu"),
    "sigmoid 32": Layers((32,), "sigmoid"),
    "tanh 4 x 32": Layers((32,) * 4),
}
RATES = (1e-3, 3e-3, 1e-2)
STEPS, BEGIN, LENGTH, FACTOR = 1000, 500, 3, 300
"""The gradients of 3 steps after the 500th are 300 times as large."""

LASTING = ((1000, 1), (100, 1), (10, 1), (300, 3))
"""Factors of bursts, and how many steps they take."""
BETA, HALF, SETTLED = 0.999, 2.0, 15_000

Treatment = Literal["nothing", "rescale", "reset"]


class Burst:
    """A problem with gradients that are `factor` times as large in a few steps."""

    def __init__(self, problem: Any, begin: int = BEGIN, length: int = LENGTH, factor: float = FACTOR) -> None:
        self._problem, self._steps, self._factor = problem, range(begin, begin + length), np.float32(factor)
        self.init, self.evaluate = problem.init, problem.evaluate
        self._taken = 0

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        """Yield one epoch of batches, and for each whether it is in the burst."""
        for batch in self._problem.batches(rng):
            yield batch, self._taken in self._steps
            self._taken += 1

    def loss_and_grad(self, params: Params, batch: Any) -> tuple[float, Params]:
        """Compute the loss and the gradients of a batch."""
        rows, is_burst = batch
        loss, grads = self._problem.loss_and_grad(params, rows)
        return loss, {name: grad * self._factor for name, grad in grads.items()} if is_burst else grads


class Healthy(NamedTuple):
    """What was found in a run without a burst: tensors."""

    tensors: int
    noted: int
    warned: int
    loss: float


class Treated(NamedTuple):
    """What was found in a run with a burst, and where it ended."""

    tensors: int
    found: int
    """Tensors that were reported after the burst, or before it while that still held."""
    before: int
    """Those that were reported before it only."""
    delays: tuple[int, ...]
    """How many steps after the first one of the burst each of the others was reported."""
    warned: int
    loss: float


def healthy(net: str, rate: float, seed: int) -> Healthy:
    """Train without a burst."""
    run = watch(NETS[net], partial(ac.AdamW, lr=rate), steps=STEPS, seed=seed)
    findings = found(run, "stale")
    noted, warned = ({f.tensor for f in findings if f.severity == severity} for severity in ("note", "warning"))
    return Healthy(len(run.params), len(noted), len(warned), level(run))


def treated(net: str, rate: float, seed: int, how: Treatment) -> Treated:
    """Train with a burst, and do something at each warning."""

    def treat(run: Any) -> None:
        warnings = [f for f in found(run, "stale") if f.severity == "warning" and f.step == run.step]
        for finding in warnings if how != "nothing" else ():
            if how == "reset":
                run.opt.reset_state([finding.tensor])
            else:
                run.opt.rescale_state(finding.evidence["c"], [finding.tensor])

    make = partial(ac.AdamW, lr=rate)
    run = watch(Burst(NETS[net]), make, steps=STEPS, seed=seed, callbacks=[treat])
    findings = found(run, "stale")
    after: dict[str | None, int] = {}
    for finding in findings:
        if finding.step > BEGIN:
            after.setdefault(finding.tensor, finding.step - BEGIN - 1)
    before = {finding.tensor for finding in findings} - set(after)
    warned = {finding.tensor for finding in findings if finding.severity == "warning" and finding.step > BEGIN}
    return Treated(
        len(run.params), len(after) + len(before), len(before), tuple(after.values()), len(warned), level(run)
    )


def halved_for(factor: float, steps: int) -> int:
    """Return how long after a burst Adam's steps are at most half as long as usual.

    Gradients are 1 or -1, drawn at random, and `factor` times as large in the burst. Their second moment is usually 1,
    so a step is half as long while the second moment is above 4, and its root above 2.
    """
    rng = np.random.default_rng(0)
    opt = ac.AdamW({"w": np.zeros(8)}, lr=1e-3, betas=(0.9, BETA), weight_decay=0.0)
    for count in range(SETTLED + steps):
        opt.step({"w": rng.choice([-1.0, 1.0], 8) * (factor if count >= SETTLED else 1.0)})
    for count in range(10 * round(1 / (1 - BETA))):
        info = opt.step({"w": rng.choice([-1.0, 1.0], 8)}, stats=("second_rms",))
        if info.stats.second_rms[0] <= HALF:
            return count
    return -1


def formula(factor: float, steps: int) -> float:
    """Return how many steps it takes until the burst's k (1 - beta2) B^2 has decayed to 3."""
    return max(math.log(steps * (1 - BETA) * factor**2 / 3), 0) / (1 - BETA)


def row(net: str, rate: float, seeds: int) -> str:
    """Return the numbers of one setting: tensors of all runs, and medians of losses."""
    well = [healthy(net, rate, seed) for seed in range(seeds)]
    each = {how: [treated(net, rate, seed, how) for seed in range(seeds)] for how in get_args(Treatment)}
    burst = each["nothing"]
    whole = sum(run.tensors for run in burst)
    counts = [[run.noted for run in well], [run.warned for run in well]]
    counts += [[run.found for run in burst], [run.before for run in burst], [run.warned for run in burst]]
    cells = [f"{sum(count)}/{whole}" for count in counts]
    delays = [delay for run in burst for delay in run.delays]
    cells.append(f"{median(delays):.0f}" if delays else "-")
    cells += [f"{median(run.loss for run in runs):.3f}" for runs in (well, *each.values())]
    return " ".join(f"{cell:7}" for cell in cells).rstrip()


def show(seeds: int = 4) -> None:
    """Print the tables."""
    print(f"stale:{'':16} healthy: found, warned  burst: found, before, warned, delay  ", end="")
    print("loss: healthy, burst, rescaled, reset")
    for net in NETS:
        for rate in RATES:
            print(f"  {f'{net}, {rate:g}':20}", row(net, rate, seeds), flush=True)
    print("\nstale: steps that are at most half as long, after k gradients that are B times as large")
    for factor, steps in LASTING:
        print(f"  B {factor:<5} k {steps}  {halved_for(factor, steps):5}, formula {formula(factor, steps):.0f}")
