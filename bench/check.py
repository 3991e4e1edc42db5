"""Whether a peer computes AdamW at all: three steps on a small set against float64."""

from __future__ import annotations

import numpy as np

from peers import Peer
from problem import Problem, clipped, reference

SHAPES = [(1,), (1000,), (37, 5), (3, 7, 7, 2), (100_003,)]
STEPS = 3
# Room for float32's rounding and for bias corrections in float32, as PyTorch has them; a wrong decay, beta or
# correction is off by a hundred times as much. In half precision each step may lose a unit in the last
# place of a bfloat16 number, since stochastic rounding may go either way.
RELATIVE, ABSOLUTE = 5e-7, 1e-7
HALF_RELATIVE, HALF_ABSOLUTE = 2**-7 * STEPS, 1e-4


def check(peer_class: type[Peer], threads: int) -> str | None:
    """Return what is wrong with a peer's result, or None."""
    problem = Problem(SHAPES, seed=42)
    # Other values at each step: with constant gradients the betas cancel out.
    dtype = np.dtype(peer_class.dtype)
    is_half = dtype.itemsize == 2
    relative, absolute = (HALF_RELATIVE, HALF_ABSOLUTE) if is_half else (RELATIVE, ABSOLUTE)
    start = [p.astype(dtype) for p in problem.params()]
    scales = (1.0, -0.5, 0.25)[:STEPS]
    grads_by_step = [[(g * np.float32(scale)).astype(dtype) for g in problem.grads] for scale in scales]
    peer = peer_class([p.copy() for p in start], threads)
    for grads in grads_by_step:
        peer.use(grads)
        peer.step()
    expected = reference(start, [clipped(grads, peer_class.max_norm) for grads in grads_by_step])
    excess = [
        float(np.max(np.abs(got.astype(np.float64) - want) / (relative * np.abs(want) + absolute)))
        for got, want in zip(peer.result(), expected, strict=True)
    ]
    worst = max(excess)
    return None if worst <= 1 else f"off by {worst:.3g} times what {dtype} allows after {STEPS} steps"
