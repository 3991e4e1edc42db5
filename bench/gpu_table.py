"""Write what a GPU's records say into README.md: python bench/gpu_table.py [RECORD.json ...].

Without arguments: the newest records of a GPU in bench/results, those of one date, device and commit together. What
none of them has is "not measured".
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from device.acceptance import verdicts
from device.parts import WORDS
from record import Record

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- made by bench/gpu_table.py -->\n", "<!-- end -->\n"
REACHED = {True: "yes", False: "no", None: ""}
NOT_MEASURED = "not measured"
RUNS = {
    "every test in `tests/gpu` passes, with the CPU's bits": ("test-graphs", "test", "test-parity"),
    "compute-sanitizer's memcheck finds nothing": ("sanitize-memcheck",),
    "compute-sanitizer's racecheck finds nothing": ("sanitize-racecheck",),
}


def newest(folder: Path) -> list[Path]:
    """Return the records of the GPU that was measured last."""
    found: dict[tuple[str, ...], list[Path]] = {}
    for path in sorted(folder.glob("*.json")):
        facts = json.loads(path.read_text()).get("facts", {})
        if "device" in facts:
            found.setdefault((facts["date"], facts["device"]["name"], facts["commit"]), []).append(path)
    return found[max(found)] if found else []


def together(paths: list[Path]) -> dict[str, Any]:
    """Return one record of several: the cases of the last that has any, and every part."""
    whole: dict[str, Any] = {"facts": {}, "checks": {}, "absent": {}, "cases": [], "parts": []}
    for path in paths:
        record = json.loads(path.read_text())
        parts = whole["parts"] + record.get("parts", [])
        whole = {**whole, **record, "facts": {**whole["facts"], **record["facts"]}, "parts": parts}
    return whole


def section(paths: list[Path]) -> str:
    """Return what stands between README's two comments."""
    record = together(paths)
    rows = [("aim", "measured", "reached"), ("---",) * 3, *_runs(record["parts"])]
    rows += [(v.target, v.measured, REACHED[v.reached]) for v in verdicts(Record.of(record))]
    table = "".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |\n" for row in rows)
    return f"{_circumstances(record['facts'], paths)}\n\n{table}"


def _circumstances(facts: dict[str, Any], paths: list[Path]) -> str:
    if not paths:
        return "We have not measured a GPU yet: `bench/results` contains no record of one."
    device, where = facts["device"], ", ".join(f"`{path.name}`" for path in paths)
    return f"{device['name']}, driver {device['driver']}, {facts['date']}, commit {facts['commit']} ({where}):"


def _runs(parts: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    found = {part["name"]: part for part in parts}
    rows = []
    for aim, names in RUNS.items():
        ran = [found[name] for name in names if name in found]
        if len(ran) < len(names):
            rows.append((aim, NOT_MEASURED, ""))
            continue
        measured = "; ".join(part["summary"] or WORDS.get(part["status"], "failed") for part in ran)
        rows.append((aim, measured, REACHED[all(part["status"] == 0 for part in ran)]))
    return rows


def written(text: str, paths: list[Path]) -> str:
    """Return a README with the section in it."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + section(paths) + END + rest.split(END, maxsplit=1)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="*", type=Path)
    options = parser.parse_args()
    README.write_text(written(README.read_text(), options.records or newest(HERE / "results")))


if __name__ == "__main__":
    main()
