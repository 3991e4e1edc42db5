"""The numbers of a comparison as plain data, and its table as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from adamcore.training.comparing.contestant import Contestant
from adamcore.training.comparing.verdict import Entry

Data = dict[str, Any]


def plain(value: Any) -> Any:
    """Return nested data with None for each number that is not finite, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def row_of(entry: Entry, target: float | None) -> Data:
    """Return the numbers of one rule."""
    finals = [value for value in entry.finals if value is not None]
    bests = [run.best for run in entry.runs if run.best is not None]
    reached = [None if target is None else run.reached(target) for run in entry.runs]
    there = [at for at in reached if at is not None]
    shares = [run.share for run in entry.runs if not math.isnan(run.share)]
    # Runs that never got there count as longer than all others.
    middle = len(reached) - len(there) < len(reached) / 2
    return {
        "rule": entry.rule,
        "lr": entry.runs[0].lr,
        "lrs": list(entry.rates),
        "final": entry.finals,
        **_spread("final", finals),
        **_spread("best", bests),
        "steps_to_target": _median_of_all([at and at[0] for at in reached]) if middle else None,
        "seconds_to_target": _median_of_all([at and at[1] for at in reached]) if middle else None,
        "reached": len(there),
        "diverged": sum(run.diverged for run in entry.runs),
        "optimizer_share": median(shares) if shares else None,
        "state_bytes": entry.runs[0].state_bytes,
    }


def _spread(name: str, values: list[float]) -> Data:
    if not values:
        return {f"{name}_{of}": None for of in ("median", "min", "max")}
    return {f"{name}_median": median(values), f"{name}_min": min(values), f"{name}_max": max(values)}


def _median_of_all(values: Sequence[float | None]) -> float | None:
    found = median(math.inf if value is None else value for value in values)
    return None if math.isinf(found) else found


def curves_of(runs: Sequence[Contestant]) -> Data:
    """Return what is drawn of one rule: medians and bands over its seeds, as far as any run got."""
    longest = max(runs, key=lambda run: len(run.losses))
    validations = _band([[value for _, _, value in run.metrics] for run in runs])
    steps = [step for step, _, _ in max(runs, key=lambda run: len(run.metrics)).metrics]
    ratios = _band([[ratio for _, ratio in run.ratios] for run in runs])
    return {
        "steps": list(range(1, len(longest.losses) + 1)),
        "loss": _band([run.losses for run in runs]),
        "seconds": _band([run.seconds for run in runs])["median"],
        "validation": {"steps": steps, **validations},
        "lr": {"steps": list(range(1, len(longest.rates) + 1)), "value": list(longest.rates)},
        "ratio": {
            "steps": [step for step, _ in max(runs, key=lambda run: len(run.ratios)).ratios],
            "median": ratios["median"],
        },
    }


def _band(series: Sequence[Sequence[float]]) -> Data:
    """Return median, lowest and highest of several series, place by place; shorter ones end earlier."""
    length = max(map(len, series), default=0)
    table = np.full((len(series), length), np.nan)
    for row, values in zip(table, series, strict=True):
        row[: len(values)] = values
    table[~np.isfinite(table)] = np.nan
    columns = [column[~np.isnan(column)] for column in table.T]
    with np.errstate(over="ignore"):
        medians = [float(np.median(column)) if column.size else None for column in columns]
    return {
        "median": medians,
        "low": [float(column.min()) if column.size else None for column in columns],
        "high": [float(column.max()) if column.size else None for column in columns],
    }


def profile_of(reached: Mapping[str, Sequence[float | None]]) -> Data:
    """Return for each rule the share of tasks that it solves within a factor of the best rule's steps.

    `reached` has the steps of each rule on each task, which is one seed of one problem, or None; no step at all counts
    as one. This is the performance profile of Dolan and More, which AlgoPerf uses (Dahl et al. 2023).
    """
    tasks = len(next(iter(reached.values()), []))
    needed = {rule: [math.inf if at is None else max(at, 1) for at in steps] for rule, steps in reached.items()}
    fastest = [min(steps[i] for steps in needed.values()) for i in range(tasks)]
    found = {}
    for rule, steps in needed.items():
        factors = sorted(at / first for at, first in zip(steps, fastest, strict=True) if math.isfinite(at))
        found[rule] = {"factor": factors, "share": [(k + 1) / tasks for k in range(len(factors))]}
    return found


_HEADERS = ("rule", "rate", "of", "final", "min", "max", "best", "steps", "s", "diverged", "share", "state")


def text_table(data: Data) -> str:
    """Return the table of a comparison as text."""
    lines = [list(_HEADERS)]
    lines += [_cells(row, len(data["seeds"])) for row in data["rows"]]
    widths = [max(len(line[k]) for line in lines) for k in range(len(_HEADERS))]
    body = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    ]
    return "\n".join(body)


def _cells(row: Data, seeds: int) -> list[str]:
    lost = row["final_median"] is None and row["diverged"]
    name = f"{row['rule']} *" if row["marked"] else row["rule"]
    share = row["optimizer_share"]
    return [
        name,
        _shown(row["lr"], "g"),
        str(len(row["lrs"])),
        "diverged" if lost else _shown(row["final_median"]),
        _shown(row["final_min"]),
        _shown(row["final_max"]),
        _shown(row["best_median"]),
        _shown(row["steps_to_target"], ".0f"),
        _shown(row["seconds_to_target"], ".2f"),
        f"{row['diverged']} of {seeds}",
        "-" if share is None else f"{share:.0%}",
        _memory(row["state_bytes"]),
    ]


def _shown(value: float | None, form: str = ".4g") -> str:
    return "-" if value is None else format(value, form)


def _memory(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
