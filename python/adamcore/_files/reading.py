"""Reading a file of arrays: what is read has been checked, or an error says what is wrong with the file."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adamcore._files.ahead import Ahead
from adamcore._files.dtypes import dtype_of
from adamcore._files.errors import CheckpointError
from adamcore._files.header import length_of, parse

if TYPE_CHECKING:
    from typing_extensions import Self

_CHUNK = 1 << 22
_SMALL = 1 << 24
_THREADS = 2


def _without_waiting(path: str, flags: int) -> int:
    """Open a file. A pipe is opened too, although nobody writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_regular(mode: int, label: str) -> None:
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{label}: this is no checkpoint, but a pipe or a device")


class ArrayFile:
    """An open file. Raises OSError or CheckpointError.

    Memory is not mapped: a file that another process cuts off would end the program.
    """

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self._opened = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115
        try:
            self._file = self._opened.fileno()
            status = os.fstat(self._file)
            _require_regular(status.st_mode, self.label)
            length = length_of(self._read(0, 8), status.st_size, self.label)
            self._header = parse(self._read(0, length), status.st_size, self.label)
        except BaseException:
            self._opened.close()
            raise
        self.places = self._header.places
        self.texts = self._header.texts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def read(self, keys: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Return arrays by key, each of which has the checksum that the file says."""
        wanted = list(keys)
        size = sum(self.places[key].end - self.places[key].begin for key in wanted)
        if size < _SMALL:
            return self._arrays(wanted)
        arrays: dict[str, NDArray[Any]] = {}
        waiting: list[Callable[[], dict[str, NDArray[Any]]]] = []
        with Ahead() as ahead:
            for batch in self._batches(wanted):
                waiting.append(ahead.begin(partial(self._arrays, batch)))
                if len(waiting) == _THREADS:
                    arrays.update(waiting.pop(0)())
            for result in waiting:
                arrays.update(result())
        return arrays

    def _batches(self, keys: list[str]) -> Iterator[list[str]]:
        """Yield keys of neighbouring arrays, so many that a thread has something to do."""
        batch: list[str] = []
        size = 0
        for key in sorted(keys, key=lambda key: self.places[key].begin):
            batch.append(key)
            size += self.places[key].end - self.places[key].begin
            if size >= _CHUNK:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _arrays(self, keys: list[str]) -> dict[str, NDArray[Any]]:
        return {key: self._array(key) for key in keys}

    def _array(self, key: str) -> NDArray[Any]:
        place, label = self.places[key], f"{self.label}: {key!r}"
        dtype = dtype_of(place.dtype, label)
        try:
            array = np.empty(place.shape, dtype)
        except ValueError as error:  # lengths that NumPy cannot have, next to a 0
            raise CheckpointError(f"{label}: {error}") from None
        except MemoryError:
            raise MemoryError(f"{label}: there is no memory for {place.end - place.begin} bytes") from None
        checksum = self._read_into(array.reshape(-1).view(np.uint8), self._header.size + place.begin)
        if checksum != self._header.sums[key]:
            raise CheckpointError(f"{label}: the array is damaged: its checksum is {checksum:08x}")
        return array

    def _read_into(self, room: NDArray[np.uint8], at: int) -> int:
        """Fill memory with what is in the file from a byte on, and return its checksum."""
        memory, checksum, read = room.data, 0, 0
        while read < room.size:
            part = memory[read : read + _CHUNK]
            count = os.preadv(self._file, [part], at + read)
            if count == 0:
                raise CheckpointError(f"{self.label}: the file has been cut off")
            checksum = zlib.crc32(part[:count], checksum)
            read += count
        return checksum

    def _read(self, at: int, size: int) -> bytes:
        parts = []
        while size > 0 and (part := os.pread(self._file, size, at)):
            parts.append(part)
            at, size = at + len(part), size - len(part)
        return b"".join(parts)
