"""Put what gpu.sh ran so far into its record: python -m device.parts PARTS LOGS RECORD.json, with PYTHONPATH=bench."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keep
from device import machine
from environment import record_path
from text import aligned

# The line of a log that says most: pytest's last, the sanitizers' count, what the comparison did not reach.
TELLING = {
    "build": r"^Successfully installed.*|.*error:.*|^ERROR.*",
    "test": r"^=*.*\b(passed|failed|errors?)\b.* in .*|^ERROR.*",
    "sanitize": r".*SUMMARY.*|^compute-sanitizer.*|.*Error:.*",
    "compare": r"^The record is in.*|^Launches of.*|^wrong:.*|^failed:.*|.*Error:.*",
}
OF_OTHERS = r".*[Ee]rror:.*"
WORDS = {
    0: "passed",
    124: "out of time",
    125: "not run: no time left",
    127: "not there",
    129: "interrupted",
    130: "interrupted",
    137: "killed",
    143: "interrupted",
}


@dataclass(frozen=True)
class Part:
    name: str
    status: int
    seconds: int
    summary: str


def read_parts(listing: Path, logs: Path) -> list[Part]:
    """Return what each part came to; of a part that is listed twice, the later."""
    parts: dict[str, Part] = {}
    for line in listing.read_text().splitlines():
        name, status, seconds = line.split("\t")
        log = logs / f"{_group(name)}.log"
        parts[name] = Part(name, int(status), int(seconds), summary_of(name, log))
    return list(parts.values())


def _group(name: str) -> str:
    """Return whose log a part writes: test-parity does in test's."""
    return name.split("-", maxsplit=1)[0]


def summary_of(name: str, log: Path) -> str:
    """Return the last telling line of a part's stretch of a log, without colours and folders."""
    if not log.exists():
        return ""
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    before, *stretches = re.split(r"^== ([a-z_-]+) \(at .*\)$", text, flags=re.MULTILINE)
    stretch = dict(zip(stretches[::2], stretches[1::2], strict=True)).get(name, before)
    lines = [line.strip() for line in stretch.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(TELLING.get(_group(name), OF_OTHERS), line)] or lines
    return re.sub(r"(/[^/\s:'\"]+)+/", "", telling[-1].strip("= "))[:150] if telling else ""


def add(record: dict[str, Any], parts: list[Part], experiments: Path | None = None) -> None:
    """Put parts into a record, in place of earlier ones of their names, and what the experiments measured."""
    facts = record.setdefault("facts", {})
    if "device" not in facts:
        facts.update({**machine.describe(), **facts})
    names = [part.name for part in parts]
    earlier = [part for part in record.get("parts", []) if part["name"] not in names]
    record["parts"] = earlier + [asdict(part) for part in parts]
    if experiments is not None and experiments.exists():
        try:
            record["experiments"] = json.loads(experiments.read_text())
        except ValueError as error:  # killed while it wrote
            record.setdefault("experiments", f"cannot be read: {error}")


def table_of(parts: list[Part]) -> str:
    rows = [
        ("part", "result", "seconds", "summary"),
        *((p.name, WORDS.get(p.status, f"FAILED ({p.status})"), str(p.seconds), p.summary) for p in parts),
    ]
    return "\n".join(aligned(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("listing", type=Path, help="one line for each part: name, status, seconds, separated by tabs")
    parser.add_argument("logs", type=Path)
    parser.add_argument("record", type=Path)
    parser.add_argument("--experiments", type=Path, help="output of the experiments, if they ran")
    parser.add_argument("--show", action="store_true", help="print a table")
    parser.add_argument("--place", action="store_true", help="copy the record to bench/results, with date and device")
    options = parser.parse_args()
    parts = read_parts(options.listing, options.logs)
    record = keep.update(options.record, lambda record: add(record, parts, options.experiments))
    path = options.record
    if options.place:
        path = record_path(record["facts"]["date"], record["facts"]["device"]["name"])
        shutil.copyfile(options.record, path)
    if options.show:
        print(table_of(parts))
        print(f"Full record: {path}")


if __name__ == "__main__":
    main()
