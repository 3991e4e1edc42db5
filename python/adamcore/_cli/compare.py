"""The ``compare`` command: rules and rates on a problem, side by side."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np

from adamcore._cli.output import OutputError, check_writable, write_output
from adamcore._cli.problems import UsageError, load_problem, read_rules
from adamcore._cli.trying import threads_for, try_out

# Here, since a file beside the user's problem may have the name of a module that these need.
from adamcore.training.comparing.compare import compare
from adamcore.training.comparing.comparison import Comparison

_USAGE = 2


def run(
    problem: str,
    *,
    rules: str,
    rates: str,
    seeds: int,
    steps: int,
    target: float | None,
    budget: Literal["steps", "seconds"],
    metric: str | None,
    mode: Literal["min", "max"],
    report: Path | None,
    json: Path | None,
) -> int:
    """Compare, print the table, and write the report.

    Returns
    -------
    int
        The exit status: 2 if the problem or an argument cannot be used.
    """
    try:
        for path in (report, json):
            if path is not None:
                check_writable(path)
        makers = read_rules(rules, _read_rates(rates))
        options: Any = {"target": target, "budget": budget, "metric": metric, "mode": mode}
        with redirect_stdout(sys.stderr):  # what the problem prints is no result
            found = load_problem(problem)
            _try_out(found, makers)
            result = _compare(found, makers, steps=steps, seeds=seeds, **options)
        print(result.table())
        _save(result, report, json)
    except (UsageError, OutputError) as error:
        print(f"adamcore compare: {error}", file=sys.stderr)
        return _USAGE if isinstance(error, UsageError) else 1
    return 0


def _compare(problem: Any, makers: dict[str, Any], **options: Any) -> Comparison:
    try:
        with threads_for(problem):
            return compare(problem, makers, **options)
    except (TypeError, ValueError) as error:
        if not str(error).startswith("compare: "):  # a mistake in the problem, which its traceback shows
            raise
        raise UsageError(str(error).removeprefix("compare: ")) from error


def _save(result: Comparison, report: Path | None, json: Path | None) -> None:
    for path, write in ((json, result.to_json), (report, result.to_html)):
        if path is not None:
            write_output(write, path)
    if report is not None:
        print(f"\nReport: {report}")


def _read_rates(text: str) -> list[float] | None:
    if text.strip() == "default":
        return None
    try:
        rates = [float(rate) for rate in text.split(",")]
    except ValueError:
        raise UsageError(f"--lr: expected numbers such as 1e-3,1e-2, got {text!r}") from None
    if not all(0 < rate < np.inf for rate in rates) or len(set(rates)) < len(rates):
        raise UsageError(f"--lr: expected different numbers > 0, got {text!r}")
    return rates


def _try_out(problem: Any, makers: dict[str, Any]) -> None:
    """Raise UsageError unless a step of the problem can be done, and each rule takes its parameters and options."""
    try_out(problem, "compare")
    try:
        for candidates in makers.values():
            for make in candidates:
                make(problem.init(np.random.default_rng(0)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"--rules: {error}") from None
