"""Headers do not compile with fast math, which would silently break checks and bits."""

from __future__ import annotations

import os
import subprocess

import pytest

from pairs import EXHAUSTIVE
from places import ROOT

HEADERS = ROOT / "cpp/include"
COMPILER = os.environ.get("CXX", "c++")
NO_ARITHMETIC = {
    "version",
    "optimizer/clip",
    "optimizer/slab",
    "plan",
    "tree",
    "dtype",
    "cpu/isa",
    "cpu/parallel",
    "cpu/float_environment",
    "cpu/pieces",
}
MESSAGE = "breaks the checks for NaN and the exactness of adamcore"


def preprocessed(header: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [COMPILER, "-std=c++17", "-E", "-o", os.devnull, *flags, f"-I{HEADERS}", "-x", "c++", "-"]
    source = f'#include "adamcore/{header}.hpp"\n'
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False)


def is_clang() -> bool:
    done = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    return "clang" in done.stdout


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes four seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_every_header_that_computes_says_so() -> None:
    names = [p.relative_to(HEADERS / "adamcore").with_suffix("").as_posix() for p in HEADERS.rglob("*.hpp")]
    assert set(names) >= NO_ARITHMETIC
    for name in names:
        found = preprocessed(name, "-ffast-math")
        assert (MESSAGE in found.stderr) == (name not in NO_ARITHMETIC), name


PARTS = ["-Ofast", "-ffinite-math-only"]
GCC_PARTS = [
    "-funsafe-math-optimizations",
    "-freciprocal-math",
    "-fno-signed-zeros",
    "-fassociative-math -fno-signed-zeros -fno-trapping-math",
]


@pytest.mark.parametrize("flags", PARTS + GCC_PARTS)
def test_parts_of_it_are_found(flags: str) -> None:
    if flags in GCC_PARTS and is_clang():
        pytest.skip("clang says nothing of these to what it compiles")
    found = preprocessed("adamcore", *flags.split())
    assert found.returncode != 0
    assert MESSAGE in found.stderr


def test_who_insists_is_let_through() -> None:
    assert preprocessed("adamcore", "-Ofast", "-DADAMCORE_ALLOW_FAST_MATH").returncode == 0
    assert preprocessed("adamcore", "-Ofast", "-fno-fast-math").returncode == 0
    assert preprocessed("adamcore", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math").returncode == 0
