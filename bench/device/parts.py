"""One JSON file and one short table of what gpu.sh ran: python -m device.parts PARTS LOGS COMPARE.json OUT.json|-."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from device.report import table
from environment import record_path

# The line of a log that says most: pytest's last, the sanitizers' count, what the comparison did not reach.
TELLING = {
    "build": r"^Successfully installed.*|.*error:.*|^ERROR.*",
    "test": r"^=*.*\b(passed|failed|errors?)\b.* in .*|^ERROR.*",
    "sanitize": r".*SUMMARY.*|^compute-sanitizer.*|.*Error:.*",
    "compare": r"^The record is in.*|^wrong:.*|^failed:.*|.*Error:.*",
}
WORDS = {0: "passed", 124: "out of time", 125: "not run: no time left", 127: "not there"}


@dataclass(frozen=True)
class Part:
    name: str
    status: int
    seconds: int
    summary: str


def read_parts(listing: Path, logs: Path) -> list[Part]:
    parts = []
    for line in listing.read_text().splitlines():
        name, status, seconds = line.split("\t")
        parts.append(Part(name, int(status), int(seconds), summary_of(name, logs / f"{name}.log")))
    return parts


def summary_of(name: str, log: Path) -> str:
    """Return the last telling line of a log, without colours and folders."""
    if not log.exists():
        return ""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in log.read_text(errors="replace").splitlines()]
    pattern = TELLING[name.split("-", maxsplit=1)[0]]
    telling = [line for line in lines if re.match(pattern, line)] or [line for line in lines if line]
    return telling[-1].strip("= ")[:150] if telling else ""


def merged(parts: list[Part], comparison: Path) -> dict[str, Any]:
    """Return the comparison's record, if there is one, with the parts beside it."""
    record = json.loads(comparison.read_text()) if comparison.exists() else {}
    return {**record, "parts": [asdict(part) for part in parts]}


def default_path(record: dict[str, Any]) -> Path:
    name = record["facts"]["device"]["name"] if "facts" in record else "unknown device"
    return record_path(datetime.now(timezone.utc).strftime("%Y-%m-%d"), name)


def table_of(parts: list[Part]) -> str:
    rows = [
        ("part", "result", "seconds", "summary"),
        *((p.name, WORDS.get(p.status, f"FAILED ({p.status})"), str(p.seconds), p.summary) for p in parts),
    ]
    return "\n".join(table(rows))


def main() -> None:
    listing, logs, comparison = (Path(argument) for argument in sys.argv[1:4])
    parts = read_parts(listing, logs)
    record = merged(parts, comparison)
    out = default_path(record) if sys.argv[4] == "-" else Path(sys.argv[4])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(table_of(parts))
    print(f"All of it is in {out}")


if __name__ == "__main__":
    main()
