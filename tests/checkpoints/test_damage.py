"""Files that are damaged or that somebody has made up: an error says so, nothing has changed, and nothing crashes."""

from __future__ import annotations

import json
import os
import random
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

import adamcore as ac
from files import altered, altered_content, body_of, header_of, saved, small, whole, with_header


def require_refused(path: Path, data: bytes, optimizer: ac.Optimizer, before: Any, match: str | None = None) -> None:
    path.write_bytes(data)
    with pytest.raises(ac.CheckpointError, match=match):
        optimizer.load(path)
    assert whole(optimizer) == before


def test_every_truncation(tmp_path: Path) -> None:
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ac.CheckpointError, match="run: "):
            optimizer.load(path)
    assert whole(optimizer) == before
    for more in (b"\0", b"x" * 1000):
        require_refused(path, data + more, optimizer, before, r"should be \d+ bytes of arrays, but there are")


def test_ten_thousand_bits(tmp_path: Path) -> None:
    """CRC-32 finds every flip of a single bit, and what it misses of several would be the same content by chance."""
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)
    chance = random.Random(3)  # noqa: S311
    file = path.open("r+b", buffering=0)
    for k in range(10_000):
        flips = {chance.randrange(8 * len(data)) for _ in range(1 if k % 2 == 0 else chance.randrange(2, 9))}
        changed = bytearray(data)
        for bit in flips:
            changed[bit // 8] ^= 1 << bit % 8
        file.seek(0)
        file.write(changed)
        with pytest.raises(ac.CheckpointError):
            optimizer.load(path)
    file.close()
    assert whole(optimizer) == before


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)
    text = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    foreign = struct.pack("<Q", len(text)) + text + bytes(4)
    for other in (b"", b"\0" * 8, b"PK\x03\x04" + bytes(100), foreign, bytes(5000), b"\xff" * 100):
        require_refused(path, other, optimizer, before)
    require_refused(path, foreign, optimizer, before, "adamcore has not written this file")
    plain = altered(data, lambda header: header["__metadata__"].pop("adamcore"))
    require_refused(path, plain, optimizer, before, "no checkpoint of adamcore")
    with pytest.raises(FileNotFoundError):
        optimizer.load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        optimizer.load(tmp_path)


def first(header: dict[str, Any]) -> dict[str, Any]:
    return header["param/w/value"]


def move(header: dict[str, Any], by: int) -> None:
    first(header)["data_offsets"] = [at + by for at in first(header)["data_offsets"]]


def put(entry: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: first(header).update({entry: value})


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "overlap": (lambda header: move(header, -4), "must begin at byte"),
    "hole": (lambda header: move(header, 4), "must begin at byte"),
    "negative": (lambda header: move(header, -(2**40)), "data_offsets must be"),
    "many lengths": (put("shape", [1] * 33), "at most 32 lengths"),
    "negative length": (put("shape", [-20]), "list of at most"),
    "huge length": (put("shape", [2**62, 2**62]), "needs"),
    "length beyond": (put("shape", [2**70]), "list of at most"),
    "wrong length": (put("shape", [21]), "needs 84 bytes, but data_offsets say 80"),
    "length is a bool": (put("shape", [True] * 2), "list of at most"),
    "length is a float": (put("shape", [20.0]), "list of at most"),
    "shape is a text": (put("shape", "20"), "list of at most"),
    "unknown dtype": (put("dtype", "F33"), "dtype 'F33' is unknown"),
    "dtype is a list": (put("dtype", ["F32"]), "is unknown"),
    "wider dtype": (put("dtype", "F64"), "needs 160 bytes"),
    "one offset": (put("data_offsets", [0]), "two numbers of bytes"),
    "offsets are texts": (put("data_offsets", ["0", "80"]), "two numbers of bytes"),
    "more entries": (put("more", 1), "must have a dtype, a shape and data_offsets"),
    "no entries": (lambda header: header.update({"param/w/value": 5}), "must have a dtype"),
    "no sums": (lambda header: header["__metadata__"].pop("arrays"), "checksum for each of 3 arrays"),
    "few sums": (lambda header: header["__metadata__"].update(arrays="0" * 16), "checksum for each of 3 arrays"),
    "odd sums": (lambda header: header["__metadata__"].update(arrays="x" * 24), "checksum for each of 3 arrays"),
    "no texts": (lambda header: header["__metadata__"].update(more=5), "must be texts"),
    "one array less": (lambda header: header.pop("param/w/value"), "must begin|there should be|checksum for each"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_headers(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    change, message = HOSTILE[kind]
    require_refused(path, altered(data, change), optimizer, whole(optimizer), message)


def test_hostile_texts(tmp_path: Path) -> None:
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)
    text = data[8 : len(data) - len(body_of(data))].rstrip()
    body = body_of(data)
    twice = text[:-1] + b',"param/w/value":' + json.dumps(first(header_of(data))).encode() + b"}"
    require_refused(path, with_header(twice, body), optimizer, before, "'param/w/value' is in the header twice")
    for end, message in {
        b',"x":' + b"[" * 100_000: "no JSON",
        b',"x":NaN}': "NaN is no JSON",
        b',"x":' + b"9" * 10_000 + b"}": "no JSON",
        b',"x":"\xff"}': "no JSON",
        b',"x":{"dtype":"F32"': "no JSON",
        b'}{"a":1}': "no JSON",
    }.items():
        require_refused(path, with_header(text[:-1] + end, body), optimizer, before, message)
    for length in (2**63, 2**64 - 1, 100_000_001, len(data)):
        require_refused(
            path, struct.pack("<Q", length) + data[8:], optimizer, before, "cut off|its beginning is damaged"
        )


def test_empty_arrays_with_absurd_lengths(tmp_path: Path) -> None:
    """They need no bytes, but NumPy cannot have them."""
    path = tmp_path / "run"
    w = np.ones((0, 3), np.float32)
    optimizer = ac.SGD({"w": w})
    optimizer.save(path)
    before = whole(optimizer)
    data = path.read_bytes()
    for shape in ([0, 2**62, 2**62], [2**62, 0]):
        other = altered(data, put("shape", shape))
        path.write_bytes(other)
        with pytest.raises(ValueError, match="shape"):
            optimizer.load(path)
        ac.save(tmp_path / "extra", optimizer, extra=np.zeros((0, 2)))

        def change(header: dict[str, Any], shape: list[int] = shape) -> None:
            header["extra//value"]["shape"] = shape

        require_refused(tmp_path / "extra", altered((tmp_path / "extra").read_bytes(), change), optimizer, before)


def test_memory_is_asked_for_what_fits(tmp_path: Path) -> None:
    """A small file that claims to have large arrays is refused before there is memory for them."""
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)
    huge = 2**44
    header = header_of(data)
    entries = [entry for key, entry in header.items() if key != "__metadata__"]
    at = 0
    for entry in entries:
        entry.update(shape=[huge // 4], data_offsets=[at, at + huge])
        at += huge
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(with_header(text, b""))
    with path.open("r+b") as file:
        try:
            file.truncate(8 + len(text) + at)
        except OSError:  # a file system that cannot have such files
            file.truncate(8 + len(text))
    with pytest.raises(ValueError, match=r"shape|should be"):
        optimizer.load(path)
    assert whole(optimizer) == before


CONTENTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "newer": (lambda content: content.update(version=2), "version 2, and this version of adamcore reads up to 1"),
    "no version": (lambda content: content.pop("version"), "the version of the file is None"),
    "bool": (lambda content: content.update(version=True), "the version of the file is True"),
    "no parts": (lambda content: content.pop("parts"), "'parts' is missing"),
    "no optimizer": (lambda content: content.pop("optimizer"), "'optimizer' is missing"),
    "no params": (lambda content: content["optimizer"].pop("params"), "it is no optimizer"),
    "params": (lambda content: content["optimizer"].update(params=[1]), "expected a dict for each parameter"),
    "numbers": (lambda content: content["optimizer"].update(params={"w": {"value": 5}}), "must be an array"),
    "other array": (
        lambda content: content["optimizer"].update(params={"w": {"value": {"$array": "none"}}}),
        "there is no array 'none'",
    ),
    "no key": (lambda content: content["optimizer"].update(params={"w": {"value": {"$array": 5}}}), "5 is no array"),
    "library": (
        lambda content: content["optimizer"].update(params={"w": {"value": {"$array": ["param/w/value", "os", ""]}}}),
        "there is no array",
    ),
    "pairs": (
        lambda content: content["optimizer"].update(
            params={"w": {"value": {"$array": ["param/w/value", "numpy", "complex128"]}}}
        ),
        "must be pairs of float64",
    ),
    "state_dict": (lambda content: content["optimizer"].update(state_dict=[]), "the state must be a dict"),
    "tag": (lambda content: content.update(extra={"$eval": "1"}), "'\\$eval' with such a content is unknown"),
    "float": (lambda content: content.update(extra={"$float": "1"}), "is unknown"),
    "dict": (lambda content: content.update(extra={"$dict": [1]}), "must consist of pairs"),
    "key": (lambda content: content.update(extra={"$dict": [[[1], 2]]}), "unhashable"),
    "generator": (lambda content: content.update(extra={"$generator": {"state": 1}}), "random generator is not valid"),
    "bits": (
        lambda content: content.update(extra={"$generator": {"state": {"bit_generator": "os"}}}),
        "random generator is not valid: 'os' is unknown",
    ),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_hostile_contents(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    change, message = CONTENTS[kind]
    require_refused(path, altered_content(data, change), optimizer, whole(optimizer), message)


POSITIONS: dict[str, tuple[str, ...]] = {"MT19937": ("state", "pos"), "Philox": ("buffer_pos",)}


@pytest.mark.parametrize("kind", POSITIONS)
def test_places_behind_the_end_of_a_generators_buffer(tmp_path: Path, kind: str) -> None:
    """NumPy takes any place, and then reads memory that is not its own."""
    path = tmp_path / "run"
    _, optimizer, _ = saved(path)
    optimizer.save(path, extra=np.random.Generator(getattr(np.random, kind)(1)))
    data, before = path.read_bytes(), whole(optimizer)
    for place in (10**9, 700, -1, -(10**8), 1.5, True):

        def change(content: dict[str, Any], place: Any = place) -> None:
            at = content["extra"]["$generator"]["state"]
            *keys, last = POSITIONS[kind]
            for key in keys:
                at = at[key]
            assert last in at
            at[last] = place

        require_refused(path, altered_content(data, change), optimizer, before, "pos is")

    def pool(content: dict[str, Any]) -> None:
        content["extra"]["$generator"]["seed"]["pool_size"] = 10**7

    require_refused(path, altered_content(data, pool), optimizer, before, "a pool of 10000000 words")


def test_a_header_with_many_equal_keys(tmp_path: Path) -> None:
    """The time to find them is in proportion to their number."""
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)
    text = data[8 : len(data) - len(body_of(data))].rstrip()
    twice = b",".join(b'"%d":0' % i for i in range(50_000)) + b',"49999":0}'
    begin = time.perf_counter()
    require_refused(path, with_header(text[:-1] + b"," + twice, body_of(data)), optimizer, before, "'49999' is in the")
    assert time.perf_counter() - begin < 5


def test_pipes_and_devices(tmp_path: Path) -> None:
    _, optimizer = small()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(ac.CheckpointError, match="no checkpoint, but a pipe or a device"):
            optimizer.load(path)
        with pytest.raises(OSError, match="a pipe or a device cannot be replaced"):
            optimizer.save(path)


def test_hostile_numbers(tmp_path: Path) -> None:
    """State is checked as load_state_dict() checks it."""
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)

    def negative(content: dict[str, Any]) -> None:
        content["optimizer"]["state"]["w"]["step"] = -1

    def range_of_betas(content: dict[str, Any]) -> None:
        content["optimizer"]["state_dict"]["param_groups"][0]["betas"] = {"$tuple": [0.9, 1.5]}

    for change, message in ((negative, "step"), (range_of_betas, "beta")):
        path.write_bytes(altered_content(data, change))
        with pytest.raises(ValueError, match=message):
            optimizer.load(path)
        assert whole(optimizer) == before


json_values = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(strategies.text() | strategies.integers(), inner, max_size=4)
        | strategies.tuples(inner, inner)
    ),
    max_leaves=12,
)


@hypothesis.given(json_values)
def test_any_extra_comes_back(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _, optimizer = small()
        optimizer.save(Path(folder) / "run", extra=value)
        found = optimizer.load(Path(folder) / "run")
    assert repr(found) == repr(value if value is not None else {})


REPLACEMENTS = strategies.sampled_from(
    [b"-1", b"0", b"1e9", b"null", b"true", b'""', b"[]", b"{}", b'"w"', b"NaN", b"[0]", b"9" * 30, b'{"$array":"x"}']
)


@hypothesis.given(strategies.data())
def test_fuzzed_texts(data: strategies.DataObject) -> None:
    """Parts of the text are replaced, moved and repeated, under a checksum that is right."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        _, optimizer, contents = saved(path)
        before = whole(optimizer)
        text = bytearray(contents[8 : len(contents) - len(body_of(contents))].rstrip())
        for _ in range(data.draw(strategies.integers(1, 3))):
            begin = data.draw(strategies.integers(26, len(text) - 1))
            end = min(len(text), begin + data.draw(strategies.integers(0, 12)))
            text[begin:end] = data.draw(REPLACEMENTS | strategies.binary(max_size=5))
        path.write_bytes(with_header(bytes(text), body_of(contents)))
        try:
            optimizer.load(path)
        except (ValueError, TypeError):
            assert whole(optimizer) == before
        else:
            assert whole(optimizer)[0].keys() == before[0].keys()
