"""Random generators whose states are to come back after what draws from them."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import CellType, CodeType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any

import numpy as np

from adamcore._checks.signals import calls_for_signals
from adamcore._core import call_all, short_repr

Restorer = Callable[[], Any]
"""Puts one state back. It is a call of a function in C."""


def restorers(rngs: Any, owner: str) -> list[Restorer]:
    """Return what puts back the present states of the generators that a process shares, and those of `rngs`.

    Shared ones are Python's, NumPy's, and PyTorch's on the CPU and on CUDA devices, if it has been imported.

    Each is there several times (`calls_for_signals`). All of them are to be called, whatever they raise: NumPy computes
    with large ints.

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
    return [each for each in found for _ in range(calls_for_signals())]


def generators_in(*things: Any) -> list[Any]:
    """Return the random generators that functions and iterators draw from, as far as they can be seen.

    They are looked for in closures, arguments that are bound, global names of functions, local ones of generators that
    run, attributes, and short lists and dicts.
    """
    found: dict[int, Any] = {}
    seen: set[int] = set()
    waiting = [(thing, 0) for thing in things]
    while waiting and len(seen) < _MOST_SEEN:
        thing, depth = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, _GENERATORS) and not isinstance(thing, random.SystemRandom):
            found[id(thing)] = thing
        elif depth < _DEEPEST:
            waiting += [(part, depth + 1) for part in _parts_of(thing)]
    return list(found.values())


_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
_MOST_SEEN, _DEEPEST, _LONGEST = 10_000, 6, 100


def _parts_of(thing: Any) -> Iterable[Any]:
    for kind, parts in _PARTS:
        if isinstance(thing, kind):
            return parts(thing)
    attributes = getattr(thing, "__dict__", None)
    return list(attributes.values())[:_LONGEST] if isinstance(attributes, dict) else []


def _of_function(function: FunctionType) -> list[Any]:
    cells = [cell for cell in function.__closure__ or () if cell != _EMPTY]
    bound = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [*(cell.cell_contents for cell in cells), *bound, *_globals_of(function.__code__, function.__globals__)]


def _of_iterator(iterator: GeneratorType[Any, Any, Any]) -> list[Any]:
    frame = iterator.gi_frame
    return [] if frame is None else [*frame.f_locals.values(), *_globals_of(frame.f_code, frame.f_globals)]


_EMPTY = CellType()


def _globals_of(code: CodeType, names: dict[str, Any]) -> list[Any]:
    return [names[name] for name in code.co_names if isinstance(names.get(name), (*_GENERATORS, FunctionType))]


_PARTS: list[tuple[Any, Callable[[Any], Iterable[Any]]]] = [
    ((list, tuple), lambda items: items[:_LONGEST]),
    (dict, lambda items: list(items.values())[:_LONGEST]),
    (partial, lambda bound: [bound.func, *bound.args, *bound.keywords.values()]),
    (MethodType, lambda method: [method.__self__, method.__func__]),
    (FunctionType, _of_function),
    (GeneratorType, _of_iterator),
    ((type, ModuleType, np.ndarray), lambda _: ()),
]


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
