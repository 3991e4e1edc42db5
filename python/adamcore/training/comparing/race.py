"""The runs of a comparison, a few steps of each in turns, so that all see the same moods of the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from adamcore.training.comparing.contestant import Contestant

_TURNS = 50


def turns_of(steps: int) -> range:
    """Return the steps at which the turns of a run of `steps` steps begin."""
    return range(0, steps, max(steps // _TURNS, 1))


def race(runs: Sequence[Contestant], steps: int, *, by_seconds: bool, on_turn: Callable[[], Any]) -> None:
    """Let all runs go on to the end.

    Each does `steps` steps. Or, by seconds, the first one does so many, and the others as many as they can do in the
    time that it takes. If it diverges, the next one takes its place.
    """
    turns = turns_of(steps)
    if by_seconds:
        _race_by_seconds(runs, steps, turns.step, on_turn)
    else:
        for number in range(len(turns)):
            for place in range(len(runs)):
                runs[(place + number) % len(runs)].advance(turns.step, steps)
            on_turn()
    for run in runs:
        run.finish()


def _race_by_seconds(runs: Sequence[Contestant], steps: int, turn: int, on_turn: Callable[[], Any]) -> None:
    while (pace := next((run for run in runs if not run.diverged), None)) and len(pace.losses) < steps:
        pace.advance(turn, steps)
        for run in runs:
            while run.elapsed < pace.elapsed and not run.diverged:
                run.advance(1, None)
        on_turn()
