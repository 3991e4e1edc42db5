"""Check that what is compiled for one instruction set cannot stand in for another's.

usage: check_symbols.py NM FILE...

Of every object `isa_<name>` in the archives and object files given, each symbol that the linker may share between
objects carries the instruction set's tag in its name, or is the table `<name>_kernels`. Otherwise the linker could
pick, say, the AVX-512 copy of an inline function for the baseline too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict

# nm -A: "archive:member:address type name" or "object:address type name".
LINE = re.compile(r"(?P<file>.*isa_(?P<isa>\w+)\.cpp\.o(bj)?):\s*[0-9a-f]* (?P<kind>[A-Za-z]) (?P<name>.+)")
SHARED = set("ABCDGRSTuVvWwi")


def shared_symbols(nm: str, files: list[str]) -> dict[tuple[str, str], list[str]]:
    """The demangled names that each object of an instruction set defines for all objects."""
    command = [nm, "--print-file-name", "--demangle", "--defined-only", *files]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = defaultdict(list)
    for line in output.splitlines():
        match = LINE.fullmatch(line)
        if match and match["kind"] in SHARED:
            found[match["file"], match["isa"]].append(match["name"])
    return found


def is_own(name: str, isa: str) -> bool:
    """Whether a symbol belongs to the instruction set alone, or to the compiler's handling of exceptions."""
    if re.match(r"(DW\.ref\.)?__", name):
        return True
    tag = re.compile(rf"\badamcore::cpu::isa::{isa.capitalize()}\b")
    return name == f"adamcore::cpu::{isa}_kernels" or tag.search(name) is not None


def main() -> None:
    """Exit with a list of the leaks, or of objects that hold nothing to check."""
    nm, *files = sys.argv[1:]
    objects = shared_symbols(nm, files)
    if not objects:
        sys.exit("no object of an instruction set found")
    problems = []
    for (file, isa), names in objects.items():
        leaks = [name for name in names if not is_own(name, isa)]
        problems += [f"{file} leaks {name}" for name in leaks]
        if f"adamcore::cpu::{isa}_kernels" not in names or len(names) < 2:
            problems.append(f"{file} does not define its kernels")
        print(f"{file}: {len(names) - len(leaks)} of {len(names)} shared symbols are its own")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
