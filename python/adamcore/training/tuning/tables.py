"""What `tune` found, as text and as plain data."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from adamcore.training.tuning.job import Job

Data = dict[str, Any]

_ROWS = 10
_STATES = {"complete": 0, "pruned": 1, "failed": 2}


def plain(value: Any) -> Any:
    """Return nested data of what JSON has: None for numbers that are not finite, and text for objects."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (bool, int, str, type(None))) else repr(value)


def hints_of(job: Job, trials: list[Data], best: Any, *, is_refined: bool) -> list[str]:
    """Return what to do next; `best` is the best trial as Optuna has it."""
    found = [] if job.metric.doubt is None else [job.metric.doubt]
    for name, (number, edge) in job.space.edges(best.params).items():
        way = "lower" if edge == "lowest" else "higher"
        found.append(
            f"the best {name}, {shown(number)}, is at the {edge} end of its range: search among {way} ones too"
        )
    failed = sum(trial["state"] == "failed" for trial in trials)
    if failed:
        found.append(f"{failed} of {len(trials)} trials diverged")
    if not is_refined and len(trials) > 1:
        found.append(
            f"the best of {len(trials)} trials suits its own seed best, so its value is too good: refine() "
            "(--refine 3) runs the best ones on new seeds"
        )
    return found


def shown(value: Any) -> str:
    """Return a number as text."""
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(shown, value))})"
    return "-" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def as_text(data: Data) -> str:
    """Return all that a `Tuning` has as text: the best numbers, the best trials and hints."""
    counts = ", ".join(
        f"{count} {state}"
        for state in _STATES
        if (count := sum(trial["state"] == state for trial in data["trials"])) or state == "complete"
    )
    lines = [
        f"{data['rule']} on {data['problem']}: {len(data['trials'])} trials ({counts}), {data['total_steps']} steps"
    ]
    if data["best"] is None:
        lines.append("No trial has come to its end.")
    else:
        numbers = ", ".join(f"{name}={shown(value)}" for name, value in data["best"].items())
        lines.append(f"Best {data['metric']}: {data['best_value']:.4g} with {numbers}")
    if data["trials"]:
        lines += ["", *_table(data)]
    if data["refined"] is not None:
        lines += ["", *_refined(data["refined"])]
    for hint in data["hints"]:
        lines += ["", *textwrap.wrap(f"Hint: {hint}.", 100, subsequent_indent="    ")]
    return "\n".join(lines)


def _table(data: Data) -> list[str]:
    sign = 1 if data["mode"] == "min" else -1
    ranked = sorted(
        data["trials"],
        key=lambda trial: (
            _STATES[trial["state"]],
            -trial["steps"] if trial["state"] == "pruned" else 0,
            math.inf if trial["value"] is None else sign * trial["value"],
        ),
    )
    names = list(dict.fromkeys(name for trial in ranked for name in trial["numbers"]))
    rows = [["trial", "value", "state", "steps", *names]]
    for trial in ranked[:_ROWS]:
        value = "-" if trial["value"] is None else f"{trial['value']:.4g}"
        numbers = [shown(trial["numbers"].get(name)) for name in names]
        rows.append([str(trial["number"]), value, trial["state"], str(trial["steps"]), *numbers])
    lines = _aligned(rows)
    return lines if len(ranked) <= _ROWS else [*lines, f"and {len(ranked) - _ROWS} more"]


def _refined(refined: Data) -> list[str]:
    rows = [["trial", "in the search", "median", "min", "max"]]
    for row in refined["rows"]:
        numbers = [row[name] for name in ("searched", "median", "min", "max")]
        rows.append([str(row["trial"]), *("diverged" if number is None else f"{number:.4g}" for number in numbers)])
    verdict = refined["verdict"]
    return [*textwrap.wrap(f"On new seeds: {verdict}.", 100), *_aligned(rows)]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
