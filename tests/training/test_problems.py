"""docs/experiments/problems: the gradients, the data and the training of each problem."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from itertools import chain, repeat

import numpy as np
import pytest

import adamcore as ac
from adamcore._cli import training
from helpers import bits, numeric_gradient
from places import ROOT

NAMES = ("autoencoder", "convnet", "transformer")
# Gradients are compared in smaller networks, in which every number of every parameter is moved.
SMALLER = {"autoencoder": {"WIDTHS": (64, 6, 3, 5, 64)}, "convnet": {}, "transformer": {"WIDTH": 4, "INNER": 6}}


@pytest.fixture(autouse=True)
def one_thread():
    with training.one_thread():
        yield


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "experiments")
    return lambda name: import_module(f"problems.{name}")


@pytest.fixture(params=NAMES)
def problem(request, load):
    return load(request.param)


def train(problem, *, steps, seed):
    rng = np.random.default_rng(seed)
    params = problem.init(rng)
    optimizer = ac.AdamW(params, lr=3e-3)
    epochs = chain.from_iterable(problem.batches(rng) for _ in repeat(None))
    losses = []
    for _, batch in zip(range(steps), epochs, strict=False):
        loss, grads = problem.loss_and_grad(params, batch)
        optimizer.step(grads)
        losses.append(loss)
    return params, losses


def first_rows(batch, count):
    return tuple(part[:count] for part in batch) if isinstance(batch, tuple) else batch[:count]


def count_examples(batch):
    parts = batch if isinstance(batch, tuple) else (batch,)
    return Counter(tuple(bits(*example)) for example in zip(*parts, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_finite_differences_of_the_loss(load, name, monkeypatch):
    problem = load(name)
    for constant, value in SMALLER[name].items():
        monkeypatch.setattr(problem, constant, value)
    # With this seed no difference is taken across a kink of ReLU or of max pooling.
    rng = np.random.default_rng(3)
    params = {key: p + 0.1 * rng.standard_normal(p.shape) for key, p in problem.init(rng).items()}
    batch = first_rows(next(problem.batches(rng)), 2)
    _, grads = problem.loss_and_grad(params, batch)

    assert list(grads) == list(params)
    for key, grad in grads.items():
        numeric = numeric_gradient(lambda moved: problem.loss_and_grad(moved, batch)[0], params, key)
        np.testing.assert_allclose(grad, numeric, rtol=1e-6, atol=1e-8, err_msg=key)


def test_equal_numbers_share_the_gradient_of_max_pooling(load):
    convnet = load("convnet")
    rng = np.random.default_rng(3)
    params = {key: p + 0.1 * rng.standard_normal(p.shape) for key, p in convnet.init(rng).items()}
    blank = np.ones((2, 8, 8, 1)), np.array([3, 7])
    _, grads = convnet.loss_and_grad(params, blank)
    for key in ("conv1", "b1", "b2"):
        numeric = numeric_gradient(lambda moved: convnet.loss_and_grad(moved, blank)[0], params, key)
        np.testing.assert_allclose(grads[key], numeric, rtol=1e-6, atol=1e-8, err_msg=key)


def test_gradients_are_float32_in_the_shapes_of_the_parameters_and_the_loss_is_a_float(problem):
    rng = np.random.default_rng(0)
    params = problem.init(rng)
    for batch in problem.batches(rng):
        loss, grads = problem.loss_and_grad(params, batch)
    assert type(loss) is float
    assert {p.dtype for p in params.values()} == {np.dtype(np.float32)}
    assert [(n, g.dtype, g.shape) for n, g in grads.items()] == [(n, p.dtype, p.shape) for n, p in params.items()]
    metrics = problem.evaluate(params)
    assert next(iter(metrics)) == "val_loss"
    assert {type(value) for value in metrics.values()} == {float}


def test_the_same_seed_gives_the_same_bits(problem):
    (params, losses), (again, losses_again), (_, others) = (train(problem, steps=20, seed=s) for s in (5, 5, 6))
    assert losses == losses_again
    assert bits(*params.values()) == bits(*again.values())
    assert problem.evaluate(params) == problem.evaluate(again)
    assert losses != others


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_has_every_training_example_once_and_no_held_out_one(load, name):
    digits = load("parts").digits()
    trained, held_out = {
        "autoencoder": lambda: (digits.x, digits.x_held_out),
        "convnet": lambda: (
            (digits.x.reshape(-1, 8, 8, 1), digits.labels),
            (digits.x_held_out.reshape(-1, 8, 8, 1), digits.labels_held_out),
        ),
        "transformer": lambda: load("transformer").sequences(),
    }[name]()
    epoch = list(load(name).batches(np.random.default_rng(0)))
    seen = sum(map(count_examples, epoch), Counter())
    assert seen == count_examples(trained)
    assert not seen & count_examples(held_out)
    sizes = [sum(count_examples(batch).values()) for batch in epoch]
    assert set(sizes[:-1]) == {32}
    assert 0 < sizes[-1] <= 32


def test_epochs_differ_in_order_and_batches_may_be_changed(problem):
    rng = np.random.default_rng(0)
    first, second = next(problem.batches(rng)), next(problem.batches(rng))
    assert count_examples(first) != count_examples(second)
    before = problem.evaluate(params := problem.init(rng))
    for part in first if isinstance(first, tuple) else (first,):
        part[:] = 0
    assert problem.evaluate(params) == before
    assert count_examples(next(problem.batches(np.random.default_rng(0)))) != count_examples(first)


@pytest.mark.parametrize(
    ("name", "start", "end"), [("autoencoder", 10.0, 0.6), ("convnet", 2.3, 0.25), ("transformer", 2.8, 1.45)]
)
def test_adamw_lowers_the_held_out_loss(load, name, start, end):
    problem = load(name)
    untrained = problem.evaluate(problem.init(np.random.default_rng(1)))["val_loss"]
    assert start < untrained < 1.5 * start
    params, _ = train(problem, steps=300, seed=1)
    assert problem.evaluate(params)["val_loss"] < end


def test_the_trained_convnet_reads_digits(load):
    params, _ = train(load("convnet"), steps=300, seed=2)
    assert load("convnet").evaluate(params)["val_accuracy"] > 0.94


def test_the_transformer_does_not_look_ahead(load):
    transformer = load("transformer")
    params, tokens = transformer.init(np.random.default_rng(0)), transformer.sequences()[0][:1, :-1].copy()
    before, _ = transformer._network(params, {}, tokens)
    tokens[:, 9] += 1
    after, _ = transformer._network(params, {}, tokens % transformer.TOKENS)
    assert [bool((a == b).all()) for a, b in zip(before, after, strict=True)] == [True] * 9 + [False] * 7


def test_tokens_are_drawn_with_the_chances_that_the_least_loss_is_of(load):
    transformer = load("transformer")
    tokens, _ = transformer.sequences()
    assert set(tokens.ravel()) == set(range(16))
    (one, other), places = transformer.AFTER, range(3, 17)
    likely = [(one[tokens[:, t - 1]], other[tokens[:, t - 3]], tokens[:, t]) for t in places]
    same = np.mean([a == b for a, b, _ in likely])
    drawn = np.mean([(a == c) | (b == c) for a, b, c in likely])
    assert drawn == pytest.approx(0.9 + 0.1 * (2 - same) / 16, abs=0.003)

    # Two tokens are likely at each place but the first ones, or a single one where they are the same.
    half, whole, rest = 0.45 + 0.1 / 16, 0.9 + 0.1 / 16, 0.1 / 16
    two, single = -2 * half * np.log(half) - 14 * rest * np.log(rest), -whole * np.log(whole) - 15 * rest * np.log(rest)
    assert transformer.floor() == pytest.approx(
        (2 * np.log(16) + 14 * ((1 - same) * two + same * single)) / 16, rel=0.02
    )


def test_the_transformer_comes_near_the_least_loss(load):
    transformer = load("transformer")
    params, _ = train(transformer, steps=300, seed=2)
    assert transformer.floor() < transformer.evaluate(params)["val_loss"] < 1.1 * transformer.floor()
