"""The command line of experiments that print tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Table(NamedTuple):
    """What prints a table, and how many runs or curves of each kind it has by default."""

    show: Callable[[int], None]
    runs: int


def print_tables(tables: Mapping[str, Table], description: str) -> int:
    """Print the tables that were asked for on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(tables)} (default: all)")
    parser.add_argument("--runs", type=int, help="runs or curves of each kind (default: those of the documentation)")
    options = parser.parse_args()
    if options.runs is not None and options.runs < 1:
        parser.error(f"--runs must be at least 1, got {options.runs}")
    if unknown := [name for name in options.tables if name not in tables]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(tables)}")
    for name in options.tables or tables:
        table = tables[name]
        table.show(options.runs or table.runs)
        print()
    return 0
