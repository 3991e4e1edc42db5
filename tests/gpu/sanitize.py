"""Every kernel once, at sizes that compute-sanitizer gets through: PYTHONPATH=tests python tests/gpu/sanitize.py.

Nothing is compared here: tests/gpu does that. CuPy only moves memory, so that few kernels but adamcore's run.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import ml_dtypes
import numpy as np

import adamcore as ac
from reference import CASES

BF16 = np.dtype(ml_dtypes.bfloat16)
F16, F32, F64 = (np.dtype(t) for t in (np.float16, np.float32, np.float64))
SHAPES = [(1037,), (1,), (0,), (), (33, 5), (4100,)]
PRECISIONS = [
    (F32, {}),
    (F64, {}),
    (F32, {"state": "bfloat16"}),
    (BF16, {}),
    (BF16, {"master": "remainder", "state": "bfloat16"}),
    (F16, {"master": None, "rounding": "compensated"}),
    (BF16, {"master": None, "rounding": "stochastic", "state": "bfloat16"}),
]
CLIPPING: list[dict[str, Any]] = [
    {"clip_norm": 0.1},
    {"clip_norm_per_tensor": 0.1},
    {"clip_adaptive": 0.01},
    {"clip_value": 0.1},
    {"nonfinite": "skip"},
]
rng = np.random.default_rng(0)


def put(shape: tuple[int, ...], dtype: np.dtype, offset: int = 0) -> Any:
    """Return random numbers on the device, `offset` elements after an aligned address."""
    size = int(np.prod(shape)) + offset
    bits = rng.standard_normal(size).astype(dtype).view(f"u{dtype.itemsize}")
    memory = cupy.empty(size, bits.dtype)
    memory.set(bits)
    return memory[offset:].reshape(shape).view(dtype)


def rules() -> None:
    """Every rule with a few kinds of storage, aligned and not."""
    for case, (dtype, precision) in itertools.product(CASES, PRECISIONS):
        params = [put(s, dtype, k % 3) for k, s in enumerate(SHAPES)]
        options = {**case.options, "precision": ac.Precision(**precision)}
        optimizer = getattr(ac, case.optimizer)(params, **options)
        for grad in (dtype, F32):
            optimizer.step([put(s, grad, (k + 1) % 3) for k, s in enumerate(SHAPES)])


def sums() -> None:
    """Matrices in parts and whole, and many leaves."""
    shapes = [(70, 300), (5, 5000), (4200, 33), (2, 65, 33), (40, 3, 3), (40_000,)]
    for make, dtype in itertools.product((ac.Adafactor, ac.LAMB, ac.Prodigy, ac.NovoGrad), (F32, F64, BF16)):
        optimizer = make([put(s, dtype, k % 3) for k, s in enumerate(shapes)], clip_norm=1.0)
        for _ in range(2):
            optimizer.step([put(s, dtype, (k + 1) % 3) for k, s in enumerate(shapes)])
        optimizer.load_state_dict(optimizer.state_dict())


def strided() -> None:
    """Views, of parameters and of gradients."""
    for dtype in (F32, BF16):
        memory, grad = put((61, 53), dtype), put((61, 53), dtype)
        for view in (lambda a: a.T, lambda a: a[::2, ::3], lambda a: a[::-1, ::-1], lambda a: a[:, 5]):
            for options in ({}, *CLIPPING):
                ac.AdamW(view(memory), **options).step(view(grad))


def clipping() -> None:
    """In a step and without one, for each dtype of gradients."""
    for options, dtype in itertools.product(CLIPPING, (F32, F16, BF16, F64)):
        optimizer = ac.AdamW([put(s, dtype) for s in SHAPES], **options)
        for grad in (dtype, F32):
            info = optimizer.step([put(s, grad, k % 2) for k, s in enumerate(SHAPES)], loss_scale=2.0)
            assert info.skipped is False
    for dtype in (F32, F16, BF16, F64):
        grads = [put(s, dtype, k % 2) for k, s in enumerate([*SHAPES, (70_001,)])]
        ac.global_norm(grads)
        ac.clip_grad_norm_(grads, 0.1)
        ac.clip_grad_value_(grads, 0.001)
    huge = put((5000,), F64)
    huge.set(np.full(5000, 1e200))
    ac.clip_grad_norm_(huge, 1.0)


def scaling() -> None:
    """A scaler that shrinks and grows, and steps that are skipped."""
    for dtype in (F32, F16):
        optimizer, scaler = ac.AdamW([put(s, dtype) for s in SHAPES], clip_norm=1.0), ac.LossScaler(growth_interval=2)
        bad = [put(s, dtype) for s in SHAPES]
        bad[0].set(np.full(SHAPES[0], np.inf, dtype))
        for k in range(6):
            optimizer.step(bad if k == 2 else [put(s, dtype) for s in SHAPES], loss_scale=scaler)
            scaler.device_scale(optimizer)
        assert scaler.scale > 0
        optimizer.load_state_dict(optimizer.state_dict())


def functional() -> None:
    """Plain arrays."""
    for dtype in (F32, F64):
        ac.functional.adam(*(put((1037,), dtype) for _ in range(3)), cupy.zeros(1037, dtype), t=1)


def many() -> None:
    """More tensors than blocks, in groups, with different gradients in each step."""
    params = [put((k % 7 + 1,), F32) for k in range(600)]
    optimizer = ac.AdamW([{"params": params[:300]}, {"params": params[300:], "lr": 0.1}], clip_norm=1.0)
    for _ in range(3):
        optimizer.step([put(p.shape, F32) if k % 5 else None for k, p in enumerate(params)])


def graphs() -> None:
    """A captured step, with learning rates from a schedule, beyond its last value, and changed by hand."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        params, grads = [put(s, F32) for s in SHAPES], [put(s, F32) for s in SHAPES]
        optimizer = ac.AdamW(params, lr=lambda t: 0.1 / (1 + t), clip_norm=1.0)
        optimizer.step(grads)
        stream.begin_capture()
        optimizer.step(grads)
        graph = stream.end_capture()
        optimizer.upload(2)
        for _ in range(3):
            graph.launch(stream)
        for k in range(3):
            optimizer.param_groups[0]["lr"] = 0.1 * k
            optimizer.upload()
            graph.launch(stream)
        assert optimizer.steps["0"] == 7


PARTS: list[Callable[[], None]] = [rules, sums, strided, clipping, scaling, functional, many, graphs]


def chosen(names: list[str]) -> Iterator[Callable[[], None]]:
    return (part for part in PARTS if not names or part.__name__ in names)


def main() -> None:
    for part in chosen(sys.argv[1:]):
        part()
        cupy.cuda.Device().synchronize()
        print(f"{part.__name__}: done", flush=True)


if __name__ == "__main__":
    main()
