"""Print storage_bench's JSON as the tables of docs/storage.md: python bench/storage_table.py RECORD.json.

build/dev/bench/storage_bench --benchmark_format=json >RAW.json makes one; --strip RECORD.json writes it without what
belongs to the machine that it was taken on (names of hosts and folders).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

KEPT = ("date", "num_cpus", "mhz_per_cpu", "caches", "library_build_type")
COUNTERS = ("GB/s", "bytes/param", "of_stream")


def strip(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a record is kept for."""
    return {
        "context": {key: value for key, value in record["context"].items() if key in KEPT},
        "benchmarks": [
            {"name": short_name(b["name"]), "ms": b["real_time"], **{key: b[key] for key in COUNTERS}}
            for b in record["benchmarks"]
        ],
    }


def short_name(name: str) -> str:
    return name.split("/iterations:", maxsplit=1)[0]


def tables(record: dict[str, Any], threads: int, size: int) -> str:
    """Return markdown: shares of the stream by storage and instruction set."""
    rows: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    ending = f"/threads:{threads}/{size}"
    for benchmark in record["benchmarks"]:
        name, isa = benchmark["name"].removesuffix(ending).rsplit("/", 1)
        if benchmark["name"].endswith(ending):
            rows[name][isa] = benchmark
    isas = list(next(iter(rows.values())))
    lines = [
        "| parameter, gradient, state, weights | bytes | GB/s, " + isas[-1] + " | " + " | ".join(isas) + " |",
        "| --- |" + " --- |" * (2 + len(isas)),
    ]
    for name, by_isa in rows.items():
        last = by_isa[isas[-1]]
        shown = name.removeprefix("adamw/").replace("/", ", ")
        shares = " | ".join(f"{by_isa[isa]['of_stream']:.2f}" for isa in isas)
        lines.append(f"| {shown} | {last['bytes/param']:g} | {last['GB/s']:.0f} | {shares} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path)
    parser.add_argument("--strip", type=Path, metavar="RECORD", help="file for the stripped record")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=64_000_000)
    options = parser.parse_args()
    record = json.loads(options.record.read_text())
    if "name" in record["benchmarks"][0] and "real_time" in record["benchmarks"][0]:
        record = strip(record)
    if options.strip:
        options.strip.write_text(json.dumps(record, indent=1) + "\n")
    print(tables(record, options.threads, options.size))


if __name__ == "__main__":
    main()
