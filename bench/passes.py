"""Rules with sums, which go through memory more than once: python bench/passes.py.

LAMB and the other rules take turns with AdamW on one tensor of float32. Streams go through memory as AdamW, LAMB and
Adafactor do, with next to no arithmetic. The arrays are far larger than the caches. Medians of all rounds, with
quartiles.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import TYPE_CHECKING

from environment import begin
from text import aligned, duration

if TYPE_CHECKING:
    from problem import Array

BYTES = {"AdamW": 28, "LAMB": 40, "LARS": 20, "NovoGrad": 24, "Prodigy": 52, "Adafactor": 24}
"""What a step reads and writes of an element, if it has momentum and every array is touched as often as it must be."""


STREAM = "'s stream"


def call(name: str, arrays: list[Array], threads: int) -> Callable[[], object]:
    """A call of a function of stream.cpp for arrays of equal size."""
    from peers.stream import library

    function = library()[name]
    function.restype = ctypes.c_double
    function.argtypes = (*[ctypes.c_void_p] * len(arrays), ctypes.c_int64, ctypes.c_int32)
    return lambda: function(*(array.ctypes.data for array in arrays), arrays[0].size, threads)


def optimizers(size: int, threads: int) -> dict[str, Callable[[], object]]:
    """A step of AdamW, of each rule with sums over tensors, and of the streams of two of them."""
    import numpy as np

    import adamcore as ac
    from peers.stream import Stream

    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(size, np.float32) for _ in "pg")
    made = {
        "AdamW": ac.AdamW(p),
        "LAMB": ac.LAMB(p),
        "LARS": ac.LARS(p, lr=1e-6, momentum=0.9, weight_decay=1e-4),
        "NovoGrad": ac.NovoGrad(p, lr=1e-6),
        "Prodigy": ac.Prodigy(p),
    }
    Stream.prepare(threads)
    stream = Stream([p], threads)
    stream.use([g])
    return {
        **{name: lambda optimizer=optimizer: optimizer.step(g) for name, optimizer in made.items()},
        "AdamW's stream": stream.step,
        "LAMB's stream": call("stream_lamb", [stream.p, stream.g, stream.m, stream.v], threads),
    }


def adafactor(rows: int, columns: int, threads: int) -> dict[str, Callable[[], object]]:
    import numpy as np

    import adamcore as ac

    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal((rows, columns), np.float32) for _ in "pg")
    optimizer = ac.Adafactor(p)
    return {
        "Adafactor's stream": call("stream_adafactor", [p.copy(), g], threads),
        "Adafactor": lambda: optimizer.step(g),
    }


def take_turns(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each step, of `rounds` rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()  # touches pages
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def show(title: str, seconds: dict[str, list[float]], elements: int) -> None:
    first = median(next(iter(seconds.values())))
    rows = [(title, "median", "quartiles", "time / first's", "GB/s")]
    for name, times in seconds.items():
        low, middle, high = quantiles(times)
        rate = f"{BYTES[name.removesuffix(STREAM)] * elements / middle / 1e9:.1f}"
        rows.append((name, duration(middle), f"{duration(low)} to {duration(high)}", f"{middle / first:.3f}", rate))
    print("", *aligned(rows), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="number of threads (default: as many as adamcore uses)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=64 * 10**6, help="elements of the tensor")
    parser.add_argument("--matrix", type=int, nargs=2, default=(8000, 8000), metavar=("ROWS", "COLUMNS"))
    options = parser.parse_args()
    threads = begin(options.threads)
    rows, columns = options.matrix
    show(f"{options.size} float32", take_turns(optimizers(options.size, threads), options.rounds), options.size)
    show(f"{rows} x {columns} float32", take_turns(adafactor(rows, columns, threads), options.rounds), rows * columns)


if __name__ == "__main__":
    main()
