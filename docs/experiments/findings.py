"""Train small networks in which something goes wrong, and draw what an `ac.Monitor` finds.

    python docs/experiments/findings.py

docs/monitoring.md shows the pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from findings_pictures import save
from findings_scenes import SCENES

from adamcore._cli.training import one_thread


def main() -> int:
    """Run what was asked for. Return 1 if a run in trouble was not reported, or a healthy one was."""
    options = _parse()
    options.output.mkdir(parents=True, exist_ok=True)
    failures = 0
    for kind in [options.only] if options.only else SCENES:
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            scene = SCENES[kind](options.seed)
        finding, false = scene.troubled.first(kind), scene.healthy.first(kind)
        failures += finding is None or false is not None
        print(finding if finding is not None else f"{kind} was not found")
        if false is not None:
            print(f"but the healthy run was reported too: {false}")
        if finding is not None:
            save(options.output / f"finding-{kind}.png", scene.panels, finding.step)
    return 1 if failures else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Draw a picture of each finding of a Monitor.")
    parser.add_argument("--only", choices=SCENES, metavar="KIND", help=f"one of {', '.join(SCENES)} (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of all runs (default: %(default)s)")
    images = Path(__file__).resolve().parent.parent / "images"
    parser.add_argument("--output", type=Path, default=images, help="folder for the pictures (default: docs/images)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
