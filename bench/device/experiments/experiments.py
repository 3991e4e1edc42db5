"""The table of the experiments: python experiments.py [RECORD.json] [--long] [--kernels].

The record is what the binary wrote, or one of bench/gpu.sh's with that under "experiments".
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

BENCH = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(BENCH))

from device.experiments.predictions import expected_rows, predicted  # noqa: E402

COPIES = ("memcpy", "copy kernel")
QUESTIONS = {
    "E1": "What comes before the update: the constants of a step",
    "E2": "The update of float32 arrays",
    "E3": "The update of bfloat16 arrays",
    "E4": "Smaller questions",
}
NOT_MEASURED = "not measured"
SAME = "same bits"
SMALL = 1e6
"""Bytes below which a step's time says more than its bandwidth."""


@dataclass(frozen=True)
class Timing:
    """A variant on a case; without seconds it was not measured, and `reason` may say why."""

    experiment: str
    detail: str
    case: str
    variant: str
    seconds: tuple[float, ...] = ()
    copy: float = 0.0
    base: float = 0.0
    bytes: float = 0.0
    reason: str = ""
    is_wrong: bool = False  # it gave other bits than the base

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        if len(self.seconds) < 2:
            return self.median, self.median
        low, _, high = quantiles(self.seconds, n=4, method="inclusive")
        return low, high

    @property
    def measured(self) -> str:
        """Return the share of a copy's bandwidth, or the time where there is next to nothing to copy."""
        if not self.seconds:
            return self.reason or NOT_MEASURED
        is_small = self.bytes < SMALL or not self.copy
        text = f"{self.median * 1e6:.2f} us" if is_small else f"{self.copy / self.median:.3f}"
        return text + " WRONG" * self.is_wrong

    @property
    def gain(self) -> str:
        return f"{100 * (self.base / self.median - 1):+.1f} %" if self.seconds and self.base else ""

    @property
    def predicted(self) -> str:
        return predicted(self.experiment, self.detail, self.variant, self.case)


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Align columns. (device.report has more, and asks for more packages than this is to need.)"""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def load(path: Path) -> dict[str, Any]:
    """Return what a file holds of the experiments, by name; nothing where there is no file."""
    if not path.exists():
        return {}
    record = json.loads(path.read_text())
    return record.get("experiments", record)


def timings_of(record: dict[str, Any]) -> list[Timing]:
    """Return all that was measured, and what was expected and was not."""
    found = [t for name in QUESTIONS if name in record for t in _timings(name, record[name])]
    known = {(t.experiment, t.detail, t.case, t.variant) for t in found}
    cases = {(t.experiment, t.detail, t.case) for t in found}
    missing = (row for row in expected_rows() if row not in known and (row[0], row[1], row[2]) not in cases)
    return found + [Timing(experiment, detail, case, variant) for experiment, detail, case, variant in missing]


def _timings(experiment: str, part: dict[str, Any]) -> Iterable[Timing]:
    for case in part["cases"]:
        seconds, place = case["seconds"], (experiment, case["detail"], case["case"])
        copy = median(seconds["memcpy"]) if seconds.get("memcpy") else 0.0
        base = median(seconds[case["base"]]) if seconds.get(case["base"]) else 0.0
        key = " ".join(name for name in (experiment, case["detail"]) if name)
        for variant, each in sorted(seconds.items(), key=lambda item: (item[0] != case["base"], item[0])):
            if variant not in COPIES and each:
                is_wrong = part["check"].get(f"{key}: {variant}", SAME) != SAME
                yield Timing(*place, variant, tuple(each), copy, base, case["bytes"], is_wrong=is_wrong)
        for variant, reason in case["failures"].items():
            yield Timing(*place, variant, reason=reason)


def winners_of(timings: list[Timing]) -> list[tuple[str, ...]]:
    """Return for each case the fastest of the right ones, and whether its slower quartile beats the base's median."""
    rows = []
    for place in dict.fromkeys((t.experiment, t.detail, t.case) for t in timings):
        measured = [t for t in timings if (t.experiment, t.detail, t.case) == place and t.seconds and not t.is_wrong]
        best = min(measured, key=lambda t: t.median, default=None)
        if best is None:
            rows.append((*place, NOT_MEASURED, "", "", ""))
            continue
        clear = "yes" if best.quartiles[1] < best.base else "no"
        rows.append((*place, best.variant, best.measured, best.gain, clear))
    return rows


def summary_of(experiment: str, timings: list[Timing]) -> str:
    """Return a table for each detail: a row for each variant, a column for each case."""
    mine = [t for t in timings if t.experiment == experiment]
    blocks = [f"{experiment}: {QUESTIONS[experiment]}"]
    for detail in dict.fromkeys(t.detail for t in mine):
        cells = {(t.variant, t.case): t for t in mine if t.detail == detail}
        cases = list(dict.fromkeys(t.case for t in mine if t.detail == detail))
        rows = [(detail or "variant", *(f"{case} (predicted)" for case in cases))]
        for variant in dict.fromkeys(variant for variant, _ in cells):
            each = [cells.get((variant, case), Timing(experiment, detail, case, variant)) for case in cases]
            rows.append((variant, *(_cell(t) for t in each)))
        blocks.append("\n".join(table(rows)))
    return "\n".join(blocks)


def _cell(timing: Timing) -> str:
    measured = timing.measured if len(timing.measured) <= 30 else timing.measured[:27] + "..."
    return f"{measured} ({timing.predicted})"


def long_of(timings: list[Timing]) -> str:
    """Return every figure with its quartiles."""
    rows = [("case", "variant", "predicted", "measured", "median", "quartiles", "over base")]
    for t in timings:
        times: tuple[str, ...] = ("", "")
        if t.seconds:
            low, high = t.quartiles
            times = (f"{t.median * 1e6:.2f} us", f"{low * 1e6:.2f} - {high * 1e6:.2f}")
        place = " ".join(part for part in (t.experiment, t.case, t.detail) if part)
        rows.append((place, t.variant, t.predicted, t.measured, *times, t.gain))
    return "\n".join(table(rows))


def kernels_of(record: dict[str, Any]) -> str:
    """Return what the device said of each kernel: local memory is what registers did not hold."""
    rows = [("variant", "kernel", "registers", "local", "shared", "threads", "blocks")]
    for name in QUESTIONS:
        for k in record.get(name, {}).get("kernels", ()):
            figures = (str(k[key]) for key in ("registers", "local", "shared", "threads", "blocks"))
            rows.append((k["variant"], k["kernel"], *figures))
    return "\n".join(table(rows))


def facts_of(record: dict[str, Any]) -> str:
    """Return the device, the copies' bandwidth, and what did not go as it should."""
    parts = [(name, record[name]) for name in QUESTIONS if name in record]
    if not parts:
        return "No record: the predictions alone."
    device = parts[0][1]["device"]
    cache = f"{device['multiprocessors']} multiprocessors, {device['cache'] >> 20} MiB of cache"
    lines = [f"{device['name']}, {cache}, driver for CUDA {device['driver'] // 1000}.{device['driver'] % 1000 // 10}"]
    largest = max((c for _, part in parts for c in part["cases"]), key=lambda c: c["bytes"], default=None)
    if largest:
        speeds = (f"{name} {largest['bytes'] / median(largest['seconds'][name]) / 1e12:.3f} TB/s"
                  for name in COPIES if largest["seconds"].get(name))  # fmt: skip
        lines.append(f"copies of {largest['bytes'] / 2e9:.2f} GB: {', '.join(speeds)}")
    for name, part in parts:
        if part["error"] or not part["complete"]:
            lines.append(f"{name} did not end: {part['error'] or 'it was stopped'}")
        lines += [f"{key}: {finding}" for key, finding in part["check"].items() if finding != SAME]
    lines += [f"{name}: {NOT_MEASURED}" for name in QUESTIONS if name not in record]
    return "\n".join(lines)


def report(record: dict[str, Any], *, long: bool = False, kernels: bool = False) -> str:
    """Return everything, the winners last: logs are read from their end."""
    timings = timings_of(record)
    blocks = [facts_of(record)]
    blocks += [kernels_of(record)] if kernels else []
    blocks += [long_of(timings)] if long else [summary_of(name, timings) for name in QUESTIONS]
    headings = ("experiment", "detail", "case", "fastest", "measured", "over base", "beyond quartiles")
    blocks.append("\n".join(table([headings, *winners_of(timings)])))
    return "\n\n".join(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", nargs="?", type=Path, help="without one: what was predicted")
    parser.add_argument("--long", action="store_true", help="every figure with its quartiles")
    parser.add_argument("--kernels", action="store_true", help="registers and local memory too")
    arguments = parser.parse_args()
    record = load(arguments.record) if arguments.record else {}
    print(report(record, long=arguments.long, kernels=arguments.kernels))


if __name__ == "__main__":
    main()
