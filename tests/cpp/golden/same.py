"""Hold the outputs of `golden` on several processors against each other: every ISA has computed the same bits."""

from __future__ import annotations

import sys
from pathlib import Path


def main(paths: list[str]) -> int:
    blocks = {}
    for path in paths:
        for block in Path(path).read_text().split("isa ")[1:]:
            isa, *lines = block.splitlines()
            blocks[f"{Path(path).name}: {isa}"] = lines
    first, *_ = blocks.values()
    different = [name for name, lines in blocks.items() if lines != first]
    found = f"different: {different}" if different else "the same bits"
    print(f"{len(first)} results on {', '.join(blocks)}: {found}")
    return 1 if different or len(blocks) < 2 or not first else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
