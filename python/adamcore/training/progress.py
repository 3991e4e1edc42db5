"""What `fit` shows while it runs: a bar on a terminal, and lines elsewhere."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

from adamcore._core import short_repr


class Silent:
    """Shows nothing."""

    def begin(self, steps: int | None, done: int) -> None:
        """Begin a run of `steps` steps, or of unknown length, of which some have been done."""

    def step(self, step: int, loss: float | None = None) -> None:
        """Show that a step has been done."""

    def validation(self, step: int, numbers: Mapping[str, float]) -> None:
        """Show the numbers of a validation."""

    def say(self, text: str) -> None:
        """Show a line."""

    def end(self) -> None:
        """End."""


class Lines(Silent):
    """Prints a line at each validation, on stderr."""

    def validation(self, step: int, numbers: Mapping[str, float]) -> None:
        """Show the numbers of a validation."""
        self.say(f"step {step}: " + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))

    def say(self, text: str) -> None:
        """Show a line."""
        print(text, file=sys.stderr, flush=True)


class Bar(Lines):
    """Shows a bar of rich's, and lines above it."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  (an extra)
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        columns = BarColumn(None), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
        self._bar: Any = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task: Any = None

    def begin(self, steps: int | None, done: int) -> None:
        """Begin a run of `steps` steps, or of unknown length, of which some have been done."""
        self._task = self._bar.add_task("", total=steps, completed=done)
        self._bar.start()

    def step(self, step: int, loss: float | None = None) -> None:
        """Show that a step has been done."""
        self._bar.update(self._task, completed=step, description="" if loss is None else f"loss {loss:.4g}")

    def say(self, text: str) -> None:
        """Show a line."""
        self._bar.console.print(text, markup=False, highlight=False)

    def end(self) -> None:
        """End."""
        self._bar.stop()


def make_progress(wanted: Any, owner: str) -> Silent:
    """Return what shows the progress: "auto", "bar", "lines", or None or False for nothing."""
    if wanted is None or wanted is False or wanted == "none":
        return Silent()
    if wanted in ("auto", True):
        has_rich = sys.stderr.isatty() and importlib.util.find_spec("rich") is not None
        return Bar() if has_rich else Lines()
    if wanted == "bar":
        return Bar()
    if wanted == "lines":
        return Lines()
    raise ValueError(f'{owner}: progress must be "auto", "bar", "lines" or None, got {short_repr(wanted)}')
