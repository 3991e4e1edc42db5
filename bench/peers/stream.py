from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from peers.base import Peer, UnavailableError
from problem import Array, Arrays

SOURCE = Path(__file__).resolve().parents[1] / "stream.cpp"
LINE = 16  # floats in a cache line
FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")


class _Stream(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in "pgmv"),
        ("size", ctypes.c_int64),
        ("threads", ctypes.c_int32),
    )


class Stream(Peer):
    """The limit: the same bytes, read and written in place, with next to no arithmetic, as one flat tensor."""

    key = "stream"
    label = "the stream"
    bytes_per_element = 16
    is_yardstick = True
    phase: ClassVar[int] = 0
    """Where in a cache line its arrays start, in floats."""
    kernel: ClassVar[ctypes._FuncPointer]

    @classmethod
    def prepare(cls, threads: int) -> None:  # noqa: ARG003
        cls.kernel = library().stream_step
        cls.kernel.restype = None
        cls.kernel.argtypes = (ctypes.c_void_p,)

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        self.p = _flat(list(params), self.phase)
        self.m, self.v = (_flat([np.zeros_like(self.p)], self.phase) for _ in "mv")
        self.threads = threads

    def use(self, grads: Arrays) -> None:
        self.g = _flat(grads, self.phase)
        addresses = (a.ctypes.data for a in (self.p, self.g, self.m, self.v))
        self.arguments = _Stream(*addresses, self.p.size, self.threads)
        self.pointer = ctypes.addressof(self.arguments)

    def step(self) -> None:
        self.kernel(self.pointer)

    def result(self) -> Arrays:
        return [self.p]


class StreamUnaligned(Stream):
    """The same where NumPy puts large arrays: 16 bytes into a cache line, so that each vector straddles two."""

    key = "stream-unaligned"
    label = "the stream, unaligned as by NumPy"
    phase = 4


def _flat(arrays: Arrays, phase: int) -> Array:
    size = sum(a.size for a in arrays)
    block = np.empty(size + 2 * LINE, np.float32)
    start = -block.ctypes.data % (4 * LINE) // 4 + phase
    return np.concatenate([a.reshape(-1) for a in arrays], out=block[start : start + size])


@cache
def library() -> ctypes.CDLL:
    """Return the functions of stream.cpp, compiled for this processor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.so"
        _compile(path)
        return ctypes.CDLL(str(path))


def _compile(library: Path) -> None:
    command = [os.environ.get("CXX", "c++"), *FLAGS, str(SOURCE), "-o", str(library)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise UnavailableError(f"there is no compiler {command[0]!r}; set CXX") from None
    except subprocess.CalledProcessError as error:
        first_line = error.stderr.strip().splitlines()[:1]
        raise UnavailableError(f"{command[0]} failed: {''.join(first_line)}") from None
