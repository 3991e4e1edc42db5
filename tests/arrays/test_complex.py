"""Complex parameters are updated as pairs of real numbers, as in PyTorch."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import functional
from helpers import bits, make
from reference import CASES, FUNCTIONS, REAL, Case

COMPLEX = [case for case in CASES if case not in REAL]
PARTS = {np.complex64: np.float32, np.complex128: np.float64}


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> Any:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def parts(array: Any) -> Any:
    """The real and imaginary parts, in one more axis at the end, over the same memory."""
    return array[..., np.newaxis].view(PARTS[array.dtype.type])


def parts_of_state(array: np.ndarray) -> np.ndarray:
    """The same of a state array; numbers of tensors are real."""
    return parts(array) if np.iscomplexobj(array) else array


@pytest.mark.parametrize("case", COMPLEX, ids=lambda case: case.id)
@pytest.mark.parametrize("dtype", PARTS)
def test_steps_are_those_of_the_parts(case: Case, dtype: type, rng: np.random.Generator) -> None:
    w = random(rng, (3, 5), dtype)
    v = w.copy()
    ours, theirs = make(case, w), make(case, parts(v))
    for _ in range(5):
        g = random(rng, (3, 5), dtype)
        ours.step(g)
        theirs.step(parts(g))
    assert bits(w) == bits(v)
    slots = case.slots_of(w.shape)
    for name, array in ours.state["0"].items():
        other = theirs.state["0"][name]
        if slots[name].shape == "number":
            assert (array.dtype, array[()]) == (np.float64, other[()])
            continue
        assert (array.dtype, array.shape) == (np.dtype(dtype), (3, 5))
        assert bits(parts(array)) == bits(other)
        array[0, 0] = 2 + 3j  # a view of the state itself
        assert ours.state["0"][name][0, 0] == 2 + 3j


@pytest.mark.parametrize("case", [case for case in COMPLEX if case in FUNCTIONS], ids=lambda case: case.id)
@pytest.mark.parametrize("dtype", PARTS)
def test_functions_are_those_of_the_parts(case: Case, dtype: type, rng: np.random.Generator) -> None:
    p = random(rng, (7,), dtype)
    slots = case.slots_of(p.shape).values()
    state = [
        np.array(2.5) if slot.shape == "number" else np.abs(random(rng, (7,), dtype)).astype(dtype) for slot in slots
    ]
    q, other = p.copy(), [a.copy() for a in state]
    update = getattr(functional, case.optimizer.lower())
    for t in range(1, 4):
        g = random(rng, (7,), dtype)
        update(p, g, *state, t=t, **case.options)
        update(parts(q), parts(g), *map(parts_of_state, other), t=t, **case.options)
    assert bits(p, *state) == bits(q, *other)
    strided = np.zeros((7, 2), dtype)
    strided[:, 1] = q
    update(strided[:, 1], g, *other, t=4, **case.options)
    update(p, g, *state, t=4, **case.options)
    assert bits(p, *state) == bits(strided[:, 1].copy(), *other)


@pytest.mark.parametrize("case", REAL, ids=lambda case: case.id)
def test_rules_of_matrices_take_no_complex_parameters(case: Case) -> None:
    for shape in ((3,), (2, 3)):
        with pytest.raises(TypeError, match=r"params\[1\]: .*complex"):
            make(case, [np.ones(shape), np.ones(shape, np.complex64)])


@pytest.mark.parametrize("case", ["adam", "adamw", "amsgrad", "sgd", "rmsprop", "adagrad"])
def test_torch_has_the_same_trajectory(case: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    name, options = {
        "adam": ("Adam", {"weight_decay": 0.1}),
        "adamw": ("AdamW", {}),
        "amsgrad": ("Adam", {"amsgrad": True}),
        "sgd": ("SGD", {"momentum": 0.9, "nesterov": True, "lr": 0.1}),
        "rmsprop": ("RMSprop", {"momentum": 0.9, "centered": True}),
        "adagrad": ("Adagrad", {"initial_accumulator_value": 0.5}),
    }[case]
    w = random(rng, (4, 3), np.complex128)
    theirs = torch.tensor(w, requires_grad=True)
    ours, other = getattr(ac, name)(w, **options), getattr(torch.optim, name)([theirs], **options)
    for _ in range(20):
        g = random(rng, (4, 3), np.complex128)
        ours.step(g)
        theirs.grad = torch.tensor(g)
        other.step()
    np.testing.assert_allclose(w, theirs.detach().numpy(), rtol=1e-12, atol=0)
    for slot, array in ours.state["0"].items():
        expected = other.state[theirs][slot]
        assert str(expected.dtype) == f"torch.{array.dtype}"
        np.testing.assert_allclose(array, expected.numpy(), rtol=1e-12, atol=0)


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    tensor, w = torch.ones(3, dtype=torch.complex64), np.ones(3, np.complex64)
    ours, other = ac.AdamW(tensor), ac.AdamW(w)
    for i in range(3):
        g = np.array([1 + 2j, -1j, i], np.complex64)
        ours.step(torch.from_numpy(g))
        other.step(g)
    assert bits(tensor.numpy(), *ours.state["0"].values()) == bits(w, *other.state["0"].values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that complex32 is experimental
        half = torch.ones(3, dtype=torch.complex32)
    with pytest.raises(TypeError, match="params: dtype complex32 is not supported"):
        ac.SGD(half, lr=1)


def test_lazy_conjugates_are_refused(unchanged: Callable[..., None]) -> None:
    torch = pytest.importorskip("torch")
    w = np.ones(3, np.complex64)
    opt = ac.AdamW(w)
    g = torch.tensor([1 + 2j, -1j, 3], dtype=torch.complex64)
    for _ in range(4):
        unchanged(ValueError, "grads: .*conj", [w], lambda: opt.step(g.conj()))
        unchanged(ValueError, "grads: .*negative", [w], lambda: opt.step(g.conj().imag))
    opt.step(g)
    unchanged(ValueError, "grads: .*conj", [w], lambda: opt.step(g.conj()))
    opt.step(g.conj().resolve_conj())
    with pytest.raises(ValueError, match=r"params: .*conj"):
        ac.AdamW(g.conj())


def test_numbers_are_gradients_of_arrays_without_axes(unchanged: Callable[..., None]) -> None:
    w, v = np.ones((), np.complex128), np.ones((), np.complex128)
    ours, other = ac.AdamW(w), ac.AdamW(v)
    for number in (1 + 2j, np.complex64(3j), 2 * w):
        ours.step(number)
        other.step(np.array(number, np.complex128))
    assert bits(w) == bits(v)
    unchanged(TypeError, "grads: dtype float64 does not match params", [w], lambda: ours.step(1.0))
    real = np.ones(())
    unchanged(TypeError, "grads: dtype complex128 does not match params", [real], lambda: ac.AdamW(real).step(1j))


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "fortran": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "wide": lambda a: a.astype(np.complex128),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, rng: np.random.Generator) -> None:
    g = np.repeat(random(rng, (1, 5), np.complex64), 4, axis=0)
    w = random(rng, (4, 5), np.complex64)
    plain = w.copy()
    params = w if layout in ("broadcast", "wide") else LAYOUTS[layout](w)
    ours, other = ac.AdamW(params), ac.AdamW(plain)
    for _ in range(3):
        ours.step(LAYOUTS[layout](g))
        other.step(g)
    assert bits(np.ascontiguousarray(params)) == bits(plain)
    saved = ours.state_dict()
    assert saved["state"]["0"]["exp_avg"].dtype == np.complex64
    other.load_state_dict(saved)
    assert [a.tolist() for a in other.state["0"].values()] == [a.tolist() for a in ours.state["0"].values()]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (2, 0)])
def test_small_arrays(shape: tuple[int, ...]) -> None:
    w = np.ones(shape, np.complex128)
    opt = ac.AdamW(w, lr=0.1)
    opt.step(np.full(shape, 1j))
    assert {a.shape for a in opt.state["0"].values()} == {shape}
    assert w.size == 0 or abs(w - (0.999 - 0.1j)).max() < 1e-6
    opt.load_state_dict(opt.state_dict())


def test_checkpoints(rng: np.random.Generator) -> None:
    w = random(rng, (6,), np.complex64)
    opt = ac.Adam({"w": w, "b": np.ones(2, np.float32)})
    opt.step({"w": random(rng, (6,), np.complex64), "b": np.ones(2, np.float32)})
    state = opt.state_dict()
    p = w.copy()
    new = ac.Adam({"w": p, "b": np.ones(2, np.float32)})
    new.load_state_dict(state)
    g = {"w": random(rng, (6,), np.complex64), "b": None}
    opt.step(g)
    new.step(g)
    assert bits(w) == bits(p)
    for wrong, error, match in [
        (np.zeros(6, np.float32), TypeError, "dtype float32 does not match the optimizer's, which is complex64"),
        (np.zeros((6, 2), np.float32), TypeError, "dtype float32 does not match the optimizer's, which is complex64"),
        (np.zeros(6, np.complex128), TypeError, "dtype complex128 does not match the optimizer's, which is complex64"),
        (np.zeros(5, np.complex64), ValueError, r"shape \(5,\) does not match the optimizer's, which is \(6,\)"),
        (np.full(6, -1j, np.complex64), ValueError, "numbers below 0"),
        (np.full(6, complex(0, np.nan), np.complex64), ValueError, "NaN"),
    ]:
        bad = copy.deepcopy(state)
        bad["state"]["w"]["exp_avg_sq"] = wrong
        with pytest.raises(error, match=rf"state_dict\['state'\]\['w'\]\['exp_avg_sq'\]: .*{match}"):
            new.load_state_dict(bad)


def test_norms_and_clipping(rng: np.random.Generator) -> None:
    g = random(rng, (3, 4), np.complex64)
    norm = ac.global_norm([g])
    assert norm == ac.global_norm([parts(g)])
    assert norm == pytest.approx(np.linalg.norm(g))
    h = g.copy()
    assert ac.clip_grad_norm_([g], 0.5) == norm
    ac.clip_grad_norm_([parts(h)], 0.5)
    assert bits(g) == bits(h)
    w = np.zeros((3, 4), np.complex64)
    opt = ac.SGD(w, lr=1.0, clip_norm=1.0)
    assert opt.step(2 * g).grad_norm == ac.global_norm([2 * g])
    bad = g.copy()
    bad[1, 1] = complex(0, np.inf)
    with pytest.raises(ac.NonFiniteError, match="grads"):
        ac.SGD(w, lr=1.0, nonfinite="raise").step(bad)


def test_units_are_those_of_the_first_axis(rng: np.random.Generator) -> None:
    for shape in ((6,), (3, 4)):
        w, g = random(rng, shape, np.complex64), 100 * random(rng, shape, np.complex64)
        v = w.copy()
        ac.SGD(w, lr=1.0, clip_adaptive=0.1).step(g)
        # Real arrays of one axis are one unit; of two, one for each row.
        real = parts(v).reshape(shape[0], -1) if len(shape) > 1 else parts(v).reshape(-1)
        ac.SGD(real, lr=1.0, clip_adaptive=0.1).step(parts(g).reshape(real.shape))
        assert bits(w) == bits(v)


@pytest.mark.parametrize(
    ("param", "grad", "error", "match"),
    [
        (np.complex64, np.float32, TypeError, "grads: dtype float32 does not match params, which is complex64"),
        (np.float32, np.complex64, TypeError, "grads: dtype complex64 does not match params, which is float32"),
        (np.float64, np.complex128, TypeError, "grads: dtype complex128 does not match params, which is float64"),
    ],
)
def test_gradients_of_the_other_kind_are_refused(
    param: type, grad: type, error: type, match: str, unchanged: Callable[..., None]
) -> None:
    w = np.ones(3, param)
    opt = ac.AdamW(w)
    opt.step(np.ones(3, param))
    unchanged(error, match, [w, *opt.state["0"].values()], lambda: opt.step(np.ones(3, grad)))
    pairs = np.ones((3, 2), np.float32)
    unchanged((TypeError, ValueError), "grads: ", [w], lambda: opt.step(pairs))
    arrays = [np.ones(3, param) for _ in range(3)]
    match = match.replace("grads", "g").replace("params", "p")
    unchanged(error, match, arrays, lambda: functional.adam(arrays[0], np.ones(3, grad), *arrays[1:], t=1))
    unchanged(
        error,
        match.replace("g:", "exp_avg:"),
        arrays,
        lambda: functional.adam(arrays[0], arrays[1], np.ones(3, grad), arrays[2], t=1),
    )


def test_messages_show_the_users_shapes(unchanged: Callable[..., None]) -> None:
    w = np.ones(3, np.complex64)
    opt = ac.AdamW(w)
    unchanged(
        ValueError,
        r"grads: shape \(4,\) does not match params, which has shape \(3,\)",
        [w],
        lambda: opt.step(np.ones(4, np.complex64)),
    )
    with pytest.raises(ValueError, match=r"params: elements share memory \(shape \(3,\), strides \(0,\)\)"):
        ac.SGD(np.lib.stride_tricks.as_strided(w, (3,), (0,)), lr=1)
    with pytest.raises(TypeError, match=r"params: dtype .* is not in this machine's byte order"):
        ac.SGD(np.ones(3, ">c8"), lr=1)
    with pytest.raises(TypeError, match=r"params: dtype .* is not supported"):
        ac.SGD(np.ones(3, np.clongdouble), lr=1)
    with pytest.raises(ValueError, match="grads: shares memory with params"):
        opt.step(w)
    w.setflags(write=False)
    with pytest.raises(ValueError, match="params: the array has been made read-only"):
        opt.step(np.ones(3, np.complex64))


def test_precision_does_not_concern_them() -> None:
    precision = ac.Precision(state="float16", master="float32")
    for dtype in PARTS:
        w = np.ones(4, dtype)
        opt = ac.AdamW([w, np.ones(3, np.float16)], precision=precision)
        opt.step([w.copy(), None])
        assert {a.dtype for a in opt.state["0"].values()} == {np.dtype(dtype)}
