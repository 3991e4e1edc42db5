"""Averages of weights: python bench/averages.py.

AdamW, AdamW that carries an average on, and AdamW followed by a pass of its own in NumPy take turns on one tensor of
float32, which is far larger than the caches. Medians of all rounds, with quartiles.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median, quantiles

from environment import begin
from passes import take_turns
from text import aligned, duration

BYTES = {"AdamW": 28, "AdamW and EMA": 36, "AdamW and NumPy": 56}
"""What a step reads and writes of an element. NumPy's pass subtracts into a buffer, multiplies it, and adds it."""


def steps(size: int) -> dict[str, Callable[[], object]]:
    import numpy as np

    import adamcore as ac

    rng = np.random.default_rng(0)
    g = rng.standard_normal(size, np.float32)
    plain, carrying, apart = (ac.AdamW(rng.standard_normal(size, np.float32)) for _ in range(3))
    ac.EMA(carrying)
    weights = apart.param_groups[0]["params"][0]
    average, difference = weights.copy(), np.empty_like(weights)

    def step_and_average() -> None:
        apart.step(g)
        np.subtract(weights, average, out=difference)
        np.multiply(difference, np.float32(1e-3), out=difference)
        np.add(average, difference, out=average)

    return {
        "AdamW": lambda: plain.step(g),
        "AdamW and EMA": lambda: carrying.step(g),
        "AdamW and NumPy": step_and_average,
    }


def show(title: str, seconds: dict[str, list[float]], elements: int) -> None:
    first = median(seconds["AdamW"])
    rows = [(title, "median", "quartiles", "time / AdamW's", "bytes / AdamW's", "GB/s")]
    for name, times in seconds.items():
        low, middle, high = quantiles(times)
        rows.append(
            (
                name,
                duration(middle),
                f"{duration(low)} to {duration(high)}",
                f"{middle / first:.3f}",
                f"{BYTES[name] / BYTES['AdamW']:.3f}",
                f"{BYTES[name] * elements / middle / 1e9:.1f}",
            )
        )
    print("", *aligned(rows), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="number of threads (default: as many as adamcore uses)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=64 * 10**6, help="elements of the tensor")
    options = parser.parse_args()
    begin(options.threads)
    show(f"{options.size} float32", take_turns(steps(options.size), options.rounds), options.size)


if __name__ == "__main__":
    main()
