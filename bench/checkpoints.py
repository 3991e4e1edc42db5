"""Checkpoints: python bench/checkpoints.py.

An optimizer and its parameters are saved by adamcore, and the same arrays by the safetensors library, whose file is
then synchronised with the disk, as adamcore's is. Both take turns. So do a save in the background, as far as the caller
waits for it, and copies of the arrays: into new memory, and into memory that is there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from environment import begin
from text import aligned, duration

SAVED, LIBRARY, LOADED = "adamcore: save", "safetensors and fsync", "adamcore: load"
BACKGROUND, NEW_COPY, COPY = "adamcore: background, the caller", "copy into new memory", "copy"
PAIRS = ((SAVED, LIBRARY), (BACKGROUND, NEW_COPY), (BACKGROUND, COPY))
"""What is compared with what."""


def calls(folder: Path, size: int, tensors: int) -> tuple[dict[str, Callable[[], object]], int]:
    """Return what takes turns, and the number of bytes."""
    import numpy as np
    from safetensors.numpy import save_file

    import adamcore as ac

    rng = np.random.default_rng(0)
    params = {f"p{i}": rng.standard_normal(size // 12 // tensors, np.float32) for i in range(tensors)}
    optimizer = ac.AdamW(params)
    optimizer.step({name: p * np.float32(0.1) for name, p in params.items()})
    arrays = {f"param/{name}/value": p for name, p in params.items()}
    for name, slots in optimizer.state.items():
        arrays.update({f"state/{name}/{slot}": array for slot, array in slots.items()})
    there = {key: array.copy() for key, array in arrays.items()}

    def library() -> None:
        save_file(arrays, folder / "library.safetensors")
        file = os.open(folder / "library.safetensors", os.O_RDWR)
        os.fsync(file)
        os.close(file)

    def copy() -> None:
        for key, array in arrays.items():
            np.copyto(there[key], array)

    return {
        SAVED: lambda: optimizer.save(folder / "own.safetensors"),
        LIBRARY: library,
        LOADED: lambda: optimizer.load(folder / "own.safetensors"),
        BACKGROUND: lambda: optimizer.save(folder / "own.safetensors", background=True),
        NEW_COPY: lambda: {key: array.copy() for key, array in arrays.items()},
        COPY: copy,
    }, sum(array.nbytes for array in arrays.values())


def take_turns(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call. A file that is written in the background is waited for, but not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for k in range(rounds + 1):
        for name, step in steps.items():
            began = time.perf_counter()
            result = step()
            took = time.perf_counter() - began
            if hasattr(result, "wait"):
                result.wait()
            del result
            if k > 0:  # the first round touches pages
                seconds[name].append(took)
    return seconds


def show(title: str, seconds: dict[str, list[float]], size: int) -> None:
    rows = [(title, "median", "quartiles", "GB/s")]
    for name, times in seconds.items():
        low, middle, high = quantiles(times)
        rows.append((name, duration(middle), f"{duration(low)} to {duration(high)}", f"{size / middle / 1e9:.2f}"))
    print("", *aligned(rows), "", sep="\n")
    for one, other in PAIRS:
        print(f"{one} / {other}: {median(seconds[one]) / median(seconds[other]):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="number of threads (default: as many as adamcore uses)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=2**30, help="bytes of the file")
    parser.add_argument("--tensors", type=int, default=16)
    parser.add_argument("--folder", type=Path, help="a folder on the disk (default: a temporary one)")
    options = parser.parse_args()
    begin(options.threads)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        steps, size = calls(Path(folder), options.size, options.tensors)
        show(f"{size} bytes in {3 * options.tensors} arrays", take_turns(steps, options.rounds), size)


if __name__ == "__main__":
    main()
