"""The gate for CUDA arrays, without a GPU: every protocol, version, flag and stream, from fake producers."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lenders import (
    COPIED,
    CPU,
    CUDA,
    CUDA_HOST,
    CUDA_MANAGED,
    ONES,
    READ_ONLY,
    ROCM,
    CupyArray,
    Lender,
    TorchTensor,
    interface,
)

F4 = np.float32
EVERY = ("stream", "max_version", "copy")


@pytest.fixture
def describe(cuda_gate: Any) -> Callable[..., dict[str, Any]]:
    def call(array: object, *, write: bool = False, stream: int = 7) -> dict[str, Any]:
        return cuda_gate.describe(array, write, "params['w']", stream)

    return call


def on_gpu(array: np.ndarray = ONES, *, kind: type[Lender] = Lender, **changed: Any) -> Any:
    return kind(array, **{"device": (CUDA, 0), **changed})


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fake CuPy module. `current` contains the current streams of devices."""
    module: Any = ModuleType("cupy")
    module.current = {}
    module.cuda = SimpleNamespace(get_current_stream=lambda d: SimpleNamespace(ptr=module.current.get(d, 0)))
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("torch")
    module.current, module.device = {}, 0

    @contextmanager
    def device(number: int) -> Any:
        before, module.device = module.device, number
        yield
        module.device = before

    module.cuda = SimpleNamespace(
        current_stream=lambda d: SimpleNamespace(cuda_stream=module.current.get(d, 0)),
        current_device=lambda: module.device,
        device=device,
    )
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


def expected(array: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "ptr": array.ctypes.data,
        "size": array.size,
        "shape": array.shape,
        "strides": array.strides,
        "dtype": array.dtype.name,
        "read_only": False,
        **more,
    }


ARRAYS = {
    "float32": ONES,
    "float64": np.ones((2, 3)),
    "float16": np.ones(3, np.float16),
    "bfloat16": np.ones(3, ml_dtypes.bfloat16),
    "Fortran": np.asfortranarray(ONES),
    "strided": ONES[::2, ::-1],
    "scalar": np.ones((), F4),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_the_same_memory_by_every_protocol(name: str, describe: Any, cupy: Any, torch: Any) -> None:
    array = ARRAYS[name]
    cupy.current[2], torch.current[1] = 64, 128
    for given, library, device, stream in (
        (CupyArray(array, 2), "cupy", 2, 64),
        (TorchTensor(array, device=(CUDA, 1)), "torch", 1, 128),
        (on_gpu(array, device=(CUDA, 1)), "other", 1, None),
        (interface(array, stream=9), "other", 3, 9),
    ):
        found = describe(given, write=True)
        assert found == expected(array, library=library, device=device, stream=stream)
    assert torch.device == 0


def test_what_is_a_device_array(cuda_gate: Any, cupy: Any) -> None:
    class Broken:
        @property
        def __cuda_array_interface__(self) -> object:
            raise RuntimeError("no")

        def __dlpack_device__(self) -> object:
            raise RuntimeError("no")

    assert cupy is sys.modules["cupy"]
    for yes in (CupyArray(ONES), on_gpu(), on_gpu(device=(CUDA_MANAGED, 0)), interface()):
        assert cuda_gate.is_device_array(yes)
    for no in (ONES, on_gpu(device=(CPU, 0)), on_gpu(device=(CUDA_HOST, 0)), on_gpu(device=(ROCM, 0)), Broken()):
        assert not cuda_gate.is_device_array(no)
    for no in ([interface()], (), {}, None, 3, "cuda", object(), F4(1)):
        assert not cuda_gate.is_device_array(no)


@pytest.mark.parametrize("version", [None, (1, 0), (1, 2)])
@pytest.mark.parametrize("takes", [(), ("stream",), EVERY])
def test_producers_are_told_of_the_stream(version: Any, takes: tuple[str, ...], describe: Any) -> None:
    """0, CuPy's name for the legacy stream, is forbidden in DLPack; who takes no stream makes the legacy one wait."""
    for stream, told in ((0, 1), (1, 1), (2, 2), (2**40, 2**40)):
        lender = on_gpu(version=version, takes=takes)
        found = describe(lender, stream=stream)
        assert found["stream"] == (None if takes else 1)
        assert lender.calls[-1].get("stream", told) == told
        assert set(lender.calls[-1]) == set(takes)
        assert (len(lender.capsules), lender.held) == (1, 0)
        assert found["read_only"] == (version is None)


def test_streams_of_libraries(cuda_gate: Any, cupy: Any, torch: Any) -> None:
    for module, name in ((cupy, "cupy"), (torch, "torch")):
        module.current.update({0: 0, 1: 2, 5: 2**50})
        assert [cuda_gate.current_stream(name, device) for device in (0, 1, 5)] == [1, 2, 2**50]
        sys.modules.pop(name)
        assert cuda_gate.current_stream(name, 0) is None
    assert cuda_gate.current_stream("other", 0) is None


def test_torch_is_asked_without_its_synchronising(describe: Any, torch: Any) -> None:
    tensor = TorchTensor(ONES, device=(CUDA, 0))
    torch.current[0] = 5
    assert describe(tensor)["stream"] == 5
    assert tensor.calls[-1]["stream"] == -1
    tensor.requires_grad = True
    assert describe(tensor, write=True)["ptr"] == ONES.ctypes.data
    tensor.negative = True
    with pytest.raises(ValueError, match=r"^params\['w'\]: .*negatives"):
        describe(tensor)


def test_empty_arrays(describe: Any, cupy: Any) -> None:
    empty = np.ones((3, 0), F4)
    pretended = CupyArray(empty)
    pretended.data.ptr = 0
    cupy.current[0] = 1
    for given in (pretended, on_gpu(empty, data=None), interface(empty, data=(0, False))):
        found = describe(given, write=True)
        assert (found["ptr"], found["size"], found["shape"]) == (0, 0, (3, 0))


def test_versions_and_streams_of_the_interface(describe: Any) -> None:
    for version in (2, 3, 4):
        assert describe(interface(version=version))["stream"] is None
    for stream in (1, 2, 2**45):
        assert describe(interface(stream=stream))["stream"] == stream
    assert describe(interface(stream=None))["stream"] is None
    for strides in (None, ...):
        assert describe(interface(strides=strides))["strides"] == (12, 4)
    for mask in (None, ...):
        describe(interface(mask=mask))
    assert describe(interface(data=(ONES.ctypes.data, True)))["read_only"]


class Failing(Lender):
    def __dlpack__(self, **_: Any) -> object:
        raise BufferError("not today")


class Elsewhere(Lender):
    """It says another device than its capsules do."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (CUDA, 0)


class Unreadable:
    @property
    def __cuda_array_interface__(self) -> object:
        raise RuntimeError("requires grad")


def changed_cupy(**changes: Any) -> CupyArray:
    array = CupyArray(ONES)
    for name, value in changes.items():
        setattr(array, name, value)
    return array


HALF = np.ones(3, np.int16)
BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "NumPy": (lambda: ONES, TypeError, "ndarray.* is not on a CUDA device"),
    "list": (lambda: [1.0], TypeError, "expected a CUDA array, got list"),
    "None": (lambda: None, TypeError, "expected a CUDA array, got NoneType"),
    "CPU": (lambda: on_gpu(device=(CPU, 0)), TypeError, "is not on a CUDA device"),
    "pinned": (lambda: on_gpu(device=(CUDA_HOST, 0)), TypeError, "is not on a CUDA device"),
    "CPU after all": (lambda: on_gpu(kind=Elsewhere, device=(CPU, 0)), TypeError, "is not on a CUDA device"),
    "another device after all": (
        lambda: on_gpu(kind=Elsewhere, device=(CUDA, 1)),
        ValueError,
        "names CUDA device 0, but __dlpack__.. lends memory of device 1",
    ),
    "int32": (lambda: on_gpu(code=0), TypeError, "dtype int32 is not supported; use float32"),
    "lanes": (lambda: on_gpu(lanes=2), TypeError, "dtype float32x2"),
    "version 2": (lambda: on_gpu(version=(2, 1)), ValueError, "version 2.1 of DLPack"),
    "fails": (lambda: on_gpu(kind=Failing), ValueError, "BufferError: not today"),
    "misaligned": (lambda: on_gpu(byte_offset=2, shape=(2, 3)), ValueError, "not aligned"),
    "CuPy int": (lambda: changed_cupy(dtype=np.dtype(np.int64)), TypeError, "dtype int64 is not supported"),
    "CuPy big-endian": (lambda: changed_cupy(dtype=np.dtype(">f4")), TypeError, "byte order"),
    "CuPy broken": (lambda: changed_cupy(data=3), ValueError, "the CuPy array cannot be used: AttributeError"),
    "CuPy pointer": (lambda: changed_cupy(data=SimpleNamespace(ptr="x", device_id=0)), ValueError, "cannot be used"),
    "interface of the CPU": (lambda: interface(data=(16, False)), TypeError, "is not on a CUDA device"),
    "no dict": (lambda: SimpleNamespace(__cuda_array_interface__=3), ValueError, "value 3"),
    "raises": (Unreadable, ValueError, "__cuda_array_interface__ raised: RuntimeError: requires grad"),
    "version 1": (lambda: interface(version=1), ValueError, "has the version 1"),
    "no version": (lambda: interface(version=...), ValueError, "has the version None"),
    "mask": (lambda: interface(mask=interface()), TypeError, "masked arrays are not supported"),
    "stream 0": (lambda: interface(stream=0), ValueError, "has the stream 0"),
    "stream -1": (lambda: interface(stream=-1), ValueError, "has the stream -1"),
    "odd stream": (lambda: interface(stream="x"), ValueError, "has the stream 'x'"),
    "typestr int": (lambda: interface(typestr="<i4"), TypeError, "dtype <i4 is not supported"),
    "big-endian": (lambda: interface(typestr=">f4"), TypeError, "byte order"),
    "void": (lambda: interface(HALF, typestr="<V2"), TypeError, "dtype <V2 is not supported"),
    "no typestr": (lambda: interface(typestr=...), ValueError, "has the typestr None"),
    "no data": (lambda: interface(data=...), ValueError, "has the data None"),
    "no pointer": (lambda: interface(data=(0, False)), ValueError, r"has the data \(0, False\)"),
    "list shape": (lambda: interface(shape=[4, 3]), ValueError, "has the shape"),
    "odd shape": (lambda: interface(shape=(4, "x")), ValueError, "has the shape"),
    "negative shape": (lambda: interface(shape=(4, -3)), ValueError, "no array of shape"),
    "few strides": (lambda: interface(strides=(4,)), ValueError, "has the strides"),
    "odd address": (lambda: interface(data=(ONES.ctypes.data + 1, False)), ValueError, "not aligned"),
    "odd strides": (lambda: interface(strides=(13, 4)), ValueError, "not aligned"),
}
BAD_TO_WRITE: dict[str, tuple[Callable[[], Any], str]] = {
    "read-only": (lambda: on_gpu(flags=READ_ONLY), "the array is read-only"),
    "unversioned": (lambda: on_gpu(version=None), "the array is read-only .*JAX"),
    "copied": (lambda: on_gpu(flags=COPIED), "returns a copy"),
    "overlapping": (lambda: on_gpu(strides=(0, 1)), r"elements share memory \(shape \(4, 3\), strides \(0, 4\)\)"),
    "read-only interface": (lambda: interface(data=(ONES.ctypes.data, True)), "the array is read-only"),
    "overlapping interface": (lambda: interface(strides=(4, 4)), "elements share memory"),
    "overlapping CuPy": (lambda: changed_cupy(strides=(0, 4)), "elements share memory"),
}


@pytest.mark.parametrize("kind", BAD)
def test_unfit_arrays_are_refused_by_name(kind: str, describe: Any, cupy: Any) -> None:
    make, error, match = BAD[kind]
    assert cupy is sys.modules["cupy"]
    for write in (False, True):
        bad = make()
        with pytest.raises(error, match=r"^params\['w'\]: .*" + match):
            describe(bad, write=write)
        gc.collect()
        assert getattr(bad, "held", 0) == 0


@pytest.mark.parametrize("kind", BAD_TO_WRITE)
def test_what_may_not_be_written_may_be_read(kind: str, describe: Any, cupy: Any) -> None:
    make, match = BAD_TO_WRITE[kind]
    assert cupy is sys.modules["cupy"]
    given = make()
    with pytest.raises(ValueError, match=r"^params\['w'\]: .*" + match):
        describe(given, write=True)
    assert describe(given)["shape"] == (4, 3)
    gc.collect()
    assert getattr(given, "held", 0) == 0
