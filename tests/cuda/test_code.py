"""What nvcc made of the kernels: registers, spills, sizes, and the order of loads, read from the installed module.

Where the module has no code for compute capability 9.0, or there is no cuobjdump (pip install nvidia-cuda-cuobjdump
nvidia-cuda-nvdisasm), there is nothing to read. ADAMCORE_CUDA_CODE names a library to read in place of the module.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

import adamcore as ac

ARCHITECTURE = "sm_90"
NEARBY = 400
"""The maximum number of instructions between the loads of one group of elements."""


def library() -> Path | None:
    if named := os.environ.get("ADAMCORE_CUDA_CODE"):
        return Path(named)
    return next(iter(Path(ac.__file__).parent.glob("_cuda*.so")), None)


def cuobjdump() -> str | None:
    tools = Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*/bin")
    folders = [os.environ["PATH"], "/usr/local/cuda/bin", *map(str, tools)]
    return shutil.which("cuobjdump", path=os.pathsep.join(folders))


def dump(option: str) -> str:
    command = [str(cuobjdump()), option, "-arch", ARCHITECTURE, str(library())]
    folders = os.pathsep.join([os.environ["PATH"], str(Path(command[0]).parent)])  # it calls nvdisasm
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PATH": folders})
    return done.stdout


@dataclass(frozen=True)
class Kernel:
    registers: int
    stack: int
    code: list[str]

    @property
    def size(self) -> int:
        return 16 * len(self.code)


@pytest.fixture(scope="module")
def kernels() -> dict[str, Kernel]:
    """All kernels by their mangled names."""
    if library() is None or cuobjdump() is None:
        pytest.skip("there is no CUDA module with code to read, or no cuobjdump to read it with")
    used = dump("-res-usage")
    found = re.findall(r"Function (\S+):\s+REG:(\d+) STACK:(\d+)", used)
    if not found:
        pytest.skip(f"the CUDA module has no code for {ARCHITECTURE}")
    codes = dict(part.split("\n", 1) for part in re.split(r"\n\s*Function : ", dump("-sass"))[1:])
    instruction = re.compile(r"/\*[0-9a-f]{4,5}\*/\s+(.*?)\s*;")
    return {name: Kernel(int(reg), int(stack), instruction.findall(codes[name])) for name, reg, stack in found}


def of(kernels: dict[str, Kernel], pattern: str) -> dict[str, Kernel]:
    found = {name: kernel for name, kernel in kernels.items() if re.search(pattern, name)}
    assert found, pattern
    return found


def test_adamw_has_registers_for_four_blocks(kernels: dict[str, Kernel]) -> None:
    (kernel,) = of(kernels, r"11DenseUpdateINS_5AdamWEf").values()
    assert kernel.registers <= 64
    assert kernel.stack == 0  # nothing is spilled


def test_stored_updates_have_registers_for_three_blocks(kernels: dict[str, Kernel]) -> None:
    for name, kernel in of(kernels, r"12StoredUpdateI.*Ef").items():
        assert kernel.registers <= 80, name


POWERS = {"Adafactor": 29_000, "ScheduleFree": 33_000}
"""Rules that raise numbers to a power, in double-double, and how large their decisions may be."""


def test_a_decision_is_small(kernels: dict[str, Kernel]) -> None:
    for name, kernel in of(kernels, r"6DecideI").items():
        limit = next((size for rule, size in POWERS.items() if rule in name), 25_000)
        assert kernel.size < limit, name


def wide_loads(code: list[str]) -> list[tuple[int, int]]:
    """Return place and first register of the 16-byte loads of arrays, which are of elements and not of tables.

    Loads of elements have a predicate, "unless an array is unaligned".
    """
    found = []
    for place, instruction in enumerate(code):
        load = re.match(r"@!P\d+ LDG\.E\.128 R(\d+), desc\[UR\d+\]\[R\d+\.64\]$", instruction)
        if load:
            found.append((place, int(load[1])))
    return found


def reads(instruction: str, register: int) -> bool:
    """Whether an instruction reads one of four neighbouring registers: all that it names but the first."""
    operands = instruction.split(",", 1)[-1]
    numbers = {int(number) for number in re.findall(r"\bR(\d+)\b", operands)}
    wide = {int(number) + 1 for number in re.findall(r"\bR(\d+)\.64\b", operands)}
    return bool((numbers | wide) & set(range(register, register + 4)))


def test_all_arrays_are_asked_for_before_one_is_looked_at(kernels: dict[str, Kernel]) -> None:
    """Gradient, parameter, state and master are loaded together, so that a thread waits only once."""
    slots = {"5AdamW": 2, "4Adam": 2, "12AdamWAmsgrad": 3, "3Sgd": 0, "11SgdMomentum": 1, "7RmsProp": 1, "7Adagrad": 1}
    for rule, count in slots.items():
        (kernel,) = of(kernels, rf"12StoredUpdateINS_{rule}Ef").values()
        loads = wide_loads(kernel.code)
        group = [load for load in loads if load[0] - loads[0][0] < NEARBY]
        assert len(group) == 3 + count, rule
        last = group[-1][0]
        early = [line for at, register in group for line in kernel.code[at + 1 : last] if reads(line, register)]
        assert early == [], rule
