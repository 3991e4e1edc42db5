"""What schedules cost: python bench/schedules.py.

The same optimizer steps with numbers and with schedules in turns, so that its memory lies in the same places. PyTorch's
schedulers take their turns with ours. The least time of many rounds counts, because other programs only add to it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from environment import default_threads, describe, limit_threads
from small import Calls, least_times
from text import aligned, duration

LONG = 10**7


def families() -> dict[str, Any]:
    from adamcore import schedules as s

    return {
        "Constant": s.Constant(1e-3),
        "Warmup(Cosine)": s.Warmup(s.Cosine(1e-3, steps=LONG), steps=1000),
        "WSD": s.WSD(1e-3, steps=LONG, warmup=1000, decay=1000),
        "OneCycle": s.OneCycle(1e-3, steps=LONG),
        "Exponential": s.Exponential(1e-3, 0.999999),
        "Polynomial, power 1.7": s.Polynomial(1e-3, steps=LONG, power=1.7),
        "ReduceOnPlateau(Cosine)": s.ReduceOnPlateau(s.Cosine(1e-3, steps=LONG)),
        "a function": lambda t: 1e-3 / (1 + t / LONG),
    }


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def steps(groups: int, rounds: int, repeats: int) -> dict[str, float]:
    """Seconds a step with each learning rate, which all groups share."""
    import numpy as np

    import adamcore as ac

    params = [np.ones(10, np.float32) for _ in range(groups)]
    grads = [np.full(10, 1e-3, np.float32) for _ in range(groups)]
    optimizer = ac.AdamW([{"params": p} for p in params])
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, rate in {"a number": 1e-3, **families()}.items():
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step(grads)
            seconds = seconds_of(lambda: optimizer.step(grads), repeats)
            least[name] = min(least.get(name, seconds), seconds)
    return least


def values() -> Calls:
    """One value, asked for from Python."""
    return {name: lambda s=schedule: s(1234) for name, schedule in families().items()}


def torch_schedulers() -> Calls:
    """``scheduler.step()`` of one parameter's optimizer, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return {}
    optimizer = torch.optim.AdamW([torch.zeros(10, requires_grad=True)])
    rates = torch.optim.lr_scheduler
    schedulers = {
        "torch CosineAnnealingLR": rates.CosineAnnealingLR(optimizer, LONG),
        "torch OneCycleLR": rates.OneCycleLR(optimizer, 1e-3, total_steps=LONG),
        "torch LambdaLR": rates.LambdaLR(optimizer, lambda t: 1 / (1 + t / LONG)),
    }
    optimizer.step()  # PyTorch wants it before the first step of a scheduler
    return {name: scheduler.step for name, scheduler in schedulers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    limit_threads(1)
    facts = describe(default_threads(), ["adamcore", "numpy", "torch"])
    print(", ".join(f"{key}: {value}" for key, value in facts.items() if isinstance(value, (str, int))))
    for groups, repeats in ((1, 2000), (1000, 20)):
        least = steps(groups, options.rounds, repeats)
        plain = least["a number"]
        rows = [(f"steps of {groups} group(s) that share a learning rate", "a step", "more than with a number")]
        rows += [(name, duration(seconds), duration(max(seconds - plain, 0))) for name, seconds in least.items()]
        print("", *aligned(rows), sep="\n")
    rows = [("one value, from Python; one scheduler.step()", "time")]
    least = least_times({**values(), **torch_schedulers()}, options.rounds)
    rows += [(name, duration(seconds)) for name, seconds in least.items()]
    print("", *aligned(rows), sep="\n")


if __name__ == "__main__":
    main()
