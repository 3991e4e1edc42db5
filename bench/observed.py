"""Statistics of steps: python bench/observed.py.

AdamW, and AdamW with statistics, take turns on one tensor of float32 that is far larger than the caches. Medians of all
rounds, with quartiles. With --rule, another optimizer; with --dtype, another type of parameters and gradients.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import quantiles

from environment import begin
from passes import take_turns
from text import aligned, duration

NORMS = ("grad_rms", "param_rms", "update_rms", "ratio")
COLUMNS = {
    "no statistics": False,
    "norms": NORMS,
    "norms, cos, zero, lost, grad_max": (*NORMS, "cos", "zero", "lost", "grad_max"),
    "all columns": True,
}


def steps(rule: str, dtype: str, size: int) -> dict[str, Callable[[], object]]:
    import ml_dtypes
    import numpy as np

    import adamcore as ac

    rng = np.random.default_rng(0)
    wanted = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    g = rng.standard_normal(size, np.float32).astype(wanted)
    optimizer = getattr(ac, rule)(rng.standard_normal(size, np.float32).astype(wanted))
    return {name: lambda stats=stats: optimizer.step(g, stats=stats) for name, stats in COLUMNS.items()}


def show(title: str, seconds: dict[str, list[float]]) -> None:
    without = seconds["no statistics"]
    rows = [(title, "median", "quartiles", "time / without", "quartiles")]
    for name, times in seconds.items():
        low, middle, high = quantiles(times)
        less, ratio, more = quantiles([a / b for a, b in zip(times, without, strict=True)])
        rows.append(
            (
                name,
                duration(middle),
                f"{duration(low)} to {duration(high)}",
                f"{ratio:.3f}",
                f"{less:.3f} to {more:.3f}",
            )
        )
    print("", *aligned(rows), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="number of threads (default: as many as adamcore uses)")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--size", type=int, nargs="*", default=[16 * 10**6, 64 * 10**6], help="elements of the tensor")
    parser.add_argument("--rule", default="AdamW")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64", "float16", "bfloat16"])
    options = parser.parse_args()
    begin(options.threads)
    for size in options.size:
        title = f"{options.rule}, {size} {options.dtype}"
        show(title, take_turns(steps(options.rule, options.dtype, size), options.rounds))


if __name__ == "__main__":
    main()
