"""The gate for arrays: valid arrays are used in place, and others raise an error before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import adamcore as ac
from reference import magnitudes

F4 = np.float32


def read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


def misaligned(n: int) -> np.ndarray:
    return np.zeros(4 * n + 1, np.uint8)[1:].view(F4)


BAD_PARAMS = {
    "list": ([1.0, 2.0], TypeError, "expected a NumPy array, got list"),
    "float": (1.0, TypeError, "expected a NumPy array, got float"),
    "None": (None, TypeError, "expected a NumPy array, got NoneType"),
    "scalar": (F4(1), TypeError, "expected a NumPy array, got numpy.float32"),
    "int": (np.ones(3, np.int32), TypeError, "dtype int32 is not supported"),
    "long complex": (np.ones(3, np.clongdouble), TypeError, "is not supported"),
    "void": (np.ones(3, "V2"), TypeError, r"dtype \|V2 is not supported"),
    "longdouble": (np.ones(3, np.longdouble), TypeError, "is not supported"),
    "object": (np.ones(3, object), TypeError, "dtype object is not supported"),
    "big-endian": (np.ones(3, ">f4"), TypeError, "byte order"),
    "masked": (np.ma.ones(3, F4), TypeError, "masked arrays"),
    "read-only": (read_only(np.ones(3, F4)), ValueError, "read-only"),
    "broadcast": (np.broadcast_to(F4(1), (3,)), ValueError, "read-only"),
    "zero stride": (
        as_strided(np.ones(3, F4), (3,), (0,)),
        ValueError,
        r"share memory \(shape \(3,\), strides \(0,\)\)",
    ),
    "windows": (as_strided(np.ones(5, F4), (3, 3), (4, 4)), ValueError, "elements share memory"),
    "misaligned": (misaligned(3), ValueError, "not aligned"),
}


@pytest.mark.parametrize("kind", BAD_PARAMS)
def test_bad_params_are_refused_by_name(kind: str) -> None:
    bad, error, match = BAD_PARAMS[kind]
    good = np.ones(3, F4)
    with pytest.raises(error, match=r"^params\[1\]: .*" + match):
        ac.AdamW([good, bad])
    with pytest.raises(error, match=r"^params\['w'\]: .*" + match):
        ac.AdamW({"b": good, "w": bad})
    with pytest.raises(error, match=r"^params\[1\]\['params'\]\['w'\]: .*" + match):
        ac.AdamW([{"params": good}, {"params": {"w": bad}}])


BAD_GRADS: dict[str, tuple[Any, type[Exception], str]] = {
    "list": ([1.0] * 6, TypeError, "expected a NumPy array, got list"),
    "int": (np.ones((2, 3), np.int32), TypeError, "dtype int32 is not supported"),
    "big-endian": (np.ones((2, 3), ">f4"), TypeError, "byte order"),
    "flat": (np.ones(6, F4), ValueError, r"shape \(6,\) does not match params\['last'\], which has shape \(2, 3\)"),
    "transposed": (np.ones((3, 2), F4), ValueError, r"shape \(3, 2\)"),
    "misaligned": (misaligned(6).reshape(2, 3), ValueError, "not aligned"),
}


@pytest.mark.parametrize("kind", BAD_GRADS)
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_bad_gradients_change_nothing(
    kind: str, name: str, rng: np.random.Generator, unchanged: Callable[..., None]
) -> None:
    """The last of several gradients is bad, after a step that was good."""
    bad, error, match = BAD_GRADS[kind]
    params = {"first": rng.standard_normal(50_000).astype(F4), "middle": np.ones(7), "last": np.ones((2, 3), F4)}
    good = {"first": np.ones(50_000, F4), "middle": np.ones(7), "last": np.ones((2, 3), F4)}
    optimizer = getattr(ac, name)(params)
    optimizer.step(good)
    arrays = [*params.values(), *good.values(), *(a for s in optimizer.state.values() for a in s.values())]
    steps = dict(optimizer.steps)
    by_name = {**good, "last": bad}
    unchanged(error, r"^grads\['last'\]: .*" + match, arrays, lambda: optimizer.step(by_name))
    assert dict(optimizer.steps) == steps
    optimizer.step(good)
    assert all(n == 2 for n in optimizer.steps.values())


def test_gradients_must_be_as_many_as_parameters(unchanged: Callable[..., None]) -> None:
    p = [np.ones(3, F4), np.ones(4, F4)]
    g = [np.ones(3, F4), np.ones(4, F4)]
    by_order, by_name = ac.SGD(p), ac.SGD(dict(zip("ab", [a.copy() for a in p], strict=True)))
    unchanged(ValueError, "expected 2 arrays, one for each parameter .* got 1", p, lambda: by_order.step(g[:1]))
    unchanged(ValueError, "got 3", p, lambda: by_order.step([*g, g[0]]))
    unchanged(TypeError, "got a single one", p, lambda: by_order.step(g[0]))
    unchanged(ValueError, r"no gradient for params\['b'\]", p, lambda: by_name.step({"a": g[0]}))
    unchanged(ValueError, r"grads\['c'\]: there is no such", p, lambda: by_name.step({"a": g[0], "b": g[1], "c": g[0]}))
    unchanged(TypeError, "structure of params, got set", p, lambda: by_order.step({1, 2}))
    unchanged(ValueError, "there are no gradients", p, lambda: by_order.step(None))
    unchanged(TypeError, "structure of params, got str", p, lambda: by_order.step("gg"))
    unchanged(TypeError, "got int", p, lambda: by_order.step(3))
    unchanged(TypeError, r"mapping", p, lambda: by_name.step(g))


def test_parameters_must_not_share_memory() -> None:
    a = np.ones(10, F4)
    with pytest.raises(ValueError, match=r"params\[1\]: shares memory with params\[0\]"):
        ac.AdamW([a, a])
    with pytest.raises(ValueError, match=r"params\['y'\]: shares memory with params\['x'\]"):
        ac.AdamW({"x": a[:6], "y": a[5:]})
    with pytest.raises(ValueError, match=r"params\[1\]\['params'\]: shares memory with params\[0\]\['params'\]"):
        ac.AdamW([{"params": a}, {"params": a[3:4]}])
    optimizer = ac.AdamW(a)
    with pytest.raises(ValueError, match="shares memory"):
        optimizer.add_param_group({"params": a[2:]})
    assert len(optimizer.param_groups) == 1
    ac.AdamW([a[:5], a[5:]]).step([np.ones(5, F4), np.ones(5, F4)])


def test_gradients_must_not_share_memory_with_what_is_written(unchanged: Callable[..., None]) -> None:
    flat = np.ones(30, F4)
    p = [flat[:10], flat[10:20], np.ones(10, F4)]
    optimizer = ac.AdamW(p)
    good = [np.ones(10, F4) for _ in range(3)]
    optimizer.step(good)
    for bad in (p[0], flat[15:25], flat[:10], p[2], p[2][:], optimizer.state["1"]["exp_avg"]):
        arrays = [flat, p[2], *(a for s in optimizer.state.values() for a in s.values())]
        unchanged(
            ValueError, r"grads\[2\]: shares memory with", arrays, lambda bad=bad: optimizer.step([*good[:2], bad])
        )
    optimizer.step([*good[:2], flat[20:]])


def test_foreign_memory_is_searched(unchanged: Callable[..., None]) -> None:
    """Parameters in memory that no array owns."""
    memory = bytearray(80)
    p = np.frombuffer(memory, F4)
    optimizer = ac.SGD(p[:10])
    again = np.frombuffer(memory, F4)
    unchanged(ValueError, "grads: shares memory with params", [p], lambda: optimizer.step(again[5:15]))
    optimizer.step(again[10:])


def test_one_gradient_may_serve_two_parameters() -> None:
    p = [np.zeros(20, F4), np.zeros(20, F4)]
    g = np.arange(20, dtype=F4)
    ac.SGD(p, lr=1.0).step([g, g])
    assert np.array_equal(p[0], -g)
    assert np.array_equal(p[1], -g)


def test_gradients_are_not_written(rng: np.random.Generator) -> None:
    for name in ("SGD", "AdamW", "RMSprop", "Adagrad"):
        g = read_only(rng.standard_normal(1000).astype(F4))
        before = g.tobytes()
        getattr(ac, name)(np.ones(1000, F4), weight_decay=0.1).step(g)
        assert g.tobytes() == before


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1), (5,), (2, 3, 4), (1, 7, 1), (2,) * 10])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_shape(shape: tuple[int, ...], order: Any, dtype: type, rng: np.random.Generator) -> None:
    p = np.array(magnitudes(rng, shape), dtype, order=order)
    expected = p - dtype(0.5)
    optimizer = ac.SGD({"p": p}, lr=0.5, momentum=0.9)
    optimizer.step({"p": np.ones(shape, dtype, order=order)})
    assert np.array_equal(p, expected)
    assert optimizer.state["p"]["momentum_buffer"].shape == shape
    assert optimizer.steps["p"] == 1


def test_any_order_of_axes(rng: np.random.Generator) -> None:
    p = rng.standard_normal((2, 3, 4)).astype(F4).transpose(1, 0, 2)
    g = rng.standard_normal((2, 3, 4)).astype(F4).transpose(1, 0, 2)
    expected = p - g
    optimizer = ac.SGD(p, lr=1.0, momentum=0.5)
    optimizer.step(g)
    assert np.array_equal(p, expected)
    assert np.array_equal(optimizer.state["0"]["momentum_buffer"], g)


def test_axes_of_length_one_may_have_any_stride() -> None:
    p = np.ones((4, 1), F4)
    for g in (np.ones((4, 1), F4, order="F"), np.ones((4, 9), F4)[:, :1].copy(), np.ones((1, 4), F4).T):
        ac.SGD(p, lr=0.25).step(g)
    assert np.all(p == 0.25)


def test_memory_maps_and_subclasses(tmp_path: Any) -> None:
    class Tagged(np.ndarray):
        pass

    mapped = np.memmap(tmp_path / "p", F4, "w+", shape=(100,))
    tagged = np.zeros(100, F4).view(Tagged)
    ac.SGD([mapped, tagged], lr=1.0).step([np.ones(100, F4), np.ones(100, F4).view(Tagged)])
    assert np.all(mapped == -1)
    assert np.all(tagged == -1)


def test_parameters_that_become_unfit_are_refused(unchanged: Callable[..., None]) -> None:
    p, g = np.ones(10, F4), np.ones(10, F4)
    optimizer = ac.AdamW(p)
    p.flags.writeable = False
    unchanged(ValueError, "^params: .*read-only", [p], lambda: optimizer.step(g))
    p.flags.writeable = True
    optimizer.step(g)
    for size in (100_000, 3):  # NumPy refuses, whatever it is told, while an optimizer is bound to the array
        with pytest.raises(ValueError, match="cannot resize an array"):
            p.resize(size, refcheck=False)
    optimizer.step(g)


def test_an_array_is_never_copied() -> None:
    p = np.ones(10, F4)
    optimizer = ac.AdamW([p])
    assert optimizer.param_groups[0]["params"][0] is p


def test_state_is_aligned() -> None:
    optimizer = ac.Adam([np.ones(n, F4) for n in (1, 7, 0, 33, 100_003)], amsgrad=True)
    for slots in optimizer.state.values():
        for array in slots.values():
            assert array.size == 0 or array.ctypes.data % 64 == 0
