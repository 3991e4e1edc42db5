"""The ``tune`` command: the best numbers of a rule for a problem."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, Literal

from adamcore._checks.extras import import_extra
from adamcore._cli.output import OutputError, check_output, check_writable, write_output
from adamcore._cli.problems import UsageError, load_problem, read_rules
from adamcore._cli.search_space import read_space
from adamcore._cli.trying import threads_for, try_out

# Here, since a file beside the user's problem may have the name of a module that these need.
from adamcore.training.tuning.tune import tune
from adamcore.training.tuning.tuning import Tuning

_USAGE = 2


def run(
    problem: str,
    *,
    rule: str,
    trials: int,
    steps: int,
    space: str | None,
    seeds: int,
    seed: int,
    workers: int,
    storage: Path | None,
    pruner: str,
    metric: str | None,
    mode: Literal["min", "max"],
    refine: int | None,
    json: Path | None,
    plot: Path | None,
) -> int:
    """Search, print what was found, and write it.

    Returns
    -------
    int
        The exit status: 2 if the problem or an argument cannot be used.
    """
    options: dict[str, Any] = {"trials": trials, "steps": steps, "seeds": seeds, "seed": seed, "workers": workers}
    options |= {"storage": storage, "metric": metric, "mode": mode, "pruner": None if pruner == "none" else pruner}
    try:
        _require_outputs(json, plot)
        make = _read_rule(rule)
        options["space"] = None if space is None else read_space(space)
        with redirect_stdout(sys.stderr):  # what the problem prints is no result
            found = load_problem(problem)
            try_out(found, "tune")
            with threads_for(found):
                tuning = _search(found, make, refine, options)
        print(tuning.table())
        _save(tuning, json, plot)
    except (UsageError, OutputError) as error:
        print(f"adamcore tune: {error}", file=sys.stderr)
        return _USAGE if isinstance(error, UsageError) else 1
    return 0


def _require_outputs(json: Path | None, plot: Path | None) -> None:
    if json is not None:
        check_writable(json)
    if plot is not None:
        check_output(plot)
        try:
            import_extra("matplotlib", "--plot", "plot")
        except ModuleNotFoundError as error:
            raise OutputError(str(error)) from None


def _read_rule(text: str) -> Any:
    """Return the rule that is named, with its options bound."""
    found = read_rules(text, None, option="--rule")
    if len(found) > 1:
        names = ", ".join(found)
        raise UsageError(f"--rule: expected one rule, got {names}; to see which is better, tune each and compare")
    ((make,),) = found.values()
    return make if not isinstance(make, partial) or make.keywords else make.func


def _search(problem: Any, rule: Any, refine: int | None, options: dict[str, Any]) -> Tuning:
    try:
        tuning = tune(problem, rule, **options)
        is_whole = len(tuning.trials) >= options["trials"]  # and not ended by Ctrl-C
        if refine is not None and is_whole and any(trial["state"] == "complete" for trial in tuning.trials):
            tuning.refine(top=refine)
    except (TypeError, ValueError) as error:
        ours = ("tune: ", "refine: ")
        if not str(error).startswith(ours):  # a mistake in the problem, which its traceback shows
            raise
        raise UsageError(str(error).removeprefix("tune: ")) from error
    return tuning


def _save(tuning: Tuning, json: Path | None, plot: Path | None) -> None:
    for path, write in ((json, tuning.to_json), (plot, tuning.plot)):
        if path is not None:
            write_output(write, path)
    if plot is not None:
        print(f"\nPicture: {plot}")
