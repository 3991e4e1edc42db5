"""Runs in child processes that a signal ends at random moments, until they have come to their end.

Run as a program with a folder and the name of a signal, it prints how often a process was ended, and which runs came to
something else than an unbroken one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import adamcore as ac
from fitting import Regression, everything_at_once

STEPS = 60
WAYS: list[dict[str, Any]] = [{}, {"every": 3}, {"accumulate": 3, "every": 7}, {"accumulate": 3, "dtype": np.float16}]
SECONDS = 0.04
"""About how long a process lives."""
MOST = 6
"""How many processes of a run are ended."""


class Slow(Regression):
    """As slow as it must be for signals to come in all of its functions."""

    def loss_and_grad(self, params: Any, batch: Any, loss_scale: float = 1.0) -> tuple[float, Any]:
        time.sleep(5e-4)
        return super().loss_and_grad(params, batch, loss_scale)

    def evaluate(self, params: Any) -> dict[str, float]:
        time.sleep(2e-3)
        return super().evaluate(params)


def go(problem: Any, folder: Path | None, *, dtype: Any = np.float64, every: int | None = None, **options: Any) -> Any:
    del dtype
    checkpoints = None if folder is None else ac.Checkpoints(folder, every=every)
    return everything_at_once(problem, checkpoints, steps=STEPS, **options)


def live(folder: Path, way: dict[str, Any]) -> None:
    """Go on with a run, and write down what came out if it has come to its end."""
    code = 1
    try:
        run, found = go(Slow(way.get("dtype", np.float64)), folder, **way)
        code = 2 if run.ended == "interrupted" else 0
        if code == 0:
            (folder / "found.json").write_text(json.dumps(found))
    finally:
        os._exit(code)


def end_again_and_again(folder: Path, way: dict[str, Any], number: int, chance: random.Random) -> tuple[int, Any]:
    ended = 0
    while True:
        # What comes before fit's handler is there, such as the load of a checkpoint, is Python's business.
        child = os.fork()
        if child == 0:
            live(folder, way)
        if ended < MOST:
            time.sleep(chance.uniform(0.01, 2 * SECONDS))
            os.kill(child, number)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return ended, json.loads((folder / "found.json").read_text())
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1 and number != signal.SIGINT:
            raise RuntimeError("a process failed")
        ended += 1


def main() -> None:
    folder, number = Path(sys.argv[1]), signal.Signals[sys.argv[2]]
    # A shell that starts tests in the background has them ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ac.set_num_threads(1)
    os.fsync = lambda _: None  # the processes end, and not the machine
    chance = random.Random(3)  # noqa: S311
    ended, wrong = 0, []
    for place, way in enumerate(WAYS):
        _, expected = go(Regression(way.get("dtype", np.float64)), None, **way)
        count, found = end_again_and_again(folder / str(place), way, number, chance)
        ended += count
        if found != json.loads(json.dumps(expected)):
            wrong.append(place)
    print(json.dumps({"ended": ended, "wrong": wrong}))


if __name__ == "__main__":
    main()
