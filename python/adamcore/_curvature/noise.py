"""Random directions whose bits depend on a seed, a step and a name, and on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_FIELDS = 12
_MEAN = _FIELDS * 65535 / 2
_CHUNK = 1 << 18


def noise(seed: int, step: int, name: str, count: int) -> NDArray[np.float64]:
    """Return `count` random numbers with mean 0 and variance 1, nearly normal, from a counter generator.

    Each is the sum of twelve integers of 16 bits, so it is exact on every machine, unlike logarithms and cosines. The
    bits of Philox (Salmon et al., SC 2011) are part of NumPy's promises; those of its distributions are not.
    """
    digest = hashlib.sha256(f"{seed}/{step}/{name}".encode()).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    found = np.empty(count)
    for first in range(0, count, _CHUNK):
        part = found[first : first + _CHUNK]
        words = np.asarray(generator.random_raw(3 * len(part)), np.uint64)
        sums = words.view(np.uint16).reshape(len(part), _FIELDS).sum(axis=1, dtype=np.int64)
        part[...] = (sums - _MEAN) / 65536
    return found
