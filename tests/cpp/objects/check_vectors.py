"""Check that every update loop is vectorised for the instruction set that it was compiled for, and for no other.

usage: check_vectors.py OBJDUMP ARCHIVE

On x86-64 each function of a rule's sweep that multiplies does so on its instruction set's widest registers and calls no
library function (sqrtf would be one, left scalar to set errno), and AdamW divides and takes its square root there. What
is compiled for no instruction set in particular has no instruction in AVX's encoding, nor AVX2's objects in AVX-512's.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

WIDEST = {"baseline": "%xmm", "avx2": "%ymm", "avx512": "%zmm"}
MEMBER = re.compile(r"(isa_(?P<isa>\w+)|\w+)\.cpp\.o(bj)?\)?:\s+file format")
# objdump --insn-width=15: "address:", the bytes, and the instruction, with tabs between.
INSTRUCTION = re.compile(r"\s*[0-9a-f]+:\t(?P<bytes>[0-9a-f ]+?)\s*\t(?P<text>.+)")
# VEX and EVEX begin with these bytes, after prefixes for size, segment or lock; 64-bit code has no other use for them.
ENCODING = re.compile(r"((66|67|f0|f2|f3|2e|36|3e|26|64|65) )*(?P<first>c4|c5|62)\b")
FOREIGN = {"baseline": {"c4", "c5", "62"}, "avx2": {"62"}, "avx512": set()}
FUNCTION = re.compile(r"[0-9a-f]+ <(?P<name>.+)>:")
SWEEP = re.compile(
    r"\b(?:sweep_elements|RuleSweep)<adamcore::cpu::isa::\w+, adamcore::(?P<rule>\w+), .*?\b(?P<dtype>float|double)\b"
    r"|\bRuleFused<adamcore::cpu::isa::\w+, adamcore::(?P<fused>\w+), "
)


class Function(NamedTuple):
    """A function that is part of a rule's sweep."""

    isa: str
    rule: str
    dtype: str
    name: str


def disassembly(objdump: str, archive: str) -> Iterator[tuple[str, str, re.Match[str]]]:
    """Each instruction, with the instruction set of its object, baseline where that names none, and its function."""
    command = [objdump, "--disassemble", "--demangle", "--insn-width=15", archive]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    isa, name = "", ""
    for line in output.splitlines():
        if member := MEMBER.search(line):
            isa = member["isa"] or "baseline"
        elif function := FUNCTION.fullmatch(line):
            name = function["name"]
        elif instruction := INSTRUCTION.fullmatch(line):
            yield isa, name, instruction


class Findings(NamedTuple):
    """The instructions of each function that is part of a rule's sweep, and what no object of its kind should have."""

    sweeps: dict[Function, list[str]]
    foreign: list[str]
    count: Counter[str]


def read(objdump: str, archive: str) -> Findings:
    """Read all instructions once."""
    found = Findings(defaultdict(list), [], Counter())
    for isa, name, instruction in disassembly(objdump, archive):
        found.count[isa] += 1
        encoding = ENCODING.match(instruction["bytes"])
        if encoding and encoding["first"] in FOREIGN.get(isa, ()):
            found.foreign.append(f"{isa} {name}: encoded for another processor: {instruction['text']}")
        if isa in WIDEST and (sweep := SWEEP.search(name)):
            kind = (f"{sweep['fused']}, observed", "float") if sweep["fused"] else (sweep["rule"], sweep["dtype"])
            found.sweeps[Function(isa, *kind, name)].append(instruction["text"])
    return found


def has(instructions: list[str], operation: str, isa: str) -> bool:
    """Whether an operation is done on whole registers, in single or double precision: some rules mix them."""
    prefix = "" if isa == "baseline" else "v"
    pattern = re.compile(rf"{prefix}{operation}p[sd]\s.*{WIDEST[isa]}")
    return any(pattern.match(instruction) for instruction in instructions)


def problems_of(function: Function, instructions: list[str]) -> list[str]:
    """What keeps a function from running at full width."""
    problems = []
    multiplies = any(re.match(r"v?mul[ps][sd]\s", instruction) for instruction in instructions)
    if multiplies and not has(instructions, "mul", function.isa):
        problems.append(f"multiplies, but not on {WIDEST[function.isa]}")
    # A sweep may hand over to its inner loop, which is checked itself.
    calls = [line.strip() for line in instructions if line.startswith("call") and "adamcore::cpu::isa::" not in line]
    return problems + calls


def missing_loops(found: dict[Function, list[str]]) -> list[str]:
    """The rules that no function computes at full width; for AdamW with quotient and root."""
    wanted, seen = set(), set()
    for function, instructions in found.items():
        loop = function[:3]
        wanted.add(loop)
        is_adamw = function.rule in ("AdamW", "AdamW, observed")
        operations = ["mul", "div", "sqrt"] if is_adamw else ["mul"]
        if all(has(instructions, operation, function.isa) for operation in operations):
            seen.add(loop)
    if not any(rule == "AdamW" for _, rule, _ in wanted):
        return ["no sweep of AdamW found"]
    return [f"{' '.join(loop)}: no full-width loop" for loop in sorted(wanted - seen)]


def main() -> None:
    """Exit with a list of the loops that are not vectorised."""
    found = read(*sys.argv[1:])
    problems = missing_loops(found.sweeps) + found.foreign
    for function, instructions in found.sweeps.items():
        problems += [f"{function.isa} {function.name}: {problem}" for problem in problems_of(function, instructions)]
    print(f"{len(found.sweeps)} functions checked, among instructions: {dict(found.count)}")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
