"""Training that is killed goes on from its latest checkpoint, and ends with the same bits as if nothing had happened.

Run as it is, this program starts its own training in another process, kills it up to three times, starts it again each
time, and compares the result with that of a run that was left alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import adamcore as ac

STEPS = 1500


def train(folder: Path) -> None:
    """Fit a line to noisy batches, from the latest checkpoint in a folder if there is one."""
    params = {"w": np.zeros(8, np.float32), "b": np.zeros(1, np.float32)}
    opt = ac.AdamW(params, lr=ac.schedules.WSD(0.02, steps=STEPS, warmup=200, decay=400))
    ema = ac.EMA(opt, 0.99)
    rng = np.random.default_rng(0)

    checkpoints = ac.Checkpoints(folder, keep=2)
    resumed = checkpoints.load(opt)
    if resumed is not None:
        rng = resumed["rng"]

    while opt.completed < STEPS:
        x = rng.standard_normal((32, 8), np.float32)
        error = x @ params["w"] + params["b"] - (x.sum(axis=1) + 1 + rng.standard_normal(32, np.float32))
        opt.step({"w": x.T @ error / 32, "b": np.array([error.mean()])})
        if opt.completed % 50 == 0:
            checkpoints.save(opt.completed, opt, metric=float(np.square(error).mean()), extra={"rng": rng})

    np.savez(folder / "result.npz", **params, **{f"ema/{name}": array for name, array in ema.arrays.items()})


def run(folder: Path, lifetime: float | None) -> bool:
    """Train in another process. With a lifetime, kill it after so many seconds. Return whether it came to its end."""
    process = subprocess.Popen([sys.executable, __file__, str(folder)])  # noqa: S603  (this program)
    try:
        return process.wait(lifetime) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


if len(sys.argv) > 1:
    train(Path(sys.argv[1]))
    sys.exit()

with tempfile.TemporaryDirectory() as name:
    unbroken, killed = Path(name) / "unbroken", Path(name) / "killed"
    begin = time.perf_counter()
    assert run(unbroken, None)
    duration = time.perf_counter() - begin
    kills = sum(not run(killed, duration * share) for share in (0.5, 0.6, 0.7))
    assert run(killed, None)
    results = [np.load(folder / "result.npz") for folder in (unbroken, killed)]
    assert all(np.array_equal(results[0][key], results[1][key]) for key in results[0].files)
    for result in results:
        result.close()

print(f"killed {kills} times, and the same bits as a run that was left alone")
