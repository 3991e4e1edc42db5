"""Writing a file of arrays: the old file or the new one, whenever the process or the machine stops."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._files.ahead import Ahead
from adamcore._files.dtypes import is_pairs, name_of
from adamcore._files.header import MOST_AXES, HeaderDraft, Place

try:
    import fcntl
except ImportError:  # pragma: no cover  (not on Windows)
    fcntl = None  # type: ignore[assignment]

_CHUNK = 1 << 22
_SMALL = 1 << 20
_MOST_IN_CACHE = 1 << 25


def write(path: Path, arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, str]) -> None:
    """Write arrays and texts into the file `path`, which is replaced as a whole when everything is on the disk.

    Arrays may have any strides, and may change meanwhile: what is written is what its checksum says.
    """
    places = _places(arrays)
    draft = HeaderDraft(places, texts)
    with _replacing(path) as file:
        os.lseek(file, draft.size, os.SEEK_SET)
        sums = _write_arrays(file, [arrays[place.key] for place in places])
        end = draft.size + (places[-1].end if places else 0)
        if os.lseek(file, 0, os.SEEK_CUR) != end:
            raise OSError(errno.EIO, "not everything has been written", str(path))
        os.lseek(file, 0, os.SEEK_SET)
        _write_all(file, draft.complete(sums))
        os.fsync(file)


def write_text(path: Path, text: str) -> None:
    """Write a text into the file `path`, of which the old content stays until the new one is complete.

    It is written in place where that cannot be: into a pipe, a device or what a link leads to, such as /dev/stdout, or
    where the folder takes no new file.
    """
    data = text.encode()
    if not path.parent.is_dir() or path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(data)
        return
    try:
        with _replacing(path) as file:
            _write_all(file, data)
    except PermissionError:
        path.write_bytes(data)


def put_text(text: str, path: str | os.PathLike[str] | None) -> str:
    """Return a text, and write it to a file if there is a path."""
    if path is not None:
        write_text(Path(path), text)
    return text


def require_savable(array: NDArray[Any], label: str) -> None:
    """Raise TypeError or ValueError, which starts with `label`, for an array that files cannot have."""
    if name_of(array.dtype) is None:
        raise TypeError(f"{label}: arrays of dtype {array.dtype} cannot be saved")
    if array.ndim + is_pairs(array.dtype) > MOST_AXES:
        raise ValueError(f"{label}: arrays with more than {MOST_AXES} axes cannot be saved")


def _places(arrays: Mapping[str, NDArray[Any]]) -> list[Place]:
    """Return the places of arrays. Those with the largest elements come first, so that all are aligned."""
    places = []
    at = 0
    for key, array in sorted(arrays.items(), key=lambda item: -min(item[1].dtype.itemsize, 8)):
        shape = (*array.shape, 2) if is_pairs(array.dtype) else array.shape
        require_savable(array, key)
        dtype = name_of(array.dtype) or ""
        places.append(Place(key, dtype, shape, at, at + array.nbytes))
        at += array.nbytes
    return places


@contextmanager
def _replacing(path: Path) -> Iterator[int]:
    """Open a new file that takes the place of `path` if the block ends without an error."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "a pipe or a device cannot be replaced", str(path))
    _make_folder(target.parent)
    remove_leftovers(target.parent, re.escape(_prefix_of(target)))
    temporary = target.with_name(f"{_prefix_of(target)}{os.urandom(6).hex()}.tmp")
    try:
        with _locked(temporary) as file:
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
            yield file.fileno()
            os.replace(temporary, target)  # noqa: PTH105
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    _sync_folder(target.parent)


def _locked(temporary: Path) -> FileIO:
    """Open a new file, which is locked as long as it is open."""
    while True:
        file = FileIO(temporary, "x+")
        if fcntl is not None:
            with suppress(OSError):  # some file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink > 0:  # nobody has taken it for a leftover before it was locked
            return file
        file.close()


def _make_folder(folder: Path) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    for each in missing:
        _sync_folder(each.parent)


def _prefix_of(target: Path) -> str:
    name = target.name
    if len(os.fsencode(name)) > 200:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."


def remove_leftovers(folder: Path, prefix: str) -> None:
    """Remove what processes have left that were killed while they wrote files.

    `prefix` is a regular expression for the beginnings of the names, from the dot in front of a file's name to that
    behind it.
    """
    if fcntl is None:  # pragma: no cover
        return
    names: list[str] = []
    with suppress(OSError):  # who may write into a folder need not be allowed to list it
        names = os.listdir(folder)  # noqa: PTH208  (which is faster)
    temporary = re.compile(prefix + r"[0-9a-f]{12}\.tmp")
    for path in (folder / name for name in names if temporary.fullmatch(name)):
        with suppress(OSError), FileIO(path, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _sync_folder(folder: Path) -> None:
    """Wait until the name of a file is on the disk, where folders can be synchronised."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(file)


def _write_arrays(file: int, arrays: Sequence[NDArray[Any]]) -> list[int]:
    """Write arrays one after another, and return their checksums."""
    if sum(array.nbytes for array in arrays) <= _SMALL:
        data = [array.tobytes() for array in arrays]
        _write_all(file, b"".join(data))
        return [zlib.crc32(each) for each in data]
    sums = [0] * len(arrays)
    pieces = ((i, piece) for i, array in enumerate(arrays) for piece in _pieces(array))
    rooms = [np.empty(_CHUNK, np.uint8) for _ in range(2)]

    def fill(room: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Copy pieces as long as there is room."""
        used = 0
        for i, piece in pieces:
            part = room[used : used + piece.nbytes]
            np.copyto(part.view(piece.dtype).reshape(piece.shape), piece)
            sums[i] = zlib.crc32(part.data, sums[i])
            used += piece.nbytes
            if used > _CHUNK // 2:
                break
        return room[:used]

    with Ahead() as ahead:
        cache = _Cache(file, ahead)
        filled = fill(rooms[0])
        while len(filled):
            rooms.reverse()
            filling = ahead.begin(partial(fill, rooms[0]))
            _write_all(file, filled)
            cache.grow(len(filled))
            filled = filling()
        cache.finish()
    return sums


class _Cache:
    """Keeps the system's cache of a file that is being written small.

    Otherwise the cache would take as much memory as the file, which nobody is going to read soon. To provide this
    memory may take the system longer than to write the file (docs/architecture.md).
    """

    def __init__(self, file: int, ahead: Ahead) -> None:
        self._file = file
        self._ahead = ahead
        self._begin = self._end = os.lseek(file, 0, os.SEEK_CUR)
        self._forget: Callable[[], None] = lambda: None

    def grow(self, size: int) -> None:
        """Let the system forget what has been written, every now and then, while more is written."""
        self._end += size
        if self._end - self._begin < _MOST_IN_CACHE or not hasattr(os, "posix_fadvise"):
            return
        self._forget()
        self._forget = self._ahead.begin(partial(self._forget_part, self._begin, self._end - self._begin))
        self._begin = self._end

    def _forget_part(self, at: int, size: int) -> None:
        os.fdatasync(self._file)
        with suppress(OSError):  # this is advice
            os.posix_fadvise(self._file, at, size, os.POSIX_FADV_DONTNEED)

    def finish(self) -> None:
        """Wait until this is done. Raises OSError if a part could not be written."""
        self._forget()


def _pieces(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield parts of an array that follow each other in C order, each of which takes at most half of a chunk."""
    if array.nbytes == 0:
        return
    if array.flags.c_contiguous:
        flat = array.reshape(-1).view(np.uint8)
        for at in range(0, flat.size, _CHUNK // 2):
            yield flat[at : at + _CHUNK // 2]
        return
    rows = (_CHUNK // 2) // (array.nbytes // len(array))
    if rows == 0:
        for row in array:
            yield from _pieces(row)
        return
    for at in range(0, len(array), rows):
        yield array[at : at + rows]


def _write_all(file: int, data: Any) -> None:
    """Write all bytes. One call of the system may write less than it was given, and at most 2^31 bytes."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest[: 1 << 30]) :]
