"""Files of more than 2^31 bytes, most of which is a hole, so that they take neither disk nor memory."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from files import body_of, header_of, saved, whole, with_header
from pairs import EXHAUSTIVE

BEYOND = 2**31 + 64


def checksum_of_zeros(size: int) -> int:
    zeros, checksum = bytes(1 << 24), 0
    for at in range(0, size, len(zeros)):
        checksum = zlib.crc32(zeros[: size - at], checksum)
    return checksum


def test_arrays_beyond_2_31_bytes(tmp_path: Path) -> None:
    """The arrays that are wanted lie behind a large one, which is another part and is not read."""
    path = tmp_path / "run"
    w, optimizer, _ = saved(path)
    before = whole(optimizer)
    ac.save(path, optimizer, other=np.zeros(8, np.uint8))
    header, body = header_of(path.read_bytes()), body_of(path.read_bytes())
    arrays = {key: entry for key, entry in header.items() if key != "__metadata__"}
    *rest, other = arrays
    assert other == "other//value"
    small = body[: arrays[other]["data_offsets"][0]]
    moved: dict[str, Any] = {"__metadata__": header["__metadata__"]}
    sums = moved["__metadata__"]["arrays"]
    moved["__metadata__"]["arrays"] = sums[-8:] + sums[:-8]
    moved[other] = {"dtype": "U8", "shape": [BEYOND], "data_offsets": [0, BEYOND]}
    for key in rest:
        moved[key] = {**arrays[key], "data_offsets": [BEYOND + at for at in arrays[key]["data_offsets"]]}
    data = with_header(json.dumps(moved, separators=(",", ":")).encode(), b"")
    with path.open("wb") as file:
        file.write(data)
        file.seek(len(data) + BEYOND)
        file.write(small)
    assert path.stat().st_size > 2**31
    w[:] = 0
    ac.load(path, optimizer, strict=False)
    assert whole(optimizer) == before


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes three seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_an_array_of_more_than_2_31_bytes(tmp_path: Path) -> None:
    """It is zeros that have never been written, so reading it takes no memory; the file is written in pieces."""
    path = tmp_path / "run"
    w = np.zeros(BEYOND // 2, np.float16)
    optimizer = ac.SGD({"w": w, "v": np.arange(5, dtype=np.float16)}, precision=ac.Precision(master=None))
    optimizer.save(path)
    with path.open("rb") as file:
        header = header_of(file.read(4096))
    assert header["param/w/value"]["data_offsets"][1] == BEYOND
    assert int(header["__metadata__"]["arrays"][:8], 16) == checksum_of_zeros(BEYOND)
    other = np.zeros(5, np.float16)
    ac.SGD({"v": other}, precision=ac.Precision(master=None)).load(path, strict=False)
    assert other.tolist() == [0, 1, 2, 3, 4]
    path.unlink()
