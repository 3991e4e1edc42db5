"""Schedules of all families, with their formulas written a second time, in Python's floats and libm."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable
from typing import Any

from adamcore.schedules import (
    WSD,
    Clip,
    Constant,
    Cooldown,
    Cosine,
    CosineRestarts,
    Cyclic,
    Every,
    Exponential,
    Interpolate,
    InverseSqrt,
    InverseTime,
    Join,
    Linear,
    MultiStep,
    OneCycle,
    Piecewise,
    Polynomial,
    Product,
    Schedule,
    Shift,
    StepDecay,
    Stretch,
    Sum,
    Warmup,
)

Formula = Callable[[float], float]


def always(value: float) -> Formula:
    return lambda _t: value


def ramp(t: float, steps: float, begin: float = 0) -> float:
    return min(max(t - begin, 0), steps) / steps


def half(x: float) -> float:
    return (1 + math.cos(math.pi * (x % 2))) / 2


COVERED = {"sqrt": math.sqrt, "linear": lambda r: r, "cosine": lambda r: 1 - half(r), "square": lambda r: r * r}


def restarts(start, end, period, mult=1.0, decay=1.0) -> Formula:
    def begin_of(n):
        return n * period if mult == 1 else period * (mult**n - 1) / (mult - 1)

    def value(t):
        n = 0
        while t >= begin_of(n + 1):
            n += 1
        share = (t - begin_of(n)) / (begin_of(n + 1) - begin_of(n))
        return end + (start * decay**n - end) * half(share)

    return value


def cyclic(low, high, up, down, height) -> Formula:
    def value(t):
        k, r = divmod(t, up + down)
        tent = r / up if r <= up else (up + down - r) / down
        return low + (high - low) * tent * height(t, k)

    return value


def one_cycle(knots: list[tuple[float, float]], shape) -> Formula:
    def value(t):
        for (a, x), (b, y) in itertools.pairwise(knots):
            if t <= b:
                return x + (y - x) * shape((t - a) / (b - a))
        return knots[-1][1]

    return value


def warmup(s: Formula, steps, start=None, shape="linear") -> Formula:
    def value(t):
        if t >= steps:
            return s(t - steps)
        r = min((t + 1) / steps, 1) if start is None else t / steps
        return (start or 0) + (s(0) - (start or 0)) * COVERED[shape](r)

    return value


def cooldown(s: Formula, at, steps, end=0.0, shape="sqrt") -> Formula:
    def value(t):
        return s(t) if t < at else s(at) + (end - s(at)) * COVERED[shape](ramp(t, steps, at))

    return value


COSINE, LINE = Cosine(0.1, 0.01, steps=40), Linear(0.2, steps=30)
cosine, line = (lambda t: 0.01 + 0.09 * half(ramp(t, 40))), (lambda t: 0.2 * (1 - ramp(t, 30)))

CASES: list[tuple[Schedule, Formula]] = [
    (Constant(0.1), always(0.1)),
    (StepDecay(0.1, every=7), lambda t: 0.1 * 0.1 ** (t // 7)),
    (StepDecay(0.1, every=7.5, gamma=0.9), lambda t: 0.1 * 0.9 ** (t // 7.5)),
    (MultiStep(0.1, [3, 30, 30, 41.5]), lambda t: 0.1 * 0.1 ** bisect.bisect_right([3, 30, 30, 41.5], t)),
    (MultiStep(0.1, [], 0.5), always(0.1)),
    (Exponential(0.1, 0.99), lambda t: 0.1 * 0.99**t),
    (Exponential(0.1, 1.01, every=2.5, begin=3, end=0.11), lambda t: min(0.1 * 1.01 ** (max(t - 3, 0) / 2.5), 0.11)),
    (Exponential(0.1, 0.5, every=10, staircase=True, end=0.02), lambda t: max(0.1 * 0.5 ** (t // 10), 0.02)),
    (LINE, line),
    (Linear(0.1, 0.3, steps=12.5, begin=5), lambda t: 0.1 + 0.2 * ramp(t, 12.5, 5)),
    (Polynomial(0.1, 0.02, steps=50, power=3), lambda t: 0.02 + 0.08 * (1 - ramp(t, 50)) ** 3),
    (Polynomial(0.1, steps=50, power=1.7, begin=4), lambda t: 0.1 * (1 - ramp(t, 50, 4)) ** 1.7),
    (COSINE, cosine),
    (Cosine(0.1, steps=60, power=1.5), lambda t: 0.1 * half(ramp(t, 60)) ** 1.5),
    (Cosine(0.1, 0.01, steps=20, after="mirror"), lambda t: 0.01 + 0.09 * half(t / 20)),
    (CosineRestarts(0.1, 0.02, period=10), restarts(0.1, 0.02, 10)),
    (CosineRestarts(0.1, period=3, mult=2, decay=0.8), restarts(0.1, 0, 3, 2, 0.8)),
    (CosineRestarts(0.1, period=4.5, mult=1.5), restarts(0.1, 0, 4.5, 1.5)),
    (Cyclic(0.01, 0.1, up=4), cyclic(0.01, 0.1, 4, 4, lambda _t, _k: 1)),
    (Cyclic(0.9, 0.8, up=4, down=6.5, mode="triangular2"), cyclic(0.9, 0.8, 4, 6.5, lambda _t, k: 0.5**k)),
    (Cyclic(0.01, 0.1, up=5, mode="exp_range", gamma=0.97), cyclic(0.01, 0.1, 5, 5, lambda t, _k: 0.97**t)),
    (OneCycle(0.1, steps=60), one_cycle([(0, 0.004), (17, 0.1), (59, 4e-7)], lambda r: 1 - half(r))),
    (
        OneCycle(0.85, steps=50, start=0.95, end=0.9, pct_start=0.4, anneal="linear", three_phase=True),
        one_cycle([(0, 0.95), (19, 0.85), (38, 0.95), (49, 0.9)], lambda r: r),
    ),
    (InverseSqrt(0.1, timescale=40), lambda t: 0.1 / math.sqrt(1 + t / 40)),
    (InverseTime(0.1, 0.5, every=10), lambda t: 0.1 / (1 + 0.5 * t / 10)),
    (InverseTime(0.1, 0.5, every=10, staircase=True), lambda t: 0.1 / (1 + 0.5 * (t // 10))),
    (Piecewise([0.1, 0.3, 0.2], [20, 50]), lambda t: [0.1, 0.3, 0.2][bisect.bisect_right([20, 50], t)]),
    (Interpolate([(5, 0.1), (25, 0.2), (60, 0)]), one_cycle([(0, 0.1), (5, 0.1), (25, 0.2), (60, 0.0)], lambda r: r)),
    (
        Interpolate([(0, 0.004), (30, 0.1), (64.5, 4e-7)], "cosine"),
        one_cycle([(0, 0.004), (30, 0.1), (64.5, 4e-7)], lambda r: 1 - half(r)),
    ),
    (Warmup(COSINE, steps=10), warmup(cosine, 10)),
    (Warmup(0.1, steps=12.5, start=0.02), warmup(always(0.1), 12.5, 0.02)),
    (Warmup(LINE, steps=9, start=0.0, shape="cosine"), warmup(line, 9, 0.0, "cosine")),
    (Warmup(LINE, steps=9, shape="square"), warmup(line, 9, None, "square")),
    (Warmup(LINE, steps=9, shape="sqrt"), warmup(line, 9, None, "sqrt")),
    (WSD(0.1, steps=60, warmup=10, decay=20), cooldown(warmup(always(0.1), 10), 40, 20)),
    (
        WSD(0.1, steps=60, warmup=0, decay=30, end=0.01, shape="cosine"),
        cooldown(always(0.1), 30, 30, 0.01, "cosine"),
    ),
    (Cooldown(COSINE, at=15, steps=20), cooldown(cosine, 15, 20)),
    (Cooldown(0.1, at=15, steps=20.5, end=0.02, shape="linear"), cooldown(always(0.1), 15, 20.5, 0.02, "linear")),
    (Cooldown(LINE, at=0, steps=20, shape="square"), cooldown(line, 0, 20, 0, "square")),
    (Join([COSINE, 0.3, LINE], [20, 33]), lambda t: cosine(t) if t < 20 else 0.3 if t < 33 else line(t - 33)),
    (Product(COSINE, LINE), lambda t: cosine(t) * line(t)),
    (Sum(0.5, LINE), lambda t: 0.5 + line(t)),
    (Clip(LINE, 0.05, 0.15), lambda t: min(max(line(t), 0.05), 0.15)),
    (Clip(LINE, 0.05), lambda t: max(line(t), 0.05)),
    (Shift(LINE, 11), lambda t: line(max(t - 11, 0))),
    (Stretch(LINE, 2.5), lambda t: line(t / 2.5)),
    (Every(LINE, 4), lambda t: line(t // 4)),
]
"""Each family at least once, with values of at most 1."""

TIMES: list[float] = [*range(75), 0.5, 2.25, 9.75, 17.5, 39.999, 40.001, 1000, 12345.5]


def peak(formula: Any) -> float:
    return max(abs(formula(t)) for t in TIMES)
