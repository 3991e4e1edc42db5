"""`Monitor.curvature`: eigenvalues against NumPy's, saddles, and weights that are put back."""

from __future__ import annotations

import hashlib
import signal
import sys
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore._curvature.lanczos import extremes
from adamcore._curvature.noise import noise
from adamcore._curvature.tridiagonal import extreme_eigenpairs
from helpers import everything
from interruptions import Interruption, interrupt_everywhere

SHAPES = {"a": (4, 3), "b": (5,), "c": ()}
SIZE = 18


def symmetric(rng: np.random.Generator, size: int) -> np.ndarray:
    made = rng.standard_normal((size, size))
    return made + made.T


def quadratic(matrix: np.ndarray, dtype: Any = np.float64) -> Any:
    """The loss 10 + w A w / 2 and its gradient, for parameters in a dict."""

    def loss_and_grad(params: dict[str, np.ndarray], _: Any = None) -> tuple[float, dict[str, np.ndarray]]:
        w = np.concatenate([np.asarray(params[name], np.float64).reshape(-1) for name in params])
        grad, found, first = matrix @ w, {}, 0
        for name, array in params.items():
            found[name] = grad[first : first + array.size].reshape(array.shape).astype(dtype)
            first += array.size
        return 10 + float(w @ matrix @ w) / 2, found

    return loss_and_grad


def parameters(rng: np.random.Generator, dtype: Any = np.float64, order: str = "C") -> dict[str, np.ndarray]:
    return {name: np.array(rng.standard_normal(shape), dtype, order=order) for name, shape in SHAPES.items()}


def watched(params: Any, **options: Any) -> ac.Monitor:
    return ac.Monitor(ac.AdamW(params, lr=0.01, weight_decay=0.0, **options))


@pytest.mark.parametrize("size", [1, 2, 3, 16, 40])
def test_eigenpairs_of_tridiagonal_matrices(rng: np.random.Generator, size: int) -> None:
    for scale in (1e-8, 1.0, 1e8):
        diagonal, beside = scale * rng.standard_normal(size), scale * rng.standard_normal(size - 1)
        matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        (low, lowest), (high, highest) = extreme_eigenpairs(diagonal.tolist(), beside.tolist())
        expected = np.linalg.eigvalsh(matrix)
        assert abs(low - expected[0]) <= 1e-13 * scale * size
        assert abs(high - expected[-1]) <= 1e-13 * scale * size
        for value, vector in ((low, lowest), (high, highest)):
            assert np.abs(matrix @ vector - value * np.array(vector)).max() <= 1e-9 * scale * size


def test_a_matrix_of_zeros_and_repeated_eigenvalues() -> None:
    assert [value for value, _ in extreme_eigenpairs([0.0, 0.0], [0.0])] == [0.0, 0.0]
    (low, _), (high, _) = extreme_eigenpairs([2.0] * 5, [0.0] * 4)
    assert abs(low - 2) < 1e-12
    assert abs(high - 2) < 1e-12


@pytest.mark.parametrize("size", [1, 2, 30])
def test_lanczos_finds_what_numpy_finds(rng: np.random.Generator, size: int) -> None:
    matrix = symmetric(rng, size)
    found = extremes(lambda v: matrix @ v, rng.standard_normal(size), size)
    values, vectors = np.linalg.eigh(matrix)
    assert abs(found.min - values[0]) < 1e-10
    assert abs(found.max - values[-1]) < 1e-10
    assert abs(abs(found.direction @ vectors[:, 0]) - 1) < 1e-8


def test_lanczos_stops_where_the_space_is_exhausted() -> None:
    calls = []
    found = extremes(lambda v: calls.append(0) or 3 * v, np.arange(1.0, 9), 8)
    assert len(calls) == 1
    assert abs(found.min - 3) < 1e-12
    assert abs(found.max - 3) < 1e-12


@pytest.mark.parametrize(("dtype", "within"), [(np.float64, 1e-6), (np.float32, 1e-3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_curvature_of_a_quadratic(rng: np.random.Generator, dtype: Any, within: float, order: str) -> None:
    matrix, params = symmetric(rng, SIZE), parameters(rng, dtype, order)
    before = {name: array.tobytes() for name, array in params.items()}
    found = watched(params).curvature(quadratic(matrix, dtype), iterations=SIZE)
    values, vectors = np.linalg.eigh(matrix)
    assert abs(found.min - values[0]) < within * values[-1]
    assert abs(found.max - values[-1]) < within * values[-1]
    direction = np.concatenate([found.direction[name].reshape(-1) for name in SHAPES]).astype(np.float64)
    assert abs(abs(direction @ vectors[:, 0]) - 1) < 1e-2
    assert {name: array.tobytes() for name, array in params.items()} == before
    assert all(found.direction[name].dtype == dtype for name in SHAPES)


def test_complex_parameters_are_pairs(rng: np.random.Generator) -> None:
    matrix = symmetric(rng, 6)
    z = rng.standard_normal(3) + 1j * rng.standard_normal(3)
    kept = z.tobytes()

    def loss_and_grad(params: Any) -> tuple[float, Any]:
        w = params.view(np.float64)
        return float(w @ matrix @ w) / 2, (matrix @ w).view(np.complex128)

    found = watched(z).curvature(loss_and_grad)
    values = np.linalg.eigvalsh(matrix)
    assert abs(found.min - values[0]) < 1e-6 * abs(values).max()
    assert abs(found.max - values[-1]) < 1e-6 * abs(values).max()
    assert z.tobytes() == kept
    assert found.direction["0"].dtype == np.complex128


@pytest.mark.parametrize("form", ["list", "tuple", "nested", "groups", "one"])
def test_gradients_in_every_structure(rng: np.random.Generator, form: str) -> None:
    matrix = symmetric(rng, 5)
    a, b = rng.standard_normal(2), rng.standard_normal(3)
    one = rng.standard_normal(5)
    params, join, split = {
        "list": ([a, b], np.concatenate, lambda g: [g[:2], g[2:]]),
        "tuple": ((a, b), np.concatenate, lambda g: (g[:2], g[2:])),
        "nested": (
            {"x": {"a": a}, "y": [b]},
            lambda p: np.concatenate([p["x"]["a"], p["y"][0]]),
            lambda g: {"x": {"a": g[:2]}, "y": [g[2:]]},
        ),
        "groups": (
            [{"params": {"a": a}}, {"params": {"b": b}, "lr": 0.1}],
            lambda p: np.concatenate([p["a"], p["b"]]),
            lambda g: {"a": g[:2], "b": g[2:]},
        ),
        "one": (one, lambda p: p, lambda g: g),
    }[form]

    def loss_and_grad(params: Any, batch: str) -> tuple[float, Any]:
        assert batch == "batch"
        w = join(params)
        return float(w @ matrix @ w) / 2, split(matrix @ w)

    found = watched(params).curvature(loss_and_grad, "batch")
    assert abs(found.max - np.linalg.eigvalsh(matrix)[-1]) < 1e-6


def test_a_parameter_without_gradient_is_flat() -> None:
    params = {"a": np.ones(2), "b": np.ones(3)}
    found = watched(params).curvature(lambda p: (float(p["a"] @ p["a"]), {"a": 2 * p["a"], "b": None}))
    assert abs(found.max - 2) < 1e-6
    assert abs(found.min) < 1e-6


def test_parameters_without_elements_are_flat() -> None:
    found = watched({"w": np.zeros((0, 3))}).curvature(lambda p: (1.0, p))
    assert (found.min, found.max, found.is_saddle) == (0.0, 0.0, False)


def test_the_same_bits_for_the_same_seed_and_any_number_of_threads(rng: np.random.Generator) -> None:
    matrix, params = symmetric(rng, SIZE), parameters(rng)
    loss_and_grad = quadratic(matrix)
    found = []
    for threads in (1, 2):
        ac.set_num_threads(threads)
        result = watched(params).curvature(loss_and_grad, seed=3, iterations=4)
        found.append((result.min, result.max, result.fall, [a.tobytes() for a in result.direction.values()]))
    assert found[0] == found[1]
    assert watched(params).curvature(loss_and_grad, seed=4, iterations=4).min != found[0][0]


def test_a_saddle_becomes_a_finding_once_and_is_over_where_there_is_none() -> None:
    w = np.array([0.0, 0.0])
    mon = watched(w)

    def loss_and_grad(w: Any, _: Any) -> tuple[float, Any]:
        return float(1 + w[0] ** 2 - w[1] ** 2 + w[1] ** 4), np.array([2 * w[0], 4 * w[1] ** 3 - 2 * w[1]])

    for _ in range(2):
        assert mon.curvature(loss_and_grad, None).is_saddle
    w[1] = np.sqrt(0.5)
    assert not mon.curvature(loss_and_grad, None).is_saddle
    w[1] = 0
    mon.curvature(loss_and_grad, None)
    assert [(f.kind, f.severity) for f in mon.findings] == [("saddle", "warning")] * 2
    evidence = mon.findings[0].evidence
    assert evidence["min"] < 0 < evidence["max"]
    assert 0.005 < evidence["fall"] < 0.02
    assert evidence["gradient_fall"] == 0
    assert "along_curvature" in mon.findings[0].advice


def test_negative_curvature_on_a_slope_is_no_saddle() -> None:
    w = np.array([1.0, 1e-3])
    mon = watched(w)
    found = mon.curvature(lambda w: (2 + 3 * w[0] - w[1] ** 2, np.array([3.0, -2 * w[1]])))
    assert found.min < -1.9
    assert not found.is_saddle
    assert mon.findings == []


def test_sharpness_of_sgd_is_the_rate_times_the_largest_eigenvalue(rng: np.random.Generator) -> None:
    matrix, params = symmetric(rng, SIZE), parameters(rng)
    largest = np.linalg.eigvalsh(matrix)[-1]
    for momentum, nesterov, limit in ((0.0, False, 2.0), (0.9, False, 3.8), (0.9, True, 3.8 / 2.8)):
        opt = ac.SGD(params, lr=0.3, momentum=momentum, nesterov=nesterov)
        found = ac.Monitor(opt).curvature(quadratic(matrix), iterations=SIZE, precondition=opt)
        assert found.sharpness is not None
        assert abs(found.sharpness - 0.3 * largest) < 1e-6
        assert found.limit == pytest.approx(limit, rel=1e-15)


@pytest.mark.parametrize("rule", ["AdamW", "Adam, amsgrad", "RMSprop", "RMSprop, centered", "Adagrad"])
def test_sharpness_is_of_the_steps_that_the_rule_takes(rng: np.random.Generator, rule: str) -> None:
    """On a diagonal quadratic, a step divides each gradient by its own factor, which a step shows."""
    w = rng.standard_normal(6)
    make = {
        "AdamW": lambda p: ac.AdamW(p, lr=0.1, betas=(0.0, 0.9), weight_decay=0.0),
        "Adam, amsgrad": lambda p: ac.Adam(p, lr=0.1, betas=(0.0, 0.9), amsgrad=True),
        "RMSprop": lambda p: ac.RMSprop(p, lr=0.1),
        "RMSprop, centered": lambda p: ac.RMSprop(p, lr=0.1, centered=True),
        "Adagrad": lambda p: ac.Adagrad(p, lr=0.1, lr_decay=0.2),
    }[rule]
    opt = make(w)
    for _ in range(5):
        grad = rng.standard_normal(6)
        before = w.copy()
        opt.step(grad)
    factors = (before - w) / grad
    curvature = rng.uniform(0.5, 2, 6)
    found = ac.Monitor(opt).curvature(
        lambda p: (float(curvature @ p**2) / 2, curvature * p), iterations=6, precondition=opt
    )
    assert found.sharpness == pytest.approx((factors * curvature).max(), rel=1e-6)


def test_adam_has_the_limit_of_the_literature() -> None:
    w = np.ones(3)
    opt = ac.AdamW(w)
    opt.step(np.ones(3))
    found = ac.Monitor(opt).curvature(lambda w: (float(w @ w), 2 * w), precondition=opt)
    assert found.limit == pytest.approx(38, rel=1e-14)
    assert "limit 38" in repr(found)


@pytest.mark.parametrize("at", [0, 1, 7, 20])
def test_weights_are_put_back_whatever_is_raised(rng: np.random.Generator, at: int) -> None:
    matrix, params = symmetric(rng, SIZE), parameters(rng)
    mon, calls = watched(params), []
    before = everything(mon._opt)
    inner = quadratic(matrix)

    def loss_and_grad(params: Any) -> Any:
        calls.append(0)
        if len(calls) > at:
            raise KeyboardInterrupt
        return inner(params)

    with pytest.raises(KeyboardInterrupt):
        mon.curvature(loss_and_grad)
    assert everything(mon._opt) == before


def test_interrupts_at_any_moment_leave_the_weights(rng: np.random.Generator) -> None:
    matrix, params = symmetric(rng, SIZE), parameters(rng)
    mon, loss_and_grad = watched(params), quadratic(matrix)
    before = everything(mon._opt)

    def check() -> None:
        assert everything(mon._opt) == before

    assert interrupt_everywhere(lambda: lambda: mon.curvature(loss_and_grad, iterations=2), check, 60) > 50
    assert issubclass(Interruption, BaseException)


GOOD = lambda w: (float(w @ w), 2 * w)  # noqa: E731


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(loss_and_grad=3), TypeError, "Monitor.curvature: loss_and_grad must be a function, got 3"),
        (dict(iterations=1), ValueError, "Monitor.curvature: iterations must be an int >= 2, got 1"),
        (dict(seed=-1), ValueError, "Monitor.curvature: seed must be an int >= 0, got -1"),
        (dict(precondition=3), TypeError, "Monitor.curvature: precondition must be an optimizer or None, got 3"),
        (dict(loss_and_grad=lambda w: w), TypeError, r"Monitor.curvature: loss_and_grad must return \(loss, grads\)"),
        (dict(loss_and_grad=lambda _: ("a", np.ones(3))), TypeError, "Monitor.curvature: the loss must be a number"),
        (dict(loss_and_grad=lambda _: (1.0, np.ones(4))), ValueError, r"the gradient of '0' has the shape \(4,\)"),
        (dict(loss_and_grad=lambda _: (1.0, {"w": np.ones(3)})), ValueError, "the gradients have 'w', and there is no"),
        (dict(loss_and_grad=lambda _: (1.0, {})), ValueError, "there is no gradient for '0' .None stands for one of"),
        (dict(loss_and_grad=lambda w: (1.0, w * 1j)), TypeError, "the gradient of '0' is complex128, but the param"),
        (dict(loss_and_grad=lambda w: (np.nan, w)), ValueError, "the loss and its gradient must be finite"),
        (dict(loss_and_grad=lambda w: (1.0, w / 0)), ValueError, "the loss and its gradient must be finite"),
    ],
)
def test_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    w = np.ones(3)
    options = {"loss_and_grad": GOOD, **arguments}
    with np.errstate(divide="ignore"), pytest.raises(error, match=message):
        watched(w).curvature(options.pop("loss_and_grad"), **options)
    assert (w == 1).all()


def test_half_precision_and_rules_without_a_second_moment_are_named() -> None:
    half = ac.Monitor(ac.SGD({"w": np.ones(3, np.float16)}))
    with pytest.raises(
        ValueError, match=r"parameter 'w' must be float32, float64 or complex, .* got ndarray of float16"
    ):
        half.curvature(lambda p: (0.0, p))
    w = np.ones(3)
    for opt, message in ((ac.Lion(w), "not of Lion"), (ac.AdamW(w), "'0', which has had no step")):
        with pytest.raises(ValueError, match=message):
            ac.Monitor(opt).curvature(GOOD, precondition=opt)


def test_noise_is_what_the_counter_generator_gives_and_nearly_normal() -> None:
    key = int.from_bytes(hashlib.sha256(b"5/12/layer.w").digest()[:16], "little")
    raw = np.random.Philox(key=key).random_raw(3 * 4)
    expected = []
    for i in range(4):
        fields = [int(word) >> shift & 0xFFFF for word in raw[3 * i : 3 * i + 3] for shift in (0, 16, 32, 48)]
        expected.append((sum(fields) - 6 * 65535) / 65536)
    assert noise(5, 12, "layer.w", 4).tolist() == expected
    many = noise(0, 0, "", 300_000)
    assert many[:4].tolist() == noise(0, 0, "", 4).tolist()
    assert abs(many.mean()) < 0.01
    assert abs(many.std() - 1) < 0.01
    assert 2.8 < np.mean(many**4) < 3.0
    assert noise(0, 0, "a", 3).tolist() != noise(0, 1, "a", 3).tolist() != noise(1, 1, "a", 3).tolist()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timers")
@pytest.mark.usefixtures("without_collections")
def test_signals_at_any_moment_leave_the_weights(rng: np.random.Generator) -> None:
    class Alarm(BaseException):
        pass

    def handler(*_: object) -> None:
        raise Alarm

    matrix, params = symmetric(rng, SIZE), parameters(rng)
    mon, loss_and_grad = watched(params), quadratic(matrix)
    before, hits = everything(mon._opt), 0
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + 3e-3 * rng.random())
                mon.curvature(loss_and_grad, iterations=4)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Alarm:
                hits += 1
            assert everything(mon._opt) == before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert hits > 50
