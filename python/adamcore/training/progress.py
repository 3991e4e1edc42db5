"""What `fit`, `compare` and `tune` show while they run: a bar on a terminal, and lines elsewhere."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

from adamcore._checks.extras import import_extra
from adamcore._core import short_repr


class Silent:
    """Shows nothing."""

    def begin(self, steps: int | None, done: int) -> None:
        """Begin a run of `steps` steps, or of unknown length, of which some have been done."""

    def step(self, step: int, loss: float | None = None) -> None:
        """Show that a step has been done."""

    def show(self, done: int, text: str) -> None:
        """Show how much has been done, and a word on it."""

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

    def __init__(self, what: str) -> None:
        rich: Any = import_extra("rich.progress", what, "demo")
        console: Any = import_extra("rich.console", what, "demo").Console(stderr=True)
        columns = rich.BarColumn(None), rich.MofNCompleteColumn(), rich.TextColumn("{task.description}")
        self._bar: Any = rich.Progress(*columns, rich.TimeRemainingColumn(), console=console, transient=True)
        self._task: Any = None

    def begin(self, steps: int | None, done: int) -> None:
        """Begin a run of `steps` steps, or of unknown length, of which some have been done."""
        errors: Any = import_extra("rich.errors", "progress", "demo")
        self._task = self._bar.add_task("", total=steps, completed=done)
        try:
            self._bar.start()
        except errors.LiveError:  # another bar is shown, and older versions of rich have room for one
            return

    def step(self, step: int, loss: float | None = None) -> None:
        """Show that a step has been done."""
        self.show(step, "" if loss is None else f"loss {loss:.4g}")

    def show(self, done: int, text: str) -> None:
        """Show how much has been done, and a word on it."""
        self._bar.update(self._task, completed=done, description=text)

    def say(self, text: str) -> None:
        """Show a line."""
        self._bar.console.print(text, markup=False, highlight=False)

    def end(self) -> None:
        """End."""
        self._bar.stop()


def make_progress(wanted: Any, owner: str) -> Silent:
    """Return what shows the progress: "auto", "bar", "lines", or None or False for nothing."""
    if wanted is None or wanted is False:
        return Silent()
    choice = "auto" if wanted is True else wanted
    if not isinstance(choice, str) or choice not in ("auto", "bar", "lines"):
        error = ValueError if isinstance(choice, str) else TypeError
        raise error(f'{owner}: progress must be "auto", "bar", "lines" or None, got {short_repr(wanted)}')
    has_rich = importlib.util.find_spec("rich") is not None
    if choice == "bar" or (choice == "auto" and has_rich and sys.stderr is not None and sys.stderr.isatty()):
        return Bar(f'{owner}: progress="bar"')
    return Lines()
