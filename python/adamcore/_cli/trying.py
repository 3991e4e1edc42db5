"""What each command does with a problem before it trains many times."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import adamcore as ac
from adamcore._cli.problems import UsageError, described

# Here, since a file beside the user's problem may have the name of a module that these need.
from adamcore.training.fit import fit
from adamcore.training.problem import require_problem


def threads_for(problem: Any) -> AbstractContextManager[None]:
    """Limit the threads for the digits, whose matrices are so small that more of them only waste time."""
    if getattr(problem, "__name__", "") != "adamcore._cli.digits":
        return nullcontext()
    from adamcore._cli.training import one_thread  # noqa: PLC0415  (it needs the extras)

    return one_thread()


def try_out(problem: Any, command: str) -> None:
    """Raise UsageError unless a step of the problem can be done."""
    try:
        require_problem(problem, command)
    except TypeError as error:
        raise UsageError(str(error).removeprefix(f"{command}: ")) from None
    try:
        run = fit(problem, partial(ac.SGD, lr=0.0), steps=1, progress=None)
    except Exception as error:
        raise UsageError(f"the problem does not work: {described(error)}") from error
    if run.ended == "interrupted":
        raise KeyboardInterrupt
