"""What a comparison shows, and what it does not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from adamcore.training.comparing.contestant import Contestant
from adamcore.training.metrics import Metric


class Cost(NamedTuple):
    """What orders rules and their candidates: low is good."""

    median: float
    """Of the final costs over the seeds: infinity if half of the runs have diverged, or more."""
    diverged: int
    """How many runs have diverged."""
    of_others: float
    """The median over the other runs."""


class Entry(NamedTuple):
    """A rule with its best candidate: the runs of all seeds."""

    rule: str
    runs: list[Contestant]
    rates: list[float | None]
    """Of all candidates."""

    @property
    def finals(self) -> list[float | None]:
        """The last metric of each seed."""
        return [run.final for run in self.runs]

    def cost(self, metric: Metric) -> Cost:
        """Return what orders the rules."""
        return cost_of(self.runs, metric)


def cost_of(runs: Sequence[Contestant], metric: Metric) -> Cost:
    """Return the cost of a candidate."""
    costs = [metric.cost(run.final) for run in runs]
    finite = [cost for cost in costs if math.isfinite(cost)]
    return Cost(median(costs), len(costs) - len(finite), median(finite) if finite else math.inf)


def best_candidate(runs: Sequence[Sequence[Contestant]], metric: Metric) -> int:
    """Return which candidate of a rule is the best: the one with the lowest median; of equal ones the first."""
    costs = [cost_of(of_candidate, metric) for of_candidate in runs]
    return costs.index(min(costs))


def verdict_of(ranked: Sequence[Entry], metric: Metric) -> tuple[str | None, str]:
    """Return the best rule, or None if no difference is shown, and a sentence that says so."""
    first = ranked[0]
    if math.isinf(first.cost(metric).median):
        share = (
            "" if all(value is None for entry in ranked for value in entry.finals) else " in half of the seeds or more"
        )
        return None, f"no rule is best: every rule diverged{share}"
    if len(ranked) == 1:
        return None, f"{first.rule} is the only rule; there is nothing to compare it with"
    second, seeds = ranked[1], len(first.runs)
    word = "lower" if metric.is_low_good else "higher"
    pairs = zip(first.finals, second.finals, strict=True)
    wins = sum(metric.cost(ours) < metric.cost(theirs) for ours, theirs in pairs)
    if seeds == 1:
        return None, f"no difference shown: one seed says nothing about {first.rule} and {second.rule}"
    if wins < seeds:
        return None, (
            f"no difference shown: {first.rule} has the best median of {metric.name}, but it beats {second.rule} in "
            f"{wins} of {seeds} seeds only"
        )
    return first.rule, (
        f"{first.rule} is best: its {metric.name} is {word} than that of {second.rule}, the next, in each of {seeds} "
        f"seeds (rules that do not differ would show this in 1 of {2 ** (seeds - 1)} comparisons)"
    )


def warnings_of(ranked: Sequence[Entry], metric: Metric) -> list[str]:
    """Return what makes the comparison less than fair."""
    counts = {entry.rule: len(entry.rates) for entry in ranked}
    found = [] if metric.doubt is None else [metric.doubt]
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{rule} {count}" for rule, count in counts.items())
        found.append(f"the rules were not tuned alike: numbers of rates tried: {shown}")
    elif counts and next(iter(counts.values())) == 1 and len(counts) > 1:
        found.append("each rule was given one rate only; a rule with a badly chosen rate looks like a bad rule")
    for entry in ranked:
        known = sorted({rate for rate in entry.rates if rate is not None})
        rate = entry.runs[0].lr
        if len(known) > 1 and rate in (known[0], known[-1]) and not math.isinf(entry.cost(metric).median):
            end = "lowest" if rate == known[0] else "highest"
            found.append(f"{entry.rule}: the best rate, {rate:g}, is the {end} that was tried; try {end[:-3]}er ones")
        lost = sum(run.diverged for run in entry.runs)
        if lost:
            hint = "; try lower ones" if lost == len(entry.runs) and len(entry.rates) > 1 else ""
            found.append(f"{entry.rule}: {lost} of {len(entry.runs)} runs diverged with its best rate{hint}")
        failures = [f"seed {run.seed}: {run.failure}" for run in entry.runs if run.failure is not None]
        if failures:
            found.append(f"{entry.rule}: the problem raised an error in a run that diverged, with {failures[0]}")
    return found
