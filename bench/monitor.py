"""What a monitor costs a step: python bench/monitor.py.

Monitors observe noisy losses, without and with a norm, as Python's and as NumPy's numbers, and statistics of few and of
many tensors in every eighth step. Policies act where there is nothing to do. They take turns with an AdamW step of one
parameter with 1000 elements, which is short, and with float(loss), which any loop does. Medians of all rounds, with
quartiles.

Such loops have all that they need in the caches. The rows "cold" are of single steps, each after 64 MB of other numbers
were read, and have the cost of the clock. A training loop lies between the two.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from environment import begin
from text import aligned, duration

LOSSES = 1000
TENSORS = (10, 1000)

Call = Callable[[], object]


def yardsticks() -> dict[str, tuple[Call, int]]:
    """A step of an optimizer, and the least that is done with a loss: a call, and how many steps it stands for."""
    import numpy as np

    import adamcore as ac

    g = np.full(1000, 0.5, np.float32)
    optimizer, grads = ac.AdamW([np.zeros(1000, np.float32)]), [g]
    losses = [np.float32(loss) for loss in noise()]
    return {
        "float(loss), NumPy's": (lambda: [float(loss) for loss in losses], LOSSES),
        "AdamW's step, 1000 float32": (lambda: [optimizer.step(grads) for _ in range(100)], 100),
    }


def steps() -> dict[str, tuple[Call, int]]:
    """Observations of steps without statistics."""
    import numpy as np

    import adamcore as ac

    def observe(kind: type, norm: float | None) -> tuple[Call, int]:
        monitor = ac.Monitor(ac.SGD(np.ones(1)), stats_every=None)
        losses, info = [kind(loss) for loss in noise()], ac.StepInfo(False, norm)
        return lambda: [monitor.observe(loss, info) for loss in losses], LOSSES

    return {
        "observe, no norm": observe(float, None),
        "observe, norm": observe(float, 1.0),
        "observe, no norm, NumPy's": observe(np.float32, None),
        "observe, norm, NumPy's": observe(np.float32, 1.0),
    }


def policies() -> dict[str, tuple[Call, int]]:
    """Policies that find nothing to do: where losses fall, and where they are slow and a saddle could be looked for."""
    import numpy as np

    import adamcore as ac

    def act(losses: list[float], **options: Any) -> tuple[Call, int]:
        monitor = ac.Monitor(ac.SGD(np.ones(1)), stats_every=None)
        policy = ac.escape.Policy(monitor, **options)
        for loss in losses:
            monitor.observe(loss, ac.StepInfo())
        return lambda: [policy.act(None) for _ in range(LOSSES)], LOSSES

    falling = [0.99**i for i in range(LOSSES)]
    return {
        "act, no loss_and_grad": act(falling),
        "act, falling": act(falling, loss_and_grad=lambda w, _: (1.0, w), budget=1),
    }


def statistics(count: int) -> tuple[Call, int]:
    """Observations of steps, of which one in eight has statistics of so many tensors."""
    monitor, infos = with_statistics(count)
    return lambda: [monitor.observe(1.0, info) for info in infos], len(infos)


def with_statistics(count: int) -> tuple[Any, list[Any]]:
    """A monitor, and the results of 40 steps, of which one in eight has statistics of so many tensors."""
    import numpy as np

    import adamcore as ac

    rng = np.random.default_rng(0)
    params = {f"w{i}": np.ones((4, 4)) for i in range(count)}
    optimizer = ac.AdamW(params, lr=1e-3)
    monitor = ac.Monitor(optimizer, stats_every=8)
    infos = []
    for step in range(40):
        grads = {name: rng.standard_normal((4, 4)) for name in params}
        infos.append(optimizer.step(grads, stats=step % 8 == 0 and monitor.columns))
    return monitor, infos


def cold(count: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of single observations with cold caches, of steps without statistics and with them."""
    import numpy as np

    monitor, infos = with_statistics(count)
    other = np.ones(8_000_000)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    while min(map(len, seconds.values())) < rounds:
        for info in infos:
            other.sum()
            began = time.perf_counter()
            monitor.observe(1.0, info)
            seconds[info.stats is not None].append(time.perf_counter() - began)
    return {
        "observe, no norm, cold": seconds[False],
        f"observe, statistics of {count} tensors, cold": seconds[True],
    }


def noise() -> list[float]:
    import numpy as np

    return (1 + 0.05 * np.random.default_rng(0).standard_normal(LOSSES)).tolist()


def take_turns(calls: dict[str, tuple[Call, int]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of one step in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call, _ in calls.values():
        call()
    for _ in range(rounds):
        for name, (call, count) in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append((time.perf_counter() - began) / count)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=101)
    options = parser.parse_args()
    begin(1)
    of_tensors = {f"observe, statistics of {count} tensors in 1 of 8": statistics(count) for count in TENSORS}
    rows = [("one step", "median", "quartiles")]
    warm = take_turns({**yardsticks(), **steps(), **policies(), **of_tensors}, options.rounds)
    for name, times in {**warm, **cold(TENSORS[0], options.rounds)}.items():
        low, middle, high = quantiles(times)
        rows.append((name, duration(middle), f"{duration(low)} to {duration(high)}"))
    print("", *aligned(rows), sep="\n")


if __name__ == "__main__":
    main()
