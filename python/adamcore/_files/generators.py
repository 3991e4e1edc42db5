"""NumPy's random generators as JSON: the state of one, and what its children are made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from adamcore._files.errors import CheckpointError

_KINDS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_LARGEST_POOL = 1024  # making one takes time that grows with the square
_OF_SEED = ("entropy", "spawn_key", "pool_size", "n_children_spawned")


def saved_generator(generator: np.random.Generator, label: str) -> dict[str, Any]:
    """Return what makes up a generator, without arrays."""
    bits: Any = generator.bit_generator
    if type(bits).__name__ not in _KINDS:
        kinds = ", ".join(_KINDS)
        raise TypeError(f"{label}: generators of {type(bits).__name__} cannot be saved, those of {kinds} can")
    saved = {"state": _without_arrays(bits.state)}
    seed = getattr(bits, "seed_seq", getattr(bits, "_seed_seq", None))  # NumPy 1.24 has the latter
    if isinstance(seed, np.random.SeedSequence):
        saved["seed"] = _without_arrays({key: getattr(seed, key) for key in _OF_SEED})
    return saved


def _without_arrays(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_arrays(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "values": value.tolist()}
    return value


def generator_from(saved: Any, label: str) -> np.random.Generator:
    """Make a generator of what saved_generator() returned."""
    try:
        bits = _bits_from(_with_arrays(saved["state"]), saved.get("seed"))
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise CheckpointError(f"{label}: the state of a random generator is not valid: {error}") from None
    return np.random.Generator(bits)


def _bits_from(state: Any, seed: Any) -> Any:
    name = state["bit_generator"]
    if name not in _KINDS:
        raise ValueError(f"{name!r:.40} is unknown")
    _require_in_range(state)
    if seed is not None and not 1 <= seed["pool_size"] <= _LARGEST_POOL:
        raise ValueError(f"a pool of {seed['pool_size']!r:.40} words")
    children = None if seed is None else np.random.SeedSequence(**{key: seed[key] for key in _OF_SEED})
    bits = getattr(np.random, name)(children)
    bits.state = state
    return bits


def _require_in_range(state: Any) -> None:
    """Raise ValueError for a place behind the end of a buffer, which NumPy takes as it is."""
    for holder, key, largest in ((state["state"], "pos", 624), (state, "buffer_pos", 4)):
        if key in holder and not (type(holder[key]) is int and 0 <= holder[key] <= largest):
            raise ValueError(f"{key} is {holder[key]!r:.40}")


def _with_arrays(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value.keys() == {"dtype", "values"}:
        if value["dtype"] not in ("uint32", "uint64"):
            raise ValueError("an array of another dtype than uint32 and uint64")
        return np.array(value["values"], value["dtype"])
    return {key: _with_arrays(item) for key, item in value.items()}
