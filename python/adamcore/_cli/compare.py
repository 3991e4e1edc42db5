"""The ``compare`` command: rules and rates on a problem, side by side."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np

import adamcore as ac
from adamcore._cli.output import OutputError, check_writable
from adamcore._cli.problems import UsageError, load_problem, read_rules
from adamcore.training.problem import require_problem

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
        found = load_problem(problem)
        _try_out(found, makers)
        options: Any = {"target": target, "budget": budget, "metric": metric, "mode": mode}
        with _threads_for(found):
            result = ac.compare(found, makers, steps=steps, seeds=seeds, **options)
    except (UsageError, OutputError) as error:
        print(f"adamcore compare: {error}", file=sys.stderr)
        return _USAGE if isinstance(error, UsageError) else 1
    print(result.table())
    if json is not None:
        result.to_json(json)
    if report is not None:
        result.to_html(report)
        print(f"\nReport: {report}")
    return 0


def _threads_for(problem: Any) -> AbstractContextManager[None]:
    """Limit the threads for the digits, whose matrices are so small that more of them only waste time."""
    if getattr(problem, "__name__", "") != "adamcore._cli.digits":
        return nullcontext()
    from adamcore._cli.training import one_thread  # noqa: PLC0415  (it needs the extras)

    return one_thread()


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
    try:
        require_problem(problem, "compare")
    except TypeError as error:
        raise UsageError(str(error).removeprefix("compare: ")) from None
    try:
        ac.fit(problem, next(iter(makers.values()))[0], steps=1, progress=None)
    except KeyboardInterrupt:
        raise
    except Exception as error:
        raise UsageError(f"the problem does not work: {type(error).__name__}: {error}") from error
    try:
        for candidates in makers.values():
            for make in candidates:
                make(problem.init(np.random.default_rng(0)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"--rules: {error}") from None
