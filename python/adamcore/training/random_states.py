"""Random generators whose states are to come back after what draws from them."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from adamcore._core import call_all, short_repr

Restorer = Callable[[], Any]
"""Puts one state back. It is a call of a function in C."""


def restorers(rngs: Any, owner: str) -> list[Restorer]:
    """Return what puts back the present states of the generators that a process shares, and those of `rngs`.

    Shared ones are Python's, NumPy's, and PyTorch's on the CPU and on CUDA devices, if it has been imported.

    Each is there several times. All of them are to be called, whatever they raise: NumPy computes with large ints, and
    Python handles signals within divisions of these, so that a handler may raise in place of a call's effect. It does
    so once for each signal that has come.

    Raises
    ------
    TypeError
        If `rngs` has something that is no random generator. `owner` is what the message begins with.
    """
    if isinstance(rngs, (str, bytes)) or not isinstance(rngs, Iterable):
        raise TypeError(f"{owner}: rngs must be a list of random generators, got {short_repr(rngs)}")
    named = [_restorer_of(rng, f"{owner}: rngs[{place}]") for place, rng in enumerate(rngs)]
    of_numpy = partial(np.random.set_state, np.random.get_state(legacy=False))  # noqa: NPY002  (users draw from it)
    found: list[Restorer] = [_of_python(random._inst), of_numpy, *_of_pytorch(), *named]
    handled = sum(callable(signal.getsignal(number)) for number in signal.valid_signals())
    return [each for each in found for _ in range(1 + handled)]


def _restorer_of(rng: Any, label: str) -> Restorer:
    if isinstance(rng, np.random.Generator):
        return _of_bits(rng.bit_generator)
    if isinstance(rng, np.random.BitGenerator):
        return _of_bits(rng)
    if isinstance(rng, np.random.RandomState):
        return partial(rng.set_state, rng.get_state(legacy=False))
    if isinstance(rng, random.Random) and not isinstance(rng, random.SystemRandom):
        return _of_python(rng)
    if all(callable(getattr(rng, name, None)) for name in ("get_state", "set_state")):  # PyTorch's
        return partial(rng.set_state, rng.get_state())
    raise TypeError(
        f"{label} must be a random generator with a state (of NumPy, PyTorch or Python), got {short_repr(rng)}"
    )


def _of_bits(bits: Any) -> Restorer:
    """Return what puts back the state, and how many children spawn() has made."""
    calls: list[Restorer] = [partial(setattr, bits, "state", bits.state)]
    seed = getattr(bits, "seed_seq", getattr(bits, "_seed_seq", None))  # NumPy 1.24 has the latter
    if isinstance(seed, np.random.SeedSequence):
        reduced: Any = seed.__reduce__()
        calls.append(partial(seed.__setstate__, reduced[2]))  # type: ignore[attr-defined]
    return partial(call_all, calls)


def _of_python(rng: random.Random) -> Restorer:
    state = rng.getstate()
    if type(rng).setstate is not random.Random.setstate:
        return partial(rng.setstate, state)
    # random.Random.setstate, without what of it is written in Python.
    _, words, next_gauss = state
    words_back = partial(super(random.Random, rng).setstate, words)
    return partial(call_all, [words_back, partial(setattr, rng, "gauss_next", next_gauss)])


def _of_pytorch() -> Iterator[Restorer]:
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "default_generator"):
        return
    generators = [torch.default_generator]
    if torch.cuda.is_initialized():
        generators += torch.cuda.default_generators
    for generator in generators:
        yield partial(generator.set_state, generator.get_state())
