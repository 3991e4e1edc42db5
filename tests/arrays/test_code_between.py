"""Foreign code that runs while arrays are being taken in. CI runs these tests under AddressSanitizer too."""

from __future__ import annotations

import contextlib
import gc
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import adamcore as ac

SIZE = 3000  # few enough that the GIL is kept, and nothing with it


class Armed:
    """When the test says so and a look-up compares keys, frees a gradient and reuses its memory."""

    def __init__(self, grads: dict[Any, Any], victim: Any, dtype: str) -> None:
        self.grads, self.victim, self.dtype = grads, victim, dtype
        self.is_armed = False
        self.fired = 0
        self.hogs: list[np.ndarray] = []

    def fire(self) -> None:
        if self.is_armed:
            self.is_armed = False
            self.fired += 1
            self.grads[self.victim] = None
            gc.collect()
            self.hogs += [np.full(SIZE, 777, self.dtype) for _ in range(4)]


class Lookalike:
    """A key that has the hash of a name but is not equal to it."""

    def __init__(self, name: str, armed: Armed) -> None:
        self.hash, self.armed = hash(name), armed

    def __hash__(self) -> int:
        return self.hash

    def __eq__(self, other: object) -> bool:
        self.armed.fire()
        return self is other


class Name(str):
    """A name with a comparison in Python."""

    __slots__ = ("armed",)
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if hasattr(self, "armed"):
            self.armed.fire()
        return str.__eq__(self, other)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
@pytest.mark.parametrize("kind", ["lookalike", "name"])
def test_a_key_frees_a_gradient_that_was_taken(kind: str, dtype: str) -> None:
    params = {name: np.zeros(SIZE, dtype) for name in "ab"}
    optimizer = ac.SGD(params, lr=1.0)
    grads: dict[Any, Any] = {}
    armed = Armed(grads, "a", dtype)
    if kind == "lookalike":
        grads[Lookalike("b", armed)] = None
        grads.update({name: np.ones(SIZE, dtype) for name in "ab"})
    else:
        key = Name("b")
        key.armed = armed
        grads.update({"a": np.ones(SIZE, dtype), key: np.ones(SIZE, dtype)})
    armed.is_armed = True
    with contextlib.suppress(KeyError, ValueError, RuntimeError):
        optimizer.step(grads)
    for param in params.values():
        assert param.tobytes() in {np.zeros(SIZE, dtype).tobytes(), np.full(SIZE, -1, dtype).tobytes()}


class Reshaping:
    """An array of another library that, while it is lent, changes the shape of a different array."""

    def __init__(self, array: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> None:
        self.array, self.other, self.shape_of_other = array, other, shape
        self.junk: list[np.ndarray] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.other.shape = self.shape_of_other  # NumPy frees the old shape
        self.junk += [np.zeros((7,) * axes) for axes in (1, 1, 2, 2, 1, 2)]
        return self.array.__dlpack__(max_version=(1, 0))


@pytest.mark.parametrize("shape", [(2,) * 10 + (1,) * 20, (1024,), (16, 64)])
@pytest.mark.parametrize("place", [0, 1])
def test_a_lender_reshapes_another_parameter(shape: tuple[int, ...], place: int) -> None:
    first = np.zeros((32, 32), "f4")
    params: list[Any] = [first, Reshaping(np.zeros(3, "f4"), first, shape)]
    if place:
        params.reverse()
    try:
        optimizer = ac.AdamW(params)
    except ValueError:
        return
    assert optimizer.state[str(place)]["exp_avg"].shape == first.shape
    grads = [np.ones(first.shape, "f4"), np.ones(3, "f4")]
    optimizer.step(grads[::-1] if place else grads)
    assert np.all(first < 0)


def test_a_lender_reshapes_an_argument() -> None:
    p, m, v = (np.zeros((32, 32), "f4") for _ in range(3))
    lent = Reshaping(np.ones((32, 32), "f4"), p, (2,) * 10)
    with contextlib.suppress(ValueError):
        ac.functional.adam(p, lent, m, v, t=1)
    assert set(np.unique(np.sign(p))) <= {0.0, -1.0}
    assert len(np.unique(p)) == 1


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """NumPy warns of changes in place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Meddler:
    """An array of another library that runs code when it is asked for its memory."""

    def __init__(self, array: np.ndarray, meddle: Any) -> None:
        self.array, self.meddle = array, meddle

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self, **options: Any) -> Any:
        self.meddle()
        return self.array.__dlpack__(max_version=(1, 0))


def reshaper(array: np.ndarray, kept: list) -> Any:
    """Give the array another shape, so that NumPy frees the old shape, and reuse that memory."""

    def meddle() -> None:
        with silence():
            array.shape = (2,) * 10 + (1,) * 20
        kept.extend(np.zeros((7,) * k) for k in (1, 1, 2, 2, 1, 2))

    return meddle


def test_a_gradient_is_walked_as_it_is_when_all_code_has_run() -> None:
    kept: list = []
    grad = np.arange(1024, dtype=np.float32).reshape(32, 32).T  # unlike its parameter
    w = [np.zeros((32, 32), np.float32), np.zeros(3, np.float32)]
    opt = ac.SGD(w, lr=1.0)

    def meddle() -> None:
        with silence():
            grad.strides = (128, 4)
        kept.extend(np.zeros((7,) * k) for k in (1, 1, 2, 2, 1, 2))

    opt.step([grad, Meddler(np.ones(3, np.float32), meddle)])
    assert np.array_equal(w[0], -grad)


def test_arrays_without_an_optimizer() -> None:
    kept: list = []
    first, other = np.full((32, 32), 3, np.float32), np.full(3, 4, np.float32)
    ac.clip_grad_value_([first, Meddler(other, reshaper(first, kept))], 1.0)
    assert (first == 1).all()
    assert (other == 1).all()
    p, g = np.zeros((32, 32), np.float32), np.ones((32, 32), np.float32)
    q = Meddler(np.zeros(3, np.float32), reshaper(p, kept))
    with pytest.raises(ValueError, match=r"g\[0\]: shape \(32, 32\) does not match p\[0\]"):
        ac.functional.sgd([p, q], [g, np.ones(3, np.float32)], t=1)
    assert not p.any()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on no collection begins within an allocation")
def test_a_collection_that_frees_a_gradient() -> None:
    """A large array makes the step release the GIL and make a tuple of gradients, which may run the collector."""
    n = 300_000
    kept: list = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            if grads:
                grads[0] = None
                kept.append(np.full(n, 777, np.float32))

    w = [np.zeros(n, np.float32), np.zeros(n, np.float32)]
    opt = ac.SGD(w, lr=1.0)
    grads: list = []
    threshold = gc.get_threshold()
    try:
        for count in range(1, 40):
            gc.collect()
            grads[:] = [np.ones(n, np.float32), np.ones(n, np.float32)]
            Cycle()
            gc.set_threshold(count, 1000, 1000)
            before = w[0][0]
            opt.step(grads)
            gc.set_threshold(*threshold)
            assert set(np.unique(w[0])) <= {before, before - 1}
    finally:
        gc.set_threshold(*threshold)


CHANGES = {
    "dtype": (lambda p: setattr(p, "dtype", np.int32), "given another dtype in place"),
    "shape": (lambda p: setattr(p, "shape", (4, 3)), "given another shape or other strides in place"),
    "strides": (lambda p: setattr(p, "strides", (4, 12)), "given another shape or other strides in place"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_parameter_that_is_changed_in_place(change: str) -> None:
    apply, match = CHANGES[change]
    p = np.ones((3, 4), np.float32)
    opt = ac.SGD({"w": p}, lr=1.0)
    opt.step({"w": np.ones((3, 4), np.float32)})
    before = p.tobytes()
    with silence():
        apply(p)
    before = p.tobytes()
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"params\['w'\]: the array has been {match}"):
            opt.step({"w": np.ones((3, 4), np.float32)})
    assert p.tobytes() == before
    with silence():
        p.dtype = np.float32
        p.strides = (16, 4) if change != "shape" else (12, 4)
        p.shape = (3, 4)
    opt.step({"w": np.ones((3, 4), np.float32)})
    assert (p == -1).all(), "given back what it had, it is what it was"
