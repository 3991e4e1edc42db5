"""The pictures of a `Tuning`."""

from __future__ import annotations

import math
from typing import Any

import matplotlib.figure

from adamcore.training.tuning.job import Job
from adamcore.training.tuning.ranges import Range
from adamcore.training.tuning.space import Ranges

Data = dict[str, Any]

_COLOURS = {"complete": "#1f77b4", "pruned": "#bbbbbb"}


def draw(job: Job, records: list[Data], trials: list[Any]) -> Any:
    """Return a figure: the values in the order of trials, and against each number."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    count = len(names) + 1
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = matplotlib.figure.Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    _history(panels[0], job, records)
    for panel, name in zip(panels[1:], names, strict=False):
        _slice(panel, job, name, records, trials)
    for panel in panels[count:]:
        panel.set_axis_off()
    for panel in panels[:count]:
        panel.set_ylabel(job.metric.name)
        _scale(panel, records)
    return figure


def _history(panel: Any, job: Job, records: list[Data]) -> None:
    for state, colour in _COLOURS.items():
        found = [trial for trial in records if trial["state"] == state]
        panel.scatter([t["number"] for t in found], [t["value"] for t in found], s=14, color=colour, label=state)
    best: list[float] = []
    steps: list[int] = []
    for trial in records:
        if trial["state"] == "complete" and (not best or job.metric.cost(trial["value"]) < job.metric.cost(best[-1])):
            best.append(trial["value"])
            steps.append(trial["number"])
    if best:
        panel.step([*steps, len(records)], [*best, best[-1]], where="post", color=_COLOURS["complete"], label="best")
    panel.set_xlabel("trial")
    panel.legend(frameon=False)


def _slice(panel: Any, job: Job, name: str, records: list[Data], trials: list[Any]) -> None:
    for state in reversed(_COLOURS):
        pairs = [
            (trial.params[name], record["value"])
            for record, trial in zip(records, trials, strict=True)
            if record["state"] == state and name in trial.params
        ]
        values = [str(value) if isinstance(value, (bool, str, type(None))) else value for value, _ in pairs]
        panel.scatter(values, [value for _, value in pairs], s=14, color=_COLOURS[state])
    if _is_log(job, name):
        panel.set_xscale("log")
    panel.set_xlabel(name.replace("1-", "1 - "))


def _is_log(job: Job, name: str) -> bool:
    drawn = job.space.drawn if isinstance(job.space, Ranges) else {}
    return any(
        isinstance(each, Range) and each.key(key) == name and each.scale in ("log", "from one")
        for key, each in drawn.items()
    )


def _scale(panel: Any, records: list[Data]) -> None:
    """Make room for where the good trials differ."""
    values = sorted(trial["value"] for trial in records if trial["value"] is not None)
    if len(values) > 1 and min(values) > 0 and max(values) > 10 * min(values):
        panel.set_yscale("log")
