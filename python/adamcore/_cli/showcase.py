"""The parts of the demo besides its table of times: what it does and says in each."""

from __future__ import annotations

from functools import partial

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

import adamcore as ac
from adamcore._cli import digits, many_tensors

_WRONG_RATE, _RIGHT_RATE = 3.0, 0.01
_STEPS = 400
_COMPARED = {
    "AdamW": [partial(ac.AdamW, lr=lr) for lr in (1e-2, 3e-2, 1e-1)],
    "SGD + momentum": [partial(ac.SGD, lr=lr, momentum=0.9) for lr in (0.1, 0.3, 1.0)],
    "RMSprop": [partial(ac.RMSprop, lr=lr) for lr in (3e-3, 1e-2, 3e-2)],
}
_NEXT = (
    ("your own problem", "python -m adamcore compare problem.py --report out.html"),
    ("your own loop", "the README's API in one screen, and examples/"),
    ("is it training well?", "docs/monitoring.md, with a picture of each finding"),
    ("rates that change", 'python -m adamcore schedule "WSD(1e-3, steps=900, warmup=50, decay=200)"'),
)


def show_many_tensors(console: Console, seed: int) -> None:
    """Time steps on many tensors, and say how much faster one call is."""
    times = many_tensors.measure(seed)
    core, book = f"{1e3 * times.core:.2f} ms", f"{1e3 * times.textbook:.1f} ms"
    _say(
        console,
        f"AdamW on {many_tensors.TENSORS} tensors of {many_tensors.SIZE} numbers, on one thread: {core} a step with "
        f"adamcore, {book} with NumPy: {times.factor:.0f} times as fast. The weights differ by at most "
        f"{times.difference:.0e}.",
    )


def show_wrong_rate(console: Console, seed: int) -> None:
    """Train with a rate that is far too large, print what the monitor says, and train with a good one."""
    for rate in (_WRONG_RATE, _RIGHT_RATE):
        run = ac.fit(
            digits,
            partial(ac.AdamW, lr=rate),
            steps=_STEPS,
            seed=seed,
            monitor=partial(ac.Monitor, window=64),
            progress=None,
        )
        if run.ended == "interrupted":
            raise KeyboardInterrupt
        loss, metrics = run.history["loss"], run.history["val_accuracy"]
        found = [f for f in run.findings if f.kind in ("lr_large", "lr_small", "exploding")]
        read = f"{metrics[-1]:.0%} of the digits read"
        _say(console, f"AdamW with lr={rate:g}: loss {loss[0]:.2f} to {loss[-1]:.3g}, {read}.")
        for finding in found[:1]:
            _say(console, f"The monitor, {finding}")
        if not found:
            _say(console, "The monitor finds nothing wrong with this rate.")


def show_comparison(console: Console, seed: int) -> None:
    """Compare rules with three rates and three seeds each, and print the verdict."""
    result = ac.compare(digits, _COMPARED, steps=_STEPS, seeds=[seed, seed + 1, seed + 2], progress=None)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("\nOptimizer")
    for header in ("Best rate\nof 3", "Validation\nloss", "\nOf 3 seeds", "Steps to\ntarget", "\nState"):
        table.add_column(header, justify="right")
    for row in result.rows:
        numbers = ("diverged", "-")
        if row["final_median"] is not None:
            numbers = f"{row['final_median']:.3f}", f"{row['final_min']:.3f}-{row['final_max']:.3f}"
        steps = "-" if row["steps_to_target"] is None else f"{row['steps_to_target']:.0f}"
        table.add_row(row["rule"], f"{row['lr']:g}", *numbers, steps, f"{row['state_bytes'] / 1000:.0f} kB")
    console.print(table)
    _say(console, f"{result.verdict[:1].upper()}{result.verdict[1:]}.")
    for warning in result.warnings:
        _say(console, f"Warning: {warning}.")


def show_next(console: Console) -> None:
    """Say where to go from here."""
    console.print("\nWhere to go next")
    for what, how in _NEXT:
        _say(console, f"{what}: {how}")


def _say(console: Console, text: str) -> None:
    console.print(Padding(text, (0, 0, 0, 2), expand=False))
