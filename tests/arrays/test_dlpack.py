"""Arrays that other libraries lend by DLPack: used in place with the same bits, or refused by name, and returned."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac
from adamcore import functional
from helpers import bits
from lenders import COPIED, CPU, CUDA, CUDA_HOST, CUDA_MANAGED, READ_ONLY, ROCM, Lender, is_used, use_up
from reference import magnitudes

F4 = np.float32
DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: a[::-1],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
}


class Wrapped:
    """NumPy's own capsules, from an object that is no ndarray."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **arguments: Any) -> object:
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_as_numpy(dtype: type, layout: str, rng: np.random.Generator) -> None:
    p, g = (magnitudes(rng, (6, 5)).astype(dtype) for _ in range(2))
    ours, theirs = (LAYOUTS[layout](p.copy()) for _ in range(2))
    lender = Lender(theirs)
    expected, found = ac.AdamW([ours], clip_norm=1.0), ac.AdamW([lender], clip_norm=1.0)
    for _ in range(3):
        gradient = LAYOUTS[layout](g)
        assert expected.step([gradient]) == found.step([Lender(gradient, version=None)])
    assert bits(ours, *expected.state["0"].values()) == bits(theirs, *found.state["0"].values())
    assert not np.array_equal(theirs, p)
    assert found.param_groups[0]["params"][0] is lender
    assert all(type(a) is np.ndarray for a in found.state["0"].values())


@pytest.mark.parametrize("structure", [lambda a: a, lambda a: [a], lambda a: (a,), lambda a: {"w": a}])
def test_any_structure(structure: Callable[[Any], Any]) -> None:
    p, q = np.ones(3), np.ones(3)
    ac.SGD(structure(Wrapped(p)), lr=0.5).step(structure(Wrapped(np.ones(3))))
    ac.SGD(structure(q), lr=0.5).step(structure(Wrapped(np.ones(3))))
    assert np.all(p == 0.5)
    assert np.all(q == 0.5)


def test_mixed_with_numpy_and_none() -> None:
    p = [np.ones(3), np.ones(4), np.ones(5)]
    optimizer = ac.SGD([p[0], Wrapped(p[1]), Lender(p[2])], lr=0.5)
    optimizer.step([Lender(np.ones(3)), np.ones(4), None])
    assert [a[0] for a in p] == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("version", [None, (1, 0), (1, 3)])
@pytest.mark.parametrize("takes", [(), ("stream",), ("stream", "max_version"), ("stream", "max_version", "copy")])
def test_lent_once_and_given_back_once(version: tuple[int, int] | None, takes: tuple[str, ...]) -> None:
    gradient = Lender(np.ones(3), version=version, takes=takes)
    p = np.zeros(3)
    ac.SGD(p, lr=1.0).step(gradient)
    assert np.all(p == -1)
    assert (len(gradient.capsules), gradient.held) == (1, 0)
    assert is_used(gradient.capsules[0])
    assert set(gradient.calls[-1]) == set(takes)
    assert all(call.get("stream") is None and call.get("max_version", (1, 0)) == (1, 0) for call in gradient.calls)
    assert not any(call.get("copy") for call in gradient.calls)


def test_a_parameter_is_held_as_long_as_its_optimizer() -> None:
    param = Lender(np.ones(3))
    optimizer = ac.SGD(param)
    optimizer.step(np.ones(3))
    assert (len(param.capsules), param.held) == (1, 1)
    del optimizer
    gc.collect()
    assert param.held == 0


def test_memory_outlives_its_lender() -> None:
    """While the step runs without the GIL, only the capsule's contents keep the memory of the gradients."""
    p = np.zeros(300_000, F4)
    optimizer = ac.SGD({"p": p}, lr=1.0)
    for _ in range(20):
        optimizer.step({"p": Wrapped(np.ones(300_000, F4))})
    assert np.all(p == -20)


def test_without_deleter_strides_or_elements() -> None:
    p = np.zeros((2, 3))
    ac.SGD(Lender(p, deleter=False, says_strides=False), lr=1.0).step(Lender(np.ones((2, 3)), says_strides=False))
    assert np.all(p == -1)
    empty = Lender(np.ones((3, 0)), data=None, says_strides=False)
    ac.SGD(empty).step(Lender(np.ones((3, 0)), data=None))
    scalar = np.zeros(())
    ac.SGD(Lender(scalar), lr=1.0).step(Lender(np.ones(()), says_strides=False))
    assert scalar == -1


def test_the_offset_counts() -> None:
    p = np.zeros(8)
    ac.SGD(Lender(p, byte_offset=16, shape=(3,)), lr=1.0).step(np.ones(3))
    assert p.tolist() == [0, 0, -1, -1, -1, 0, 0, 0]


def test_pinned_memory_is_the_cpus() -> None:
    p = np.zeros(3)
    ac.SGD(Lender(p, device=(CUDA_HOST, 0)), lr=1.0).step(Lender(np.ones(3), device=(CUDA_HOST, 1)))
    assert np.all(p == -1)


class Raises(Lender):
    def __dlpack__(self, **_: Any) -> object:
        raise BufferError("not today")


class NoCapsule(Lender):
    def __dlpack__(self, **_: Any) -> object:
        return 3


class Used(Lender):
    def __dlpack__(self, **arguments: Any) -> object:
        capsule = super().__dlpack__(**arguments)
        use_up(capsule)
        return capsule


class Nowhere(Lender):
    def __dlpack_device__(self) -> Any:
        return "cuda"


class Elsewhere(Lender):
    def __dlpack_device__(self) -> tuple[int, int]:
        return (CPU, 0)


class OnlyArray:
    def __array__(self, *_: object) -> np.ndarray:
        return np.ones(4, F4)


class OnlyCuda:
    __cuda_array_interface__ = {"shape": (4,), "typestr": "<f4", "data": (0, False), "version": 3}  # noqa: RUF012


ONES = np.ones(4, F4)
BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "int32": (lambda: Lender(ONES, code=0), TypeError, "dtype int32 is not supported; use float32"),
    "uint8": (lambda: Lender(ONES, code=1, bits=8), TypeError, "dtype uint8 is"),
    "complex": (lambda: Lender(ONES, code=5, bits=32), TypeError, "dtype complex32 is"),
    "bool": (lambda: Lender(ONES, code=6, bits=8), TypeError, "dtype bool is"),
    "float8": (lambda: Lender(ONES, code=10, bits=8), TypeError, "dtype of DLPack's code 10 with 8 bits is"),
    "float128": (lambda: Lender(ONES, bits=128), TypeError, "dtype float128 is"),
    "bfloat32": (lambda: Lender(ONES, code=4), TypeError, "dtype bfloat32 is"),
    "lanes": (lambda: Lender(ONES, lanes=4), TypeError, "dtype float32x4 is"),
    "CUDA": (lambda: Lender(ONES, device=(CUDA, 0)), TypeError, "a CUDA array .*Lender.* cannot be mixed with CPU"),
    "managed": (lambda: Lender(ONES, device=(CUDA_MANAGED, 0)), TypeError, "a CUDA array"),
    "ROCm": (lambda: Lender(ONES, device=(ROCM, 0)), TypeError, "neither the CPU nor a CUDA device"),
    "CUDA after all": (lambda: Elsewhere(ONES, device=(CUDA, 0)), TypeError, "a CUDA array"),
    "CUDA interface": (OnlyCuda, TypeError, "a CUDA array .*OnlyCuda"),
    "__array__": (OnlyArray, TypeError, "expected a NumPy array, got OnlyArray"),
    "misaligned": (lambda: Lender(ONES, byte_offset=1, shape=(3,)), ValueError, "not aligned"),
    "version 2": (lambda: Lender(ONES, version=(2, 0)), ValueError, "version 2.0 of DLPack"),
    "version 0": (lambda: Lender(ONES, version=(0, 8)), ValueError, "version 0.8 of DLPack"),
    "no memory": (lambda: Lender(ONES, data=None), ValueError, "without memory"),
    "negative length": (lambda: Lender(ONES, shape=(-4,)), ValueError, r"no array of shape \(-4,\)"),
    "huge": (lambda: Lender(ONES, ndim=2, shape=(2**40, 2**40)), ValueError, "no array of shape"),
    "far": (lambda: Lender(ONES, strides=(2**62,)), ValueError, "reach beyond the address space"),
    "negative axes": (lambda: Lender(ONES, ndim=-1), ValueError, "of -1 axes"),
    "many axes": (lambda: Lender(ONES, ndim=65), ValueError, "of 65 axes"),
    "no shape": (lambda: Lender(ONES, shape=None), ValueError, "without a shape"),
    "raises": (lambda: Raises(ONES), ValueError, r"its __dlpack__\(\) raised: BufferError: not today"),
    "no capsule": (lambda: NoCapsule(ONES), TypeError, "returned 3, not a tensor"),
    "used": (lambda: Used(ONES), TypeError, "not a tensor in an unused DLPack capsule"),
    "no device": (lambda: Nowhere(ONES), ValueError, "must return a pair of integers"),
}
BAD_TO_WRITE: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "read-only": (lambda: Lender(ONES, flags=READ_ONLY), ValueError, "the array is read-only and cannot be updated"),
    "unversioned": (lambda: Lender(ONES, version=None), ValueError, "read-only .*as with JAX, whose arrays are immut"),
    "copied": (lambda: Lender(ONES, flags=COPIED), ValueError, "returns a copy"),
    "broadcast": (lambda: Lender(ONES, strides=(0,)), ValueError, r"share memory \(shape \(4,\), strides \(0,\)\)"),
    "windows": (lambda: Lender(ONES, ndim=2, shape=(3, 2), strides=(1, 1)), ValueError, "elements share memory"),
}


@pytest.mark.parametrize("kind", {**BAD, **BAD_TO_WRITE})
def test_unfit_parameters_are_refused_by_name(kind: str) -> None:
    make, error, match = {**BAD, **BAD_TO_WRITE}[kind]
    first, bad = Lender(np.ones(4, F4)), make()
    for call in (
        lambda: ac.AdamW({"b": first, "params": bad}),
        lambda: ac.clip_grad_norm_({"b": first, "params": bad}, 0.1),
        lambda: ac.clip_grad_value_({"b": first, "params": bad}, 0.1),
    ):
        with pytest.raises(error, match=r"^(params|grads)\['params'\]: .*" + match):
            call()
    with pytest.raises(error, match=rf"^p\[1\]: .*{match}"):
        functional.sgd([first, bad], [np.ones(4, F4)] * 2, t=1, lr=0.1)
    gc.collect()
    assert np.all(first.array == 1)
    assert first.held == 0
    assert getattr(bad, "held", 0) == 0 or kind == "used"


@pytest.mark.parametrize("kind", BAD)
def test_unfit_gradients_change_nothing(kind: str, unchanged: Callable[..., None]) -> None:
    make, error, match = BAD[kind]
    p = [np.ones(4, F4), np.ones(4, F4)]
    optimizer = ac.AdamW(p)
    optimizer.step([ONES, ONES])
    bad, good = make(), Lender(ONES)
    arrays = [*p, *optimizer.state["0"].values()]
    unchanged(error, r"^grads\[1\]: .*" + match, arrays, lambda: optimizer.step([good, bad]))
    with pytest.raises(error, match=r"^grads\[1\]: .*" + match):
        ac.global_norm([good, bad])
    gc.collect()
    assert dict(optimizer.steps) == {"0": 1, "1": 1}
    assert good.held == 0
    assert getattr(bad, "held", 0) == 0 or kind == "used"


@pytest.mark.parametrize("kind", BAD_TO_WRITE)
def test_what_may_not_be_written_may_be_read(kind: str) -> None:
    gradient = BAD_TO_WRITE[kind][0]()
    shape = (3, 2) if kind == "windows" else (4,)
    p = np.zeros(shape, F4)
    ac.SGD(p, lr=1.0).step(gradient)
    assert np.all(p == -1)
    assert gradient.held == 0


def test_shapes_and_overlap_are_looked_at(unchanged: Callable[..., None]) -> None:
    flat = np.ones(30, F4)
    with pytest.raises(ValueError, match=r"params\[1\]: shares memory with params\[0\]"):
        ac.SGD([Wrapped(flat[:16]), Wrapped(flat[15:])])
    optimizer = ac.SGD([Wrapped(flat[:10]), flat[10:20]])
    good = np.ones(10, F4)
    for bad in (Wrapped(flat[5:15]), Lender(flat[:10]), flat[11:21]):
        unchanged(ValueError, r"grads\[1\]: shares memory", [flat], lambda bad=bad: optimizer.step([good, bad]))
    unchanged(ValueError, r"grads\[0\]: shape \(9,\)", [flat], lambda: optimizer.step([Lender(good[1:]), good]))
    optimizer.step([Wrapped(flat[20:]), Lender(flat[20:])])


def test_other_exceptions_pass() -> None:
    class Interrupted(Lender):
        def __dlpack__(self, **_: Any) -> object:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ac.SGD(Interrupted(ONES))


def test_bare_arrays_and_clipping() -> None:
    p, m, v = np.ones(4, F4), np.zeros(4, F4), np.zeros(4, F4)
    q, n, w = np.ones(4, F4), np.zeros(4, F4), np.zeros(4, F4)
    given = Lender(p)
    assert ac.adam_update(given, Lender(ONES, version=None), Wrapped(m), Wrapped(v), t=1)[0] is given
    ac.adam_update(q, ONES, n, w, t=1)
    assert bits(p, m, v) == bits(q, n, w)
    grads = [np.full(3, 2.0), np.full(4, 2.0)]
    assert ac.clip_grad_norm_([Lender(grads[0]), grads[1]], 1.0) == pytest.approx(28**0.5)
    ac.clip_grad_value_(Wrapped(grads[0]), 0.25)
    assert np.all(grads[0] == 0.25)
    assert ac.global_norm(Lender(np.full(4, 2.0), version=None)) == 4.0
