"""The ``demo`` command and its output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from adamcore._cli import plot, showcase, training
from adamcore._cli.output import OutputError, check_output
from adamcore._cli.training import RULES, Contest, Digits, Maker, Run


def run(*, epochs: int, hidden: int, seed: int, output: Path) -> int:
    """Show what adamcore is fast at and helpful with, and save the loss curves.

    Parameters
    ----------
    epochs, hidden, seed : int
        Arguments of `adamcore._cli.training.train`.
    output : Path
        The file for the plot.

    Returns
    -------
    int
        The exit status.
    """
    console = Console(highlight=False, markup=False)
    try:
        check_output(output)
        with training.one_thread():
            console.print("1. Many tensors: one call updates all of them, in place")
            showcase.show_many_tensors(console, seed)
            digits = training.read_digits(seed)
            passes = "1 epoch" if epochs == 1 else f"{epochs} epochs"
            network = f"network 64-{hidden}-10, float32, {passes} in batches of {training.BATCH}"
            console.print(f"\n2. Five optimizers learn to read {len(digits.x)} handwritten digits:\n   {network}")
            contests = _hold_contests(console, digits, epochs=epochs, hidden=hidden, seed=seed)
            console.print(_make_table(contests))
            console.print(_sum_up(contests))
            plot.save_curves(output, contests, network.capitalize())
            console.print("\n3. A rate that is far too large, and what ac.Monitor says of it")
            showcase.show_wrong_rate(console, seed)
            console.print("\n4. Which optimizer is best? ac.compare: 3 rates and 3 seeds for each")
            showcase.show_comparison(console, seed)
    except OutputError as error:
        print(f"adamcore demo: {error}", file=sys.stderr)
        return 1
    showcase.show_next(console)
    console.print(f"\nLoss curves of part 2: {output}", soft_wrap=True)
    return 0


def _hold_contests(console: Console, digits: Digits, *, epochs: int, hidden: int, seed: int) -> list[Contest]:
    with _make_bar(console) as bar:
        task = bar.add_task("", total=2 * epochs * len(RULES))

        def train(make: Maker, description: str) -> Run:
            bar.update(task, description=description)
            on_epoch = partial(bar.advance, task)
            return training.train(make, digits, epochs=epochs, hidden=hidden, seed=seed, on_epoch=on_epoch)

        return [
            Contest(
                rule.name,
                core=train(rule.core, f"{rule.name}: adamcore"),
                textbook=train(rule.textbook, f"{rule.name}: NumPy"),
            )
            for rule in RULES
        ]


def _make_bar(console: Console) -> Progress:
    width = max(len(rule.name) for rule in RULES) + len(": adamcore")
    columns = TextColumn(f"{{task.description:<{width}}}"), BarColumn(None), TaskProgressColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _make_table(contests: Sequence[Contest]) -> Table:
    steps = contests[0].core.steps
    table = Table(box=SIMPLE_HEAD, title=f"Time of {steps} optimizer steps, on one thread", title_style="bold")
    table.add_column("\nOptimizer")
    for header in ("Validation\naccuracy", "Final\nloss", "\nadamcore", "Textbook\nNumPy", "\nFactor"):
        table.add_column(header, justify="right")
    for contest in contests:
        table.add_row(
            contest.name,
            f"{contest.core.accuracy:.1%}",
            f"{contest.core.losses[-1]:.4f}",
            _milliseconds(contest.core.step_time),
            _milliseconds(contest.textbook.step_time),
            f"{contest.factor:.1f}x",
        )
    return table


def _sum_up(contests: Sequence[Contest]) -> str:
    first = contests[0]
    apart = max(contest.difference for contest in contests)
    return (
        f"Whole training loop with {first.name}: {_milliseconds(first.core.loop_time)} with adamcore, "
        f"{_milliseconds(first.textbook.loop_time)} with NumPy.\n"
        f"The final weights differ from the textbook's by at most {apart:.0e}."
    )


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"
