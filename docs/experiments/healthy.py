"""Watch healthy runs, and count what the monitor finds in them.

    python docs/experiments/healthy.py

100 runs of four problems, each with a seed of its own, at half the best rate, at the best one, and at 1.4 times the
best one, in turns with AdamW and with SGD with a momentum of 0.9. The best rate is that of a grid of powers of 2 with
the lowest held-out loss at the end. The norm of the gradients is known in every step (nonfinite="skip"), and the
held-out loss is measured after every epoch.

Some findings may be true:

- plateau: unless the losses fall by more than 2% within the next 256 steps (medians of 64), which are run for this
- plateau of validations: unless the held-out loss at the end of these steps is more than 2% lower
- overfitting: if the held-out loss at the end is at least 2% above its best (medians of 8 validations)
- stale: unless it is a warning, since a note says no more than what was measured
- lr_small: if three times the rate gets to lower losses in the same number of steps (means of the last 64)

All others are false. docs/monitoring-evidence.md discusses the results.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from detecting.runs import level, metrics, rise, watch
from problems.layers import Layers

import adamcore as ac

AFTER, LAST, FALL = 256, 64, 0.02
FACTORS = (0.5, 1.0, 1.4)
KINDS = (
    "plateau",
    "plateau of validations",
    "vanishing",
    "dead",
    "spike",
    "exploding",
    "overflow_loop",
    "lost",
    "stale",
    "lr_small",
    "lr_large",
    "overfitting",
)


class Group(NamedTuple):
    """Runs of one problem: how many, how long, and the best rates."""

    name: str
    runs: int
    steps: int
    epoch: int
    adamw: float
    sgd: float

    @property
    def problem(self) -> Any:
        """What is trained."""
        return Layers((64,)) if self.name == "digits" else import_module(f"problems.{self.name}")


GROUPS = (
    Group("digits", 30, 1000, 23, 0.016, 0.16),
    Group("autoencoder", 30, 1000, 45, 0.004, 0.02),
    Group("convnet", 30, 1000, 45, 0.008, 0.04),
    Group("transformer", 10, 400, 256, 0.008, 0.16),
)


class Case(NamedTuple):
    """One run."""

    group: Group
    rule: str
    rate: float
    seed: int

    def run(self, steps: int, factor: float = 1.0) -> Any:
        """Train with `factor` times the rate."""
        rate = self.rate * factor
        make = partial(ac.AdamW, lr=rate) if self.rule == "AdamW" else partial(ac.SGD, lr=rate, momentum=0.9)
        group = self.group
        return watch(
            group.problem,
            partial(make, nonfinite="skip"),
            steps=steps,
            seed=self.seed,
            validate_every=group.epoch,
        )


class Result(NamedTuple):
    """What was found in one run: the kinds, and those of them that are false; and how many steps were spikes."""

    case: Case
    found: frozenset[str]
    false: frozenset[str]
    spikes: int


def cases(group: Group, runs: int) -> Iterator[Case]:
    """Yield the first runs of a group."""
    for seed in range(runs):
        rule, best = (("AdamW", group.adamw), ("SGD", group.sgd))[seed % 2]
        yield Case(group, rule, best * FACTORS[seed // 2 % len(FACTORS)], seed)


def judge(case: Case) -> Result:
    """Train, and say what was found within the steps of the group, and what of it is false."""
    steps = case.group.steps
    run = case.run(steps + AFTER)
    findings = [finding for finding in run.monitor.findings if finding.step <= steps]
    named = [(_name(finding), finding) for finding in findings]
    return Result(
        case,
        frozenset(name for name, _ in named),
        frozenset(name for name, finding in named if not _is_true(name, finding, case, run)),
        sum(name == "spike" for name, _ in named),
    )


def _name(finding: ac.Finding) -> str:
    is_metric = finding.kind == "plateau" and "metric" in finding.evidence
    return "plateau of validations" if is_metric else finding.kind


def _is_true(name: str, finding: ac.Finding, case: Case, run: Any) -> bool:
    losses, validated = run.history["loss"], metrics(run)
    if name == "plateau":
        end = finding.step + AFTER
        before, after = (float(np.median(losses[at - LAST : at])) for at in (finding.step, end))
        return before - after <= FALL * before
    if name == "plateau of validations":
        return float(np.median(validated[-4:])) >= (1 - FALL) * finding.evidence["metric"]
    if name == "overfitting":
        return rise(validated) >= FALL
    if name == "stale":
        return finding.severity == "note"
    return name == "lr_small" and _faster(case) < float(np.mean(losses[: case.group.steps][-LAST:]))


@cache
def _faster(case: Case) -> float:
    """Return the loss that three times the rate gets to."""
    return level(case.run(case.group.steps, factor=3.0), LAST)


def measure(group: Group, runs: int) -> list[Result]:
    """Return the results of the first runs of a group."""
    return [judge(case) for case in cases(group, runs)]


def cell(results: Sequence[Result], kind: str) -> str:
    """Return in how many runs a kind was found, and in brackets in how many of them it was false."""
    found, false = (
        sum(kind in kinds for kinds in of) for of in zip(*((r.found, r.false) for r in results), strict=True)
    )
    return f"{found} ({false})" if found else "0"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Count what the monitor finds in healthy runs.")
    parser.add_argument("--runs", type=int, default=30, help="most runs of a problem (default: %(default)s)")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error(f"--runs must be at least 1, got {options.runs}")
    columns = {}
    for group in GROUPS:
        runs = min(options.runs, group.runs)
        columns[f"{group.name} ({runs})"] = measure(group, runs)
    every = [result for results in columns.values() for result in results]
    columns[f"all ({len(every)})"] = every
    print("runs in which something was found (in brackets: in how many it was false)")
    print(f"{'':24}", *(f"{name:17}" for name in columns))
    for kind in KINDS:
        print(f"{kind:24}", *(f"{cell(results, kind):17}" for results in columns.values()))
    steps = sum(result.case.group.steps for result in every)
    print(f"{sum(result.spikes for result in every)} spikes in {steps} steps")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
