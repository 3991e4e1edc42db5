"""Fuzzing of the reader: python tests/checkpoints/fuzz.py [options of libFuzzer, such as -max_total_time=60].

Needs atheris (pip install atheris). The first byte of an input says what the rest is: a file, the text of a header
whose checksum is made right, or the description in it. Errors other than ValueError and TypeError, and changes of an
optimizer whose load has raised one of them, end it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["adamcore"]):
    import adamcore as ac
    from adamcore._checkpoints import files as _

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from files import BEGIN, body_of, header_of, saved, whole, with_header

FOLDER = tempfile.TemporaryDirectory()
PATH = Path(FOLDER.name) / "run"
_, OPTIMIZER, DATA = saved(PATH)
BEFORE = whole(OPTIMIZER)
HEADER = header_of(DATA)
DESCRIPTION = HEADER["__metadata__"]["adamcore"].encode()
TEXT = DATA[8 : len(DATA) - len(body_of(DATA))].rstrip()


def file_of(data: bytes) -> bytes:
    kind, rest = data[:1], data[1:]
    if kind == b"f":
        return rest
    if kind == b"h":
        return with_header(BEGIN + b"00000000" + rest, body_of(DATA))
    text = json.dumps(rest.decode(errors="replace"))
    metadata = {**HEADER["__metadata__"], "adamcore": json.loads(text)}
    return with_header(json.dumps({**HEADER, "__metadata__": metadata}, separators=(",", ":")).encode(), body_of(DATA))


def load(data: bytes) -> None:
    PATH.write_bytes(file_of(data))
    try:
        OPTIMIZER.load(PATH)
    except (TypeError, ValueError):
        assert whole(OPTIMIZER) == BEFORE
    else:
        restored = Path(FOLDER.name) / "restored"
        restored.write_bytes(DATA)
        OPTIMIZER.load(restored, schedules="saved")


def main() -> None:
    corpus = Path(FOLDER.name) / "corpus"
    corpus.mkdir()
    (corpus / "file").write_bytes(b"f" + DATA)
    (corpus / "header").write_bytes(b"h" + TEXT[len(BEGIN) + 8 :])
    (corpus / "description").write_bytes(b"d" + DESCRIPTION)
    ac.set_num_threads(1)
    atheris.Setup([*sys.argv, str(corpus), "-max_len=8192"], load)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
