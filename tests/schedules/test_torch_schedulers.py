"""Schedules against torch.optim.lr_scheduler, where torch is installed (the `bench` extra).

``schedule(t)`` is the rate while ``last_epoch == t``. Torch computes most rates from the one before them, so its
rounding errors grow with the number of steps.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adamcore.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    Join,
    Linear,
    MultiStep,
    OneCycle,
    Piecewise,
    Polynomial,
    Schedule,
    StepDecay,
    Warmup,
)
from pairs import EXHAUSTIVE

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)
lr_scheduler = torch.optim.lr_scheduler

Make = Callable[[Any], Any]
STEPS = 400 if EXHAUSTIVE else 80
RATES = (0.1, 0.003, 1.0)
TOLERANCE = 1e-13
"""Of the peak: torch's own drift."""
DRIFT_OF_COSINE = 1e-11
"""A cosine that torch computes from the value before drifts most, because it rises from near 0."""


def make_optimizer(rate: float, momentum: float = 0.9) -> Any:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=rate, momentum=momentum)


def rates(make: Make, rate: float, steps: int, key: str = "lr") -> list[float]:
    optimizer = make_optimizer(rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(optimizer)
        found = [float(optimizer.param_groups[0][key])]
        for _ in range(steps - 1):
            optimizer.step()
            scheduler.step()
            found.append(float(optimizer.param_groups[0][key]))
    return found


def product(**axes: Any) -> Iterator[Any]:
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def step() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, every=(1, 2, 7, 30, 100), gamma=(0.1, 0.5, 0.9, 0.99, 1.1)):
        schedule = StepDecay(a["rate"], every=a["every"], gamma=a["gamma"])
        yield schedule, a["rate"], lambda o, a=a: lr_scheduler.StepLR(o, a["every"], a["gamma"])


def multi_step() -> Iterator[tuple[Schedule, float, Make]]:
    milestones = ([], [1], [30], [30, 60], [5, 5, 5], [30, 30, 80], [3, 9, 27, 81], list(range(2, 60, 3)))
    for a in product(rate=RATES, at=milestones, gamma=(0.1, 0.5, 0.9, 1.5)):
        schedule = MultiStep(a["rate"], a["at"], a["gamma"])
        yield schedule, a["rate"], lambda o, a=a: lr_scheduler.MultiStepLR(o, a["at"], a["gamma"])


def constant() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, factor=(0.01, 1 / 3, 0.5, 1.0), total=(1, 5, 30)):
        schedule = Piecewise([a["rate"] * a["factor"], a["rate"]], [a["total"]])
        yield schedule, a["rate"], lambda o, a=a: lr_scheduler.ConstantLR(o, a["factor"], a["total"])


def linear() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, start=(1 / 3, 0.01, 1.0), end=(1.0, 0.5, 0.0), total=(1, 5, 17, 60)):
        schedule = Linear(a["rate"] * a["start"], a["rate"] * a["end"], steps=a["total"])
        yield schedule, a["rate"], lambda o, a=a: lr_scheduler.LinearLR(o, a["start"], a["end"], a["total"])


def exponential() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, gamma=(0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0, 1.01)):
        yield (
            Exponential(a["rate"], a["gamma"]),
            a["rate"],
            lambda o, a=a: lr_scheduler.ExponentialLR(o, a["gamma"]),
        )


def polynomial() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, total=(1, 5, 17, 60, 200), power=(0.5, 1.0, 1.7, 2.0, 3.0)):
        schedule = Polynomial(a["rate"], steps=a["total"], power=a["power"])
        yield schedule, a["rate"], lambda o, a=a: lr_scheduler.PolynomialLR(o, a["total"], a["power"])


def cosine() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, total=(1, 2, 5, 17, 30, 79, 200), end=(0.0, 1e-4, 0.002, 0.01)):
        schedule = Cosine(a["rate"], a["end"], steps=a["total"], after="mirror")
        yield schedule, a["rate"], lambda o, a=a: lr_scheduler.CosineAnnealingLR(o, a["total"], a["end"])


def restarts() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, period=(1, 2, 3, 10, 27), mult=(1, 2, 3, 5), end=(0.0, 1e-4, 0.002)):
        schedule = CosineRestarts(a["rate"], a["end"], period=a["period"], mult=a["mult"])
        yield (
            schedule,
            a["rate"],
            lambda o, a=a: lr_scheduler.CosineAnnealingWarmRestarts(o, a["period"], a["mult"], a["end"]),
        )


def cyclic() -> Iterator[tuple[Schedule, float, Make]]:
    modes = ("triangular", "triangular2", "exp_range")
    for a in product(low=(0.001, 0.02), up=(1, 4, 13), down=(None, 1, 6, 29), mode=modes, gamma=(1.0, 0.99, 0.9)):
        schedule = Cyclic(a["low"], 0.1, up=a["up"], down=a["down"], mode=a["mode"], gamma=a["gamma"])
        yield (
            schedule,
            0.1,
            lambda o, a=a: lr_scheduler.CyclicLR(o, a["low"], 0.1, a["up"], a["down"], a["mode"], a["gamma"]),
        )


def one_cycle() -> Iterator[tuple[Schedule, float, Make]]:
    shares = (0.1, 0.25, 0.3, 0.45, 0.5)
    for a in product(steps=(STEPS, STEPS + 3, 2 * STEPS), share=shares, anneal=("cos", "linear"), three=(False, True)):
        for start, end in ((25.0, 1e4), (10.0, 3.0)):
            schedule = OneCycle(
                0.1,
                steps=a["steps"],
                start=0.1 / start,
                end=0.1 / start / end,
                pct_start=a["share"],
                anneal=a["anneal"],
                three_phase=a["three"],
            )
            yield (
                schedule,
                0.1,
                lambda o, a=a, start=start, end=end: lr_scheduler.OneCycleLR(
                    o,
                    0.1,
                    total_steps=a["steps"],
                    pct_start=a["share"],
                    anneal_strategy=a["anneal"],
                    three_phase=a["three"],
                    div_factor=start,
                    final_div_factor=end,
                    cycle_momentum=False,
                ),
            )


def sequential() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, warm=(2, 5, 20), start=(1 / 3, 0.01), total=(30, 90)):

        def make(o: Any, a: Any = a) -> Any:
            parts = [
                lr_scheduler.LinearLR(o, a["start"], 1.0, a["warm"]),
                lr_scheduler.CosineAnnealingLR(o, a["total"]),
            ]
            return lr_scheduler.SequentialLR(o, parts, [a["warm"]])

        schedule = Cosine(a["rate"], steps=a["total"], after="mirror")
        yield Warmup(schedule, steps=a["warm"], start=a["rate"] * a["start"]), a["rate"], make
    for a in product(rate=RATES, at=([7], [20], [61]), gamma=(0.9, 0.5)):

        def joined(o: Any, a: Any = a) -> Any:
            parts = [lr_scheduler.StepLR(o, 3, 0.5), lr_scheduler.ExponentialLR(o, a["gamma"])]
            return lr_scheduler.SequentialLR(o, parts, a["at"])

        parts = [StepDecay(a["rate"], every=3, gamma=0.5), Exponential(a["rate"], a["gamma"])]
        yield Join(parts, a["at"]), a["rate"], joined


def chained() -> Iterator[tuple[Schedule, float, Make]]:
    for a in product(rate=RATES, every=(3, 20), gamma=(0.9, 0.99), total=(5, 40)):

        def make(o: Any, a: Any = a) -> Any:
            parts = [lr_scheduler.StepLR(o, a["every"], 0.5), lr_scheduler.ExponentialLR(o, a["gamma"])]
            return lr_scheduler.ChainedScheduler([*parts, lr_scheduler.LinearLR(o, 0.5, 1.0, a["total"])])

        factors = Exponential(1.0, a["gamma"]) * Linear(0.5, 1.0, steps=a["total"])
        yield StepDecay(a["rate"], every=a["every"], gamma=0.5) * factors, a["rate"], make


def lambdas() -> Iterator[tuple[Schedule, float, Make]]:
    for rate in RATES:
        yield Constant(rate), rate, lambda o: lr_scheduler.LambdaLR(o, lambda _: 1.0)
        yield Exponential(rate, 0.9), rate, lambda o: lr_scheduler.MultiplicativeLR(o, lambda _: 0.9)


FAMILIES = [
    step,
    multi_step,
    constant,
    linear,
    exponential,
    polynomial,
    cosine,
    restarts,
    cyclic,
    one_cycle,
    sequential,
    chained,
    lambdas,
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_rates(family: Callable[[], Iterator[tuple[Schedule, float, Make]]]) -> None:
    for schedule, rate, make in family():
        theirs = rates(make, rate, STEPS)
        ours = [schedule(t) for t in range(STEPS)]
        worst = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        tolerance = DRIFT_OF_COSINE if family is cosine else TOLERANCE
        assert worst <= tolerance * max(theirs), (schedule, worst / max(theirs))


@pytest.mark.parametrize("family", [step, multi_step, constant, linear, exponential, polynomial, cosine])
def test_closed_forms(family: Callable[[], Iterator[tuple[Schedule, float, Make]]]) -> None:
    """Torch's formulas, where it has them, are met far more closely than what it computes step by step."""
    for schedule, rate, make in family():
        scheduler = make(make_optimizer(rate))
        peak = 0.0
        for t in range(0, STEPS, 7):
            scheduler.last_epoch = t
            (theirs,) = scheduler._get_closed_form_lr()
            peak = max(peak, theirs)
            rounding = 4e-16 * t if family is cosine else 0  # of the angle pi * t / T, which torch rounds
            assert abs(schedule(t) - theirs) <= (1e-15 + rounding) * peak, (schedule, t)


def test_there_are_many_settings() -> None:
    assert sum(1 for family in FAMILIES for _ in family()) > 1000


@pytest.mark.parametrize("three_phase", [False, True])
def test_momentum_of_one_cycle(three_phase: bool) -> None:
    theirs = rates(
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=STEPS, three_phase=three_phase), 0.1, STEPS, "momentum"
    )
    schedule = OneCycle(0.85, steps=STEPS, start=0.95, end=0.95, three_phase=three_phase)
    assert max(abs(schedule(t) - theirs[t]) for t in range(STEPS)) <= 2e-16


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_momentum_of_cycles(mode: str) -> None:
    theirs = rates(
        lambda o: lr_scheduler.CyclicLR(o, 0.001, 0.1, 7, 12, mode, 0.99, base_momentum=0.8, max_momentum=0.9),
        0.1,
        STEPS,
        "momentum",
    )
    schedule = Cyclic(0.9, 0.8, up=7, down=12, mode=mode, gamma=0.99)
    assert max(abs(schedule(t) - theirs[t]) for t in range(STEPS)) <= 1e-15
