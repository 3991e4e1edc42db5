"""Time adamcore and its peers on a GPU, in turns: python bench/gpu.py [--cases ...] [--seconds 230]."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import keep
from device.acceptance import LARGE, MANY
from device.roster import ANCHOR, STEPS, STORED
from environment import record_path
from record import Record
from shapes import CASES, TINY, Case

# Those whose figures are held against what was set out come first, in case time runs out.
DEFAULT = (*LARGE, MANY, "resnet50", "mixed_4096")


def parse_arguments() -> argparse.Namespace:
    large_enough = [case.name for case in CASES if case.elements >= 1 << 20]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=large_enough, metavar="CASE", default=list(DEFAULT))
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="names of peers; adamcore always takes part")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=230, help="no case and no round starts after this time")
    parser.add_argument("--json", type=Path, help="record to add this run to (default: a new one in bench/results)")
    parser.add_argument("--tiny", action="store_true", help="only two small cases, to check that everything runs")
    options = parser.parse_args()
    if options.tiny:
        options.cases, options.rounds = [case.name for case in TINY], 2
    return options


@contextmanager
def one_stream() -> Iterator[None]:
    """Make one stream current in both libraries: graphs cannot be captured on the default one."""
    import cupy
    import torch

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream, torch.cuda.stream(torch.cuda.ExternalStream(stream.ptr)):
        yield
        stream.synchronize()


def run(options: argparse.Namespace, until: float) -> Record:
    from device.facts import describe
    from device.measure import measure
    from device.report import case_of, checks_of, facts_of
    from roster import muster

    chosen = [p for p in (*STEPS, *STORED) if p is ANCHOR or not options.peers or p.key in options.peers]
    present, checks, absent = muster(chosen, 1)
    if ANCHOR not in present:
        sys.exit(f"adamcore: {absent[ANCHOR.key]}")
    facts = describe(dict.fromkeys(name for peer in chosen for name in peer.packages))
    cases = {case.name: case for case in (*CASES, *TINY)}
    record = Record(facts, checks, absent)
    print(facts_of(record), checks_of(record), sep="\n", flush=True)
    if options.json is None:
        options.json = record_path(facts["date"], facts["device"]["name"])
        options.json.unlink(missing_ok=True)
    for name in options.cases:
        if time.perf_counter() > until:
            record.absent[name] = "no time was left for this case"
            continue
        record.cases.extend(measure(cases[name], _peers_of(cases[name], present), options.rounds, until))
        save(record, options.json)  # after each case, so that a run that is cut off leaves what it has
        print(case_of(record, name), "", sep="\n", flush=True)
    save(record, options.json)
    return record


def save(record: Record, path: Path) -> None:
    """Put a record into a file, where gpu.sh keeps what its other parts came to."""
    keep.update(path, lambda found: found.update(asdict(record)))


def _peers_of(case: Case, present: list) -> list:
    """Other kinds of storage are measured where memory decides alone."""
    return [peer for peer in present if peer not in STORED or case.name in LARGE]


def main() -> None:
    options = parse_arguments()
    until = time.perf_counter() + options.seconds if options.seconds else math.inf
    from device.acceptance import verdicts
    from device.report import acceptance_of

    with one_stream():
        record = run(options, until)
    print(acceptance_of(verdicts(record)))
    print(f"The record is in {options.json}")
    if wrong := [key for key, finding in record.checks.items() if "adamcore" in key and finding.startswith("off by")]:
        sys.exit(f"wrong: {', '.join(wrong)}")
    if failed := [key for key in record.absent if "adamcore" in key]:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
