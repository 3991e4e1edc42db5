"""Measure how well a `Monitor` finds what is wrong, where it is known what is.

    python docs/experiments/detectors.py [TABLE ...]

Tables: plateau, vanishing, dead, spike, exploding, rates, overfitting, precision, saddle, stale; by default all, in
five minutes. Every run has a seed of its own. docs/monitoring-evidence.md shows and discusses the results.
"""

from __future__ import annotations

from detecting import curves, layers, rates, saddles, spikes, stale, storage, validations
from tables import Table, print_tables

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
    return print_tables(TABLES, "Measure how well a monitor finds what is wrong.")


if __name__ == "__main__":
    raise SystemExit(main())
