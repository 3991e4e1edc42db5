"""The header of a safetensors file: where arrays are, texts, and checksums of everything.

The header is JSON (https://github.com/huggingface/safetensors, "Format"). Its ``__metadata__`` begins with a CRC-32 of
the header itself, computed with zeros in its own place, and has the CRC-32 of each array, in the order of the file.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from adamcore._files.dtypes import item_size_of
from adamcore._files.errors import CheckpointError

LARGEST = 100_000_000
"""The largest header that the safetensors library reads."""

_ALIGNMENT = 64
MOST_AXES = 32
"""The largest number of axes, which is that of NumPy 1."""

_METADATA = "__metadata__"
_BEGIN = b'{"__metadata__":{"crc32":"'
_NO_SUM = b"00000000"
_SUM_AT = 8 + len(_BEGIN)
_BEFORE_SUMS = b'","arrays":"'
_SUMS_AT = _SUM_AT + len(_NO_SUM) + len(_BEFORE_SUMS)


@dataclass(frozen=True)
class Place:
    """Where an array is in a file, behind the header, and what it is."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class HeaderDraft:
    """A header whose length is known, while the checksums of arrays are not."""

    def __init__(self, places: Sequence[Place], texts: Mapping[str, str]) -> None:
        text = _text(places, texts)
        self.size = -(-(8 + len(text)) // _ALIGNMENT) * _ALIGNMENT
        if self.size - 8 > LARGEST:
            raise ValueError(
                f"the names of arrays and other texts take {self.size} bytes, but files can have {LARGEST} at most"
            )
        self._header = (self.size - 8).to_bytes(8, "little") + text.ljust(self.size - 8)

    def complete(self, sums: Sequence[int]) -> bytes:
        """Return the bytes with which the file begins, given the checksums of arrays."""
        header = _with(self._header, _SUMS_AT, "".join(f"{each:08x}" for each in sums).encode())
        return _with(header, _SUM_AT, f"{zlib.crc32(header):08x}".encode())


def _text(places: Sequence[Place], texts: Mapping[str, str]) -> bytes:
    """Return the header's text with zeros in the place of checksums."""
    metadata = {"crc32": _NO_SUM.decode(), "arrays": _NO_SUM.decode() * len(places), **texts}
    listed = {
        place.key: {"dtype": place.dtype, "shape": place.shape, "data_offsets": (place.begin, place.end)}
        for place in places
    }
    return json.dumps({_METADATA: metadata, **listed}, separators=(",", ":")).encode()


def _with(header: bytes, at: int, part: bytes) -> bytes:
    return header[:at] + part + header[at + len(part) :]


@dataclass(frozen=True)
class Header:
    """What the header of a file says, which has been checked."""

    size: int
    places: dict[str, Place]
    sums: dict[str, int]
    texts: dict[str, str]


def length_of(begin: bytes, file_size: int, label: str) -> int:
    """Return the number of bytes of a header, given the first 8 bytes of the file."""
    if len(begin) < 8:
        raise CheckpointError(f"{label}: this is no checkpoint: it has only {file_size} bytes")
    length = int.from_bytes(begin[:8], "little")
    if length > LARGEST:
        raise CheckpointError(f"{label}: this is no checkpoint, or its beginning is damaged")
    if 8 + length > file_size:
        raise CheckpointError(
            f"{label}: this is no checkpoint, or it is cut off: its header has {length} bytes, and the file has "
            f"{file_size}"
        )
    return 8 + length


def parse(header: bytes, file_size: int, label: str) -> Header:
    """Return what a header says. Raises CheckpointError unless everything in it is as adamcore writes it."""
    checksum = header[_SUM_AT : _SUM_AT + len(_NO_SUM)]
    if header[8:_SUM_AT] != _BEGIN:
        raise CheckpointError(f"{label}: adamcore has not written this file, or its beginning is damaged")
    if f"{zlib.crc32(_with(header, _SUM_AT, _NO_SUM)):08x}".encode() != checksum:
        raise CheckpointError(f"{label}: the header is damaged: its checksum is not {checksum!r}")
    listed = _json(header[8:], label)
    texts = listed.pop(_METADATA)
    places = _places(listed, file_size - len(header), label)
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise CheckpointError(f"{label}: the metadata must be texts")
    sums = texts.pop("arrays", "")
    if len(sums) != 8 * len(places) or not set(sums) <= set("0123456789abcdef"):
        raise CheckpointError(f"{label}: there must be a checksum for each of {len(places)} arrays")
    values = [int(sums[at : at + 8], 16) for at in range(0, len(sums), 8)]
    return Header(len(header), places, dict(zip(places, values, strict=True)), texts)


def _json(text: bytes, label: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise CheckpointError(f"{label}: {twice!r:.80} is in the header twice")
        return found

    found: dict[str, Any] = load_json(text, label, unique)
    return found


def load_json(text: bytes | str, label: str, of_pairs: Any = dict) -> Any:
    """Return what JSON says. NaN and infinity are no JSON here."""

    def refuse(name: str) -> NoReturn:
        raise CheckpointError(f"{label}: {name} is no JSON")

    try:
        return json.loads(text, object_pairs_hook=of_pairs, parse_constant=refuse)
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{label}: there is text that is no JSON: {error}") from None


def _places(listed: dict[str, Any], data_size: int, label: str) -> dict[str, Place]:
    """Return the places of arrays, which must follow each other without gaps from the header to the end of the file."""
    places: dict[str, Place] = {}
    at = 0
    for key, entry in listed.items():
        where = f"{label}: {key!r:.200}"
        place = _place(key, entry, where)
        if place.begin != at:
            raise CheckpointError(f"{where} must begin at byte {at} of the data, but it begins at {place.begin}")
        at = place.end
        places[key] = place
    if at != data_size:
        raise CheckpointError(f"{label}: there should be {at} bytes of arrays, but there are {data_size}")
    return places


def _place(key: str, entry: Any, label: str) -> Place:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{label}: an array must have a dtype, a shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_counts(shape) or len(shape) > MOST_AXES:
        raise CheckpointError(f"{label}: the shape must be a list of at most {MOST_AXES} lengths")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{label}: data_offsets must be two numbers of bytes")
    bytes_needed = item_size_of(entry["dtype"], label)
    for length in shape:
        bytes_needed *= length
    begin, end = offsets
    if end - begin != bytes_needed:
        raise CheckpointError(f"{label}: the shape needs {bytes_needed} bytes, but data_offsets say {end - begin}")
    return Place(key, entry["dtype"], tuple(shape), begin, end)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)
