"""Check that every update loop is vectorised for the instruction set that it was compiled for.

usage: check_vectors.py OBJDUMP ARCHIVE

On x86-64 each function of a rule's sweep that multiplies does so on its instruction set's widest registers and calls no
library function (sqrtf would be one, left scalar to set errno), and AdamW divides and takes its square root there.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from typing import NamedTuple

WIDEST = {"baseline": "%xmm", "avx2": "%ymm", "avx512": "%zmm"}
MEMBER = re.compile(r"isa_(?P<isa>\w+)\.cpp\.o(bj)?\)?:\s+file format")
FUNCTION = re.compile(r"[0-9a-f]+ <(?P<name>.+)>:")
SWEEP = re.compile(
    r"\b(?:sweep_elements|RuleSweep)<adamcore::cpu::isa::\w+, adamcore::(?P<rule>\w+), .*?\b(?P<dtype>float|double)\b"
)


class Function(NamedTuple):
    """A function that is part of a rule's sweep."""

    isa: str
    rule: str
    dtype: str
    name: str


def sweeps(objdump: str, archive: str) -> dict[Function, list[str]]:
    """The instructions of each function that is part of a rule's sweep."""
    command = [objdump, "--disassemble", "--demangle", "--no-show-raw-insn", archive]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = defaultdict(list)
    isa, current = "", None
    for line in output.splitlines():
        if member := MEMBER.search(line):
            isa, current = member["isa"], None
        elif function := FUNCTION.fullmatch(line):
            sweep = SWEEP.search(function["name"]) if isa in WIDEST else None
            current = Function(isa, sweep["rule"], sweep["dtype"], function["name"]) if sweep else None
        elif current and "\t" in line:
            found[current].append(line.split("\t", 1)[1])
    return found


def has(instructions: list[str], operation: str, registers: str) -> bool:
    """Whether an operation is done on whole registers, in single or double precision: some rules mix them."""
    pattern = re.compile(rf"v?{operation}p[sd]\s.*{registers}")
    return any(pattern.match(instruction) for instruction in instructions)


def problems_of(function: Function, instructions: list[str]) -> list[str]:
    """What keeps a function from running at full width."""
    registers = WIDEST[function.isa]
    problems = []
    multiplies = any(re.match(r"v?mul[ps][sd]\s", instruction) for instruction in instructions)
    if multiplies and not has(instructions, "mul", registers):
        problems.append(f"multiplies, but not on {registers}")
    # A sweep may hand over to its inner loop, which is checked itself.
    calls = [line.strip() for line in instructions if line.startswith("call") and "adamcore::cpu::isa::" not in line]
    return problems + calls


def missing_loops(found: dict[Function, list[str]]) -> list[str]:
    """The rules that no function computes at full width; for AdamW with quotient and root."""
    wanted, seen = set(), set()
    for function, instructions in found.items():
        loop = function[:3]
        wanted.add(loop)
        operations = ["mul", "div", "sqrt"] if function.rule == "AdamW" else ["mul"]
        if all(has(instructions, operation, WIDEST[function.isa]) for operation in operations):
            seen.add(loop)
    if not any(rule == "AdamW" for _, rule, _ in wanted):
        return ["no sweep of AdamW found"]
    return [f"{' '.join(loop)}: no full-width loop" for loop in sorted(wanted - seen)]


def main() -> None:
    """Exit with a list of the loops that are not vectorised."""
    found = sweeps(*sys.argv[1:])
    problems = missing_loops(found)
    for function, instructions in found.items():
        problems += [f"{function.isa} {function.name}: {problem}" for problem in problems_of(function, instructions)]
    print(f"{len(found)} functions checked")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
