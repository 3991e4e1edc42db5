"""Time adamcore and its peers in turns: python bench/compare.py [--quick]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from environment import (
    default_threads,
    describe,
    free_memory,
    limit_threads,
    load_openmp,
    machine_name,
    openmp_runtimes,
    record_path,
)
from shapes import CASES, Case

# The rest of the free memory is for temporaries of libraries and for other programs.
USABLE_MEMORY = 0.85


def parse_arguments() -> argparse.Namespace:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small cases, few rounds")
    parser.add_argument("--cases", nargs="+", choices=names, metavar="CASE", help="some of " + ", ".join(names))
    parser.add_argument("--peers", nargs="+", metavar="PEER", help="names of peers; adamcore always takes part")
    parser.add_argument("--threads", type=int, help="threads for every peer (default: as many as adamcore uses)")
    parser.add_argument("--json", type=Path, help="file for the record (default of a full run: in bench/results)")
    parser.add_argument("--chart", type=Path, help="file for a chart of the record, .svg or .png")
    return parser.parse_args()


def choose_cases(options: argparse.Namespace) -> list[Case]:
    if options.cases:
        return [case for case in CASES if case.name in options.cases]
    return [case for case in CASES if case.quick or not options.quick]


def main() -> None:
    options = parse_arguments()
    threads = options.threads or default_threads()
    limit_threads(threads)
    load_openmp()

    # Only now, since these import libraries that read their number of threads when they are loaded.
    from rich.console import Console

    from acceptance import verdicts
    from measure import measure
    from peers import ANCHOR
    from record import Record
    from report import print_acceptance, print_case, print_checks, print_facts
    from roster import choose_peers, muster

    console = Console()
    chosen = choose_peers(options.peers)
    peers, checks, absent = muster(chosen, threads)
    if ANCHOR not in peers:
        sys.exit(f"adamcore: {absent[ANCHOR.key]}")
    facts = describe(threads, dict.fromkeys(name for peer in chosen for name in peer.packages))
    record = Record({**facts, "openmp_runtimes": openmp_runtimes()}, checks, absent)
    print_facts(console, record)
    print_checks(console, record)

    is_full = not (options.quick or options.cases or options.peers)
    path = options.json or (record_path(facts["date"], machine_name(facts)) if is_full else None)
    for case in choose_cases(options):
        skip = {peer for peer in peers if options.quick and case.tensors > (peer.slow_start_above or case.tensors)}
        result = measure(
            case, [p for p in peers if p not in skip], threads, int(free_memory() * USABLE_MEMORY), quick=options.quick
        )
        result.absent.update({peer.key: "takes minutes to start: left out of a quick run" for peer in skip})
        record.cases.append(result)
        print_case(console, result, checks)
        if path:
            record.save(path)  # after each case, so that a run that is cut off leaves what it has
    print_acceptance(console, verdicts(record))
    if path:
        console.print(f"The record is in {path}")
    if options.chart:
        from chart import draw

        draw(record, options.chart)
        console.print(f"The chart is in {options.chart}")


if __name__ == "__main__":
    main()
