"""Accumulation: the mean of several gradients by weight, whose bits do not depend on how they came."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, everywhere, make
from pairs import products
from reference import CASES, Case
from storage import BF16, DTYPES, F16, F32, F64, Storage, combinations

Grads = list[np.ndarray | None]
Leaf = tuple[Grads, float]
SHAPES = [(33, 5), (257,), (), (0, 3), (2, 3, 4)]


def leaves_of(rng: np.random.Generator, weights: Sequence[float], dtype: Any = F32, shapes: Any = SHAPES) -> list[Leaf]:
    return [([np.array(rng.normal(size=shape)).astype(dtype) for shape in shapes], weight) for weight in weights]


def take(opt: ac.Optimizer, leaves: list[Leaf], *, last_by_step: bool, **options: Any) -> ac.StepInfo:
    """One step with all leaves."""
    *first, (grads, weight) = leaves
    for each, of_each in first:
        opt.accumulate(each, weight=of_each)
    assert opt.accumulated == len(first)
    if last_by_step:
        return opt.step(grads, weight=weight, **options)
    opt.accumulate(grads, weight=weight)
    return opt.step(**options)


def sums_of(leaves: list[Leaf], dtype: type) -> Grads:
    """The sums by their definition, where weights are so short that products with them are rounded once."""
    sums: Grads = [None] * len(leaves[0][0])
    for grads, weight in leaves:
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            term = dtype(weight) * grad.astype(dtype)
            sums[i] = term if sums[i] is None else sums[i] + term
    return sums


def params_of(rng: np.random.Generator, dtype: Any = F32) -> list[np.ndarray]:
    return [np.array(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


@pytest.mark.parametrize("last_by_step", [False, True])
def test_unequal_batches_are_as_good_as_one(rng: np.random.Generator, *, last_by_step: bool) -> None:
    """Windows of 4, 4 and 2 batches of unequal numbers of rows, against float64."""
    p, lr = rng.normal(size=20_000).astype(F32), 0.1
    wanted, moved = p.astype(F64), np.zeros(p.size)
    opt = ac.SGD(p, lr=lr)
    for count in (4, 4, 2):
        leaves = leaves_of(rng, [int(rng.integers(1, 60)) for _ in range(count)], shapes=[p.shape])
        weight = sum(weight for _, weight in leaves)
        terms = [weight * grads[0].astype(F64) for grads, weight in leaves]
        wanted -= lr * np.sum(terms, axis=0) / weight
        moved += lr * np.sum(np.abs(terms), axis=0) / weight
        take(opt, leaves, last_by_step=last_by_step)
        assert np.all(np.abs(p - wanted) <= 2e-7 * (np.abs(wanted) + moved))
    assert opt.completed == 3
    assert set(opt.steps.values()) == {3}


@products(case=CASES, storage=combinations())
def test_a_window_is_a_step_with_its_sum(case: Case, storage: Storage, rng: np.random.Generator) -> None:
    """The last leaf by `accumulate` or by `step`, or the sum, made by NumPy, as a gradient of a scaled loss."""
    params, made = params_of(rng, storage.param), []
    windows = [leaves_of(rng, weights, storage.grad) for weights in ([3, 1, 4], [2, 2])]
    windows[0][1][0][0] = windows[1][0][0][1] = windows[1][1][0][3] = None
    for way in ("step", "accumulate", "sum"):
        opt = make(case, [p.copy() for p in params], precision=storage.precision, clip_norm=1.0)
        norms = []
        for leaves in windows:
            if way == "sum":
                weight = sum(weight for _, weight in leaves)
                info = opt.step(sums_of(leaves, storage.compute_dtype), loss_scale=weight)
            else:
                info = take(opt, leaves, last_by_step=way == "step")
            norms.append(info.grad_norm)
        made.append((everything(opt), norms, opt.completed))
    assert made[0] == made[1] == made[2]


@products(
    grad=DTYPES,
    param=DTYPES,
    options=[{}, {"clip_norm": 1.0}, {"clip_adaptive": 0.1}, {"clip_norm_per_tensor": 0.5}, {"nonfinite": "skip"}],
)
def test_a_window_of_one_leaf_is_a_plain_step(
    grad: Any, param: Any, options: dict[str, Any], rng: np.random.Generator
) -> None:
    params, made = params_of(rng, param), []
    leaves = leaves_of(rng, [0.3], grad)
    leaves[0][0][1] = None
    for way in ("plain", "step", "accumulate"):
        opt = ac.AdamW([p.copy() for p in params], **options)
        for _ in range(2):
            info = opt.step(leaves[0][0]) if way == "plain" else take(opt, leaves, last_by_step=way == "step")
        made.append((everything(opt), info.grad_norm, dict(opt.steps)))
    assert made[0] == made[1] == made[2]


def test_no_instruction_set_thread_or_layout_shows(rng: np.random.Generator) -> None:
    shape = (210, 1003)
    weights = [0.3, 7, 1, 1 / 3]  # of which float32 has two
    leaves = leaves_of(rng, weights, shapes=[shape])
    leaves[1][0][0] = leaves[1][0][0].astype(F16)
    leaves[2][0][0] = leaves[2][0][0].astype(F64)
    start = rng.normal(size=shape).astype(F32)

    def run(order: Any) -> bytes:
        p = np.array(start, order=order)
        opt = ac.Adam([p])
        turned = [
            ([np.array(g, order="F" if k % 2 else order) for g in grads], w) for k, (grads, w) in enumerate(leaves)
        ]
        take(opt, turned, last_by_step=True)
        take(opt, turned[:2], last_by_step=False)
        strided = [([np.repeat(g, 2, axis=1)[:, ::2] for g in grads], w) for grads, w in turned]
        take(opt, strided, last_by_step=False)
        return np.ascontiguousarray(p).tobytes()

    assert len(set(everywhere(run))) == 1


def test_complex_numbers(rng: np.random.Generator) -> None:
    for dtype in (np.complex64, np.complex128):
        p = (rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5))).astype(dtype)
        a, b = (rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5)) for _ in range(2))
        wanted = p - 0.5 * (3 * a + b) / 4
        opt = ac.SGD([p], lr=0.5)
        opt.accumulate([a.astype(np.complex64)], weight=3)
        opt.step([b.T.copy().T])
        np.testing.assert_allclose(p, wanted, rtol=0, atol=1e-6)


def test_absent_gradients() -> None:
    """They add nothing, the divisor is the same for all, and a parameter that has none is left alone."""
    params = [np.zeros(3), np.zeros(3), np.zeros(3)]
    opt = ac.SGD(params, lr=1.0, momentum=0.9)
    one = np.ones(3)
    opt.accumulate([one, None, None], weight=3)
    opt.accumulate([one, one, None])
    opt.step([None, one, None], weight=4)
    assert [p[0] for p in params] == [-4 / 8, -5 / 8, 0]
    assert list(opt.steps.values()) == [1, 1, 0]
    opt.accumulate([None, None, None])
    assert opt.accumulated == 1
    opt.step()
    assert (opt.completed, list(opt.steps.values())) == (2, [1, 1, 0])
    sole = ac.SGD(np.ones(3))
    sole.step([None])
    assert sole.completed == 1


def test_a_single_term_of_a_longer_window_has_its_weight() -> None:
    params = [np.zeros(2, F32), np.zeros(2, F32)]
    opt = ac.SGD(params, lr=1.0)
    third = np.array([1 / 3, 1.0], F32)
    opt.accumulate([third, None], weight=0.1)
    opt.accumulate([None, third], weight=0.3)
    opt.accumulate([None, None], weight=0.6)
    opt.step()
    for p, weight in zip(params, (0.1, 0.3), strict=True):
        term = (weight * third.astype(F64)).astype(F32)
        assert np.array_equal(-p, term * F32.type(1 / (0.1 + 0.3 + 0.6)))


@pytest.mark.parametrize("weight", [0, -1, np.nan, np.inf, 1e309, "1", None, 1j, [1.0]])
def test_weights_are_finite_and_positive(weight: Any, unchanged: Callable[..., None]) -> None:
    p = np.ones(3)
    opt = ac.SGD(p)
    opt.accumulate(p.copy())
    error = TypeError if isinstance(weight, (str, complex, list, type(None))) else ValueError
    unchanged(
        error, "SGD: weight must be a finite number > 0, got", [p], lambda: opt.accumulate(p.copy(), weight=weight)
    )
    unchanged(error, "SGD: weight must be a finite number > 0, got", [p], lambda: opt.step(p.copy(), weight=weight))
    assert opt.accumulated == 1


def test_weights_of_any_size() -> None:
    p = np.zeros(2)
    opt = ac.SGD(p, lr=1.0)
    for _ in range(2):
        opt.accumulate(np.array([1e-300, 2.0]), weight=2.0**-1000)
    opt.step()
    assert p[1] == -2.0
    opt.accumulate(np.ones(2), weight=1.7e308)
    with pytest.raises(ValueError, match=r"SGD: weight: the sum of the window's weights is not finite with 1.7e\+308"):
        opt.accumulate(np.ones(2), weight=1.7e308)
    assert opt.accumulated == 1


def test_a_step_needs_gradients(unchanged: Callable[..., None]) -> None:
    p = [np.ones(3)]
    for opt in (ac.SGD(p), ac.SGD(p[0])):
        message = r"SGD: step: there are no gradients.*opt\.step\(\[p\.grad for p in params\]\)"
        unchanged(ValueError, message, p, opt.step)
        unchanged(ValueError, message, p, lambda opt=opt: opt.step(None))
        opt.accumulate([np.ones(3)])
        opt.step()
        unchanged(ValueError, message, [], opt.step)
        p[0][:] = 1


BAD_LEAVES: list[tuple[Any, type[Exception], str]] = [
    ([np.ones(3), np.ones(4)], ValueError, r"grads\[1\]"),
    ([np.ones(3)], ValueError, "expected 2 arrays"),
    ([np.ones(3), np.ones(3, np.int32)], TypeError, r"grads\[1\]"),
    (None, TypeError, "NoneType"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_LEAVES, ids=str)
def test_a_bad_leaf_adds_nothing(bad: Any, error: type[Exception], message: str) -> None:
    params, leaf = [np.ones(3), np.ones(3)], [np.full(3, 2.0), np.full(3, 4.0)]
    opt = ac.SGD(params, lr=1.0)
    with pytest.raises(error, match=message):
        opt.accumulate(bad)
    assert opt.accumulated == 0
    opt.accumulate(leaf)
    before = pickle.dumps(opt.state_dict())
    for call in (opt.accumulate, *([] if bad is None else [opt.step])):
        with pytest.raises(error, match=message):
            call(bad)
    with pytest.raises(ValueError, match="shares memory"):
        opt.accumulate(params)
    opt.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="lr"):
        opt.step(leaf)
    opt.param_groups[0]["lr"] = 1.0
    assert pickle.dumps(opt.state_dict()) == before
    opt.step(leaf)
    assert params[0][0] == -1.0


def test_parameters_stay_the_same_while_a_window_is_open() -> None:
    params = {"w": np.ones(3)}
    opt = ac.SGD(params, lr=1.0)
    opt.accumulate({"w": np.ones(3)})
    with pytest.raises(RuntimeError, match=r"SGD: add_param_group: the window of accumulation is open, with 1 leaf;"):
        opt.add_param_group({"params": {"b": np.ones(1)}})
    with pytest.raises(RuntimeError, match=r"SGD: rebind: the window of accumulation is open"):
        opt.rebind({"w": np.ones(3)})
    opt.step()
    opt.add_param_group({"params": {"b": np.ones(1, F32)}})
    new = {"w": np.ones(3, F32), "b": np.ones(1, F32)}
    opt.rebind(new)
    opt.accumulate({"w": np.ones(3), "b": np.ones(1)})
    opt.accumulate({"w": np.ones(3), "b": np.ones(1)})
    opt.step()
    assert new["w"][0] == 0
    assert new["b"][0] == 0


def test_an_array_that_cannot_be_updated_any_more_is_noticed(unchanged: Callable[..., None]) -> None:
    p, q = np.ones(3), np.ones(3)
    opt = ac.SGD([p, q])
    opt.accumulate([np.ones(3), None])
    q.flags.writeable = False  # it has no gradient
    opt.step()
    opt.accumulate([np.ones(3), None])
    p.flags.writeable = False
    unchanged(ValueError, r"params\[0\]: the array has been made read-only", [p], opt.step)
    assert opt.accumulated == 1


def bad_window(opt: ac.Optimizer, *, last_by_step: bool, **options: Any) -> Any:
    nan = np.array([1, np.nan, 3], F32)
    leaves: list[Leaf] = [([np.ones(3, F32)], 0.3), ([np.ones(3, F32)], 2), ([nan], 5)]
    return take(opt, leaves, last_by_step=last_by_step, **options)


@pytest.mark.parametrize("last_by_step", [False, True])
def test_a_skipped_step_empties_the_window(*, last_by_step: bool) -> None:
    p = np.ones(3, F32)
    opt = ac.SGD([p], lr=1.0, nonfinite="skip")
    assert bad_window(opt, last_by_step=last_by_step).skipped
    assert (opt.accumulated, opt.completed, p.tolist()) == (0, 0, [1, 1, 1])
    take(opt, [([np.ones(3, F32)], 1), ([np.full(3, 3, F32)], 1)], last_by_step=last_by_step)
    assert p.tolist() == [-1, -1, -1]
    assert bad_window(opt, last_by_step=last_by_step, loss_scale=2.0).skipped
    scaler = ac.LossScaler(8.0)
    assert bad_window(opt, last_by_step=last_by_step, loss_scale=scaler).skipped
    assert (opt.accumulated, scaler.scale) == (0, 4.0)


def test_a_sum_that_overflows_is_not_finite() -> None:
    p, large = np.ones(3, F32), np.full(3, 3e38, F32)
    opt = ac.SGD([p], nonfinite="skip")
    assert take(opt, [([large], 1), ([large], 1)], last_by_step=True).skipped
    assert take(opt, [([large], 2), ([-large], 1)], last_by_step=False).skipped


@pytest.mark.parametrize("way", ["option", "scaler"])
@pytest.mark.parametrize("last_by_step", [False, True])
def test_a_step_that_raises_leaves_the_window_as_it_was(way: str, *, last_by_step: bool) -> None:
    p = np.ones(3, F32)
    opt = ac.SGD([p], lr=1.0, nonfinite="raise" if way == "option" else "propagate")
    options = {} if way == "option" else {"loss_scale": ac.LossScaler(1.0)}
    label = r"^accumulated grads\['0'\]: there are values that are not finite" if way == "option" else "at its floor"
    with pytest.raises(ac.NonFiniteError, match=label):
        bad_window(opt, last_by_step=last_by_step, **options)
    window = opt.state_dict()["window"]
    assert (window["leaves"], opt.completed, p.tolist()) == (2 if last_by_step else 3, 0, [1, 1, 1])
    if last_by_step:
        opt.step([np.ones(3, F32)], weight=2)
        np.testing.assert_allclose(p, 0, atol=1e-6)


def test_the_clock_advances_once_a_step() -> None:
    seen: list[int] = []
    p = np.ones(3)
    opt = ac.SGD(p, lr=lambda t: (seen.append(t), 0.1)[1])
    seen.clear()
    for _ in range(2):
        take(opt, leaves_of(np.random.default_rng(1), [1, 2, 3], shapes=[(3,)]), last_by_step=True)
    assert seen == [0, 1]


def test_groups_and_names() -> None:
    params = [{"params": {"a": np.ones(2)}}, {"params": {"b": np.ones(2)}, "lr": 0.5}]
    opt = ac.SGD(params, lr=1.0)
    opt.accumulate({"a": np.ones(2), "b": np.ones(2)})
    opt.accumulate([np.ones(2), None])
    opt.step({"b": np.ones(2), "a": None}, weight=2)
    assert [group["params"][0][0] for group in opt.param_groups] == [0.5, 1 - 0.5 * 3 / 4]


def test_gradients_of_torch_may_be_overwritten() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    opt = ac.SGD(list(layer.parameters()), lr=1.0)
    for factor in (1.0, 3.0):
        (layer(torch.ones(3)).sum() * factor).backward()
        opt.accumulate([p.grad for p in layer.parameters()])
        layer.weight.grad.zero_()
    version = layer.weight._version
    opt.step()
    assert layer.weight._version > version
    assert torch.all(layer.weight == -1.0)


def test_half_precision_gradients_are_summed_in_float32() -> None:
    for dtype in (F16, BF16):
        p = np.zeros(1, F32)
        opt = ac.SGD([p], lr=1.0)
        for _ in range(4096):
            opt.accumulate([np.ones(1, dtype)])
        opt.step([np.ones(1, dtype)])
        assert p[0] == -1.0
