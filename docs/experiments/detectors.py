"""Measure how well a `Monitor` finds what is wrong, where it is known what is.

    python docs/experiments/detectors.py [TABLE ...]

Tables: plateau, vanishing, dead, spike, exploding, rates, overfitting, precision, saddle, stale; by default all, in
five minutes. Every run has a seed of its own. docs/monitoring-evidence.md shows and discusses the results.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

from detecting import curves, layers, rates, saddles, spikes, stale, storage, validations


class Table(NamedTuple):
    """What prints a table, and how many runs or curves of each kind it has by default."""

    show: Callable[[int], None]
    runs: int


TABLES = {
    "plateau": Table(curves.show, 50),
    "vanishing": Table(layers.show_vanishing, 8),
    "dead": Table(layers.show_dead, 8),
    "spike": Table(spikes.show_spikes, 8),
    "exploding": Table(spikes.show_exploding, 8),
    "rates": Table(rates.show, 4),
    "overfitting": Table(validations.show, 8),
    "precision": Table(storage.show, 8),
    "saddle": Table(saddles.show, 8),
    "stale": Table(stale.show, 4),
}


def main() -> int:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description="Measure how well a monitor finds what is wrong.")
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)} (default: all)")
    parser.add_argument("--runs", type=int, help="runs or curves of each kind (default: those of the documentation)")
    options = parser.parse_args()
    if options.runs is not None and options.runs < 1:
        parser.error(f"--runs must be at least 1, got {options.runs}")
    if unknown := [name for name in options.tables if name not in TABLES]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    for name in options.tables or TABLES:
        table = TABLES[name]
        table.show(options.runs or table.runs)
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
