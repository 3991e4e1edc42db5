"""Floating-point environments as other libraries leave them behind, and calls whose results must not depend on them."""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import adamcore as ac
from storage import BF16, F16, F32, F64

X86 = {
    "flush": 0x8040,  # FTZ and DAZ
    "up": 0x4000,
    "down": 0x2000,
    "toward_zero": 0x6000,
    "traps": ~0x0E80 & 0xFFFF,  # all but "inexact" and "denormal" raise SIGFPE: a mask to be taken off
}
ARM = {"flush": 1 << 24, "up": 1 << 22, "down": 2 << 22, "toward_zero": 3 << 22}

MACHINE = platform.machine()
NAMES = list(X86 if MACHINE in ("x86_64", "AMD64") else ARM if MACHINE in ("aarch64", "arm64") else ())


def _control(libm: Any) -> tuple[Any, int]:
    """The environment of glibc, and where in it the control word is that arithmetic goes by."""
    saved = (ctypes.c_char * 32)()
    assert libm.fegetenv(saved) == 0
    return saved, 28 if MACHINE in ("x86_64", "AMD64") else 0


@contextmanager
def environment(name: str) -> Iterator[None]:
    """Change the environment of this thread's arithmetic, and check at the end that it is still the same."""
    libm = ctypes.CDLL("libm.so.6")
    saved, at = _control(libm)
    changed = (ctypes.c_char * 32)()
    changed[:] = saved[:]
    word = int.from_bytes(bytes(saved[at : at + 4]), "little") & ~0x3F
    word = word & X86[name] if name == "traps" else word | (X86 if at else ARM)[name]
    changed[at : at + 4] = word.to_bytes(4, "little")
    assert libm.fesetenv(changed) == 0
    try:
        yield
    finally:
        after, _ = _control(libm)
        libm.fesetenv(saved)
    flags = 0x3F if at else 0
    assert int.from_bytes(bytes(after[at : at + 4]), "little") & ~flags == word & ~flags, "the call left another one"


def packed(*values: float) -> bytes:
    """Return the bits, because even printing a number is arithmetic."""
    return struct.pack(f"{len(values)}d", *values)


RNG = np.random.default_rng(41)
TINY = [(RNG.uniform(-1, 1, n) * 1e-38 * 2.0 ** -RNG.integers(0, 12, n)).astype(F32) for n in (5, 70_000)]
USUAL = [RNG.standard_normal(n).astype(F32) for n in (5, 70_000)]
HUGE = [(g * 1e37).astype(F32) for g in USUAL]
SUBNORMAL = [np.array([3e-320, 4e-320]), np.array([5e-324])]
STARTS = [np.zeros(n, F32) for n in (5, 70_000)]

Put = Callable[[np.ndarray], Any]
Get = Callable[[Any], np.ndarray]


def stepped(put: Put, get: Get, grads: list[np.ndarray], dtype: Any = F32, **options: Any) -> bytes:
    """Two steps of Adagrad, with all of its state, and the norm."""
    loss_scale = options.pop("loss_scale", 1.0)
    params = [put(np.zeros(g.size, dtype)) for g in grads]
    optimizer = ac.Adagrad(params, lr=1e-3, **options)
    kept = packed()
    for _ in range(2):
        info = optimizer.step([put(g) for g in grads], loss_scale=loss_scale)
        kept += packed(info.grad_norm or 0.0)
    for i, p in enumerate(params):
        kept += get(p).tobytes() + b"".join(get(a).tobytes() for a in optimizer.state[str(i)].values())
    return kept


def clipped(put: Put, get: Get, grads: list[np.ndarray], limit: float) -> bytes:
    there = [put(g.copy()) for g in grads]
    norm = ac.clip_grad_norm_(there, limit)
    return packed(norm) + b"".join(get(g).tobytes() for g in there)


def functional(put: Put, get: Get) -> bytes:
    p, m, v = (put(STARTS[0].copy()) for _ in range(3))
    ac.functional.adam(p, put(TINY[0]), m, v, t=3, eps=1e-310)
    return b"".join(get(a).tobytes() for a in (p, m, v))


def scaler_at_work(put: Put, _: Get) -> bytes:
    p = put(np.zeros(5, F32))
    scaler = ac.LossScaler(3.0, 1.1, 0.3, 1)
    optimizer = ac.SGD(p)
    scales = []
    for _ in range(5):
        optimizer.step(put(USUAL[0]), loss_scale=scaler)
        scales.append(scaler.scale)
    scaler.update(overflow=True)
    return packed(*scales, scaler.scale)


def half(**options: Any) -> ac.Precision:
    return ac.Precision(**options)


CALLS: dict[str, Callable[[Put, Get], bytes]] = {
    "initial": lambda put, get: stepped(put, get, TINY, initial_accumulator_value=1e-40),
    "initial, rounded": lambda put, get: stepped(put, get, USUAL, initial_accumulator_value=1 / 3),
    "initial, double": lambda put, get: stepped(put, get, SUBNORMAL, F64, initial_accumulator_value=1e-310),
    "initial, bfloat16": lambda put, get: stepped(
        put, get, USUAL, BF16, initial_accumulator_value=1e-39, precision=half(state="bfloat16")
    ),
    "initial, float16": lambda put, get: stepped(
        put, get, USUAL, F16, initial_accumulator_value=1e-7, precision=half(state="float16")
    ),
    "norm": lambda put, _: packed(ac.global_norm([put(g) for g in USUAL])),
    "norm, tiny": lambda put, _: packed(ac.global_norm([put(g) for g in TINY])),
    "norm, subnormal": lambda put, _: packed(ac.global_norm([put(g) for g in SUBNORMAL])),
    "clip": lambda put, get: clipped(put, get, USUAL, 0.7),
    "clip, small factor": lambda put, get: clipped(put, get, HUGE, 1e-9),
    "clip, subnormal limit": lambda put, get: clipped(put, get, [np.full(4, 1e300)], 1e-312),
    "step, clip_norm": lambda put, get: stepped(put, get, USUAL, clip_norm=0.7, loss_scale=3.0),
    "step, subnormal limit": lambda put, get: stepped(put, get, HUGE, clip_norm=1e-312),
    "step, per tensor": lambda put, get: stepped(put, get, HUGE, clip_norm_per_tensor=1e-9, loss_scale=7.0),
    "step, units": lambda put, get: stepped(put, get, USUAL, clip_adaptive=1e-3, loss_scale=1 / 3),
    "step, value": lambda put, get: stepped(put, get, TINY, clip_value=1e-39, loss_scale=0.1),
    "step, unscaled": lambda put, get: stepped(put, get, HUGE, loss_scale=7e37),
    "step, weight decay": lambda put, get: stepped(put, get, TINY, weight_decay=1e-309, eps=1e-311),
    "step, schedule": lambda put, get: stepped(put, get, USUAL, clip_norm=1 / 3),
    "step, stochastic": lambda put, get: stepped(
        put, get, USUAL, BF16, precision=half(master=None, rounding="stochastic")
    ),
    "functional": functional,
    "scaler": scaler_at_work,
}
