"""Helpers for tests of checkpoints: optimizers with everything that a file can have, and files with other contents."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import adamcore as ac
from adamcore import schedules
from helpers import everything

BEGIN = b'{"__metadata__":{"crc32":"'


def varied_params() -> dict[str, np.ndarray]:
    """Parameters of all types, in several layouts, with names that files must not mistake."""
    rng = np.random.default_rng(7)

    def numbers(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    return {
        "w": numbers(17, 5).astype(np.float32),
        "fortran": np.asfortranarray(numbers(6, 7).astype(np.float32)),
        "gaps": numbers(12, 9).astype(np.float32)[::2, ::-3],
        "a/b": numbers(33).astype(np.float64),
        "$array": numbers(3).astype(np.float16),
        "ü.0": numbers(40).astype(ml_dtypes.bfloat16),
        "": (numbers(4, 2) + 1j * numbers(4, 2)).astype(np.complex64),
        "pairs": numbers(3, 3) + 1j * numbers(3, 3),
        "scalar": np.array(0.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
    }


def gradients(params: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {}
    for name, p in params.items():
        real, other = rng.standard_normal((2, *p.shape))
        found[name] = (real + 1j * other if p.dtype.kind == "c" else real).astype(p.dtype)
    return found


def varied(steps: int = 0) -> tuple[dict[str, np.ndarray], ac.Optimizer]:
    """An optimizer with groups, schedules, an average and a guard, after some steps and in an open window."""
    params = varied_params()
    names = list(params)
    rate = schedules.Warmup(schedules.Cosine(0.1, steps=50), steps=9)
    groups = [
        {"params": {name: params[name] for name in names[:4]}, "lr": rate},
        {"params": {name: params[name] for name in names[4:]}, "lr": rate, "betas": (schedules.Constant(0.8), 0.99)},
    ]
    optimizer = ac.AdamW(groups, amsgrad=True, clip_norm=ac.SpikeGuard())
    ac.EMA(optimizer, decay=0.9)
    for step in range(steps):
        optimizer.step(gradients(params, step))
    if steps:
        optimizer.accumulate(gradients(params, 99), weight=3)
    return params, optimizer


def whole(optimizer: ac.Optimizer) -> Any:
    """Everything that an optimizer is, to be compared."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value

    return everything(optimizer), plain(optimizer.state_dict())


def small(**options: Any) -> tuple[np.ndarray, ac.Optimizer]:
    w = np.linspace(-1, 1, 20).astype(np.float32)
    return w, ac.Adam({"w": w}, lr=0.1, **options)


def header_of(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])


def body_of(data: bytes) -> bytes:
    return data[8 + int.from_bytes(data[:8], "little") :]


def with_header(text: bytes, body: bytes) -> bytes:
    """A file with any header, whose checksum is right. The text must begin as adamcore's headers do."""
    assert text.startswith(BEGIN)
    at = 8 + len(BEGIN)
    header = len(text).to_bytes(8, "little") + text
    blank = header[:at] + b"0" * 8 + header[at + 8 :]
    return header[:at] + f"{zlib.crc32(blank):08x}".encode() + header[at + 8 :] + body


def altered(data: bytes, change: Callable[[dict[str, Any]], None], body: bytes | None = None) -> bytes:
    """A file in whose header something has been changed, and whose checksum is right."""
    header = header_of(data)
    change(header)
    return with_header(json.dumps(header, separators=(",", ":")).encode(), body_of(data) if body is None else body)


def altered_content(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A file in whose description something has been changed."""

    def in_header(header: dict[str, Any]) -> None:
        content = json.loads(header["__metadata__"]["adamcore"])
        change(content)
        header["__metadata__"]["adamcore"] = json.dumps(content)

    return altered(data, in_header)


def saved(path: Path, steps: int = 3, **options: Any) -> tuple[np.ndarray, ac.Optimizer, bytes]:
    """A small optimizer after some steps, and the bytes of its file."""
    w, optimizer = small(**options)
    for step in range(steps):
        optimizer.step({"w": np.cos(w + step)})
    optimizer.save(path)
    return w, optimizer, path.read_bytes()
