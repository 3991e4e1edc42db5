"""Hold the outputs of `golden` on several processors against each other: every ISA has computed the same bits.

usage: same.py FILE[=ISA,...]...

A file that is followed by instruction sets holds what these have computed and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(paths: list[str]) -> int:
    blocks = {}
    for argument in paths:
        path, _, expected = argument.partition("=")
        isas = [block.splitlines()[0] for block in Path(path).read_text().split("isa ")[1:]]
        if expected and isas != expected.split(","):
            print(f"{path} holds {isas}, not {expected}")
            return 1
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
