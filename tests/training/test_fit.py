"""`fit` does what a loop by hand does, to the bit."""

from __future__ import annotations

import contextlib
import copy
from typing import Any, NamedTuple

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules
from fitting import Regression, adam, sgd
from helpers import everything

EPOCHS, SEED = 4, 3


class ByHand(NamedTuple):
    """What a loop by hand has come to."""

    opt: ac.Optimizer
    losses: list[float]
    validations: list[float]
    average: Any
    monitor: Any


def by_hand(problem, factory, *, accumulate=1, scaler=None, ema=None, monitor=None) -> ByHand:
    """The loop that `fit` takes off one's hands."""
    rng = np.random.default_rng(SEED)
    params = problem.init(rng)
    opt = factory(params)
    average = None if ema is None else ac.EMA(opt, ema)
    watching = None if monitor is None else monitor(opt)
    losses, validations = [], []
    for _ in range(EPOCHS):
        epoch = list(problem.batches(rng))
        for first in range(0, len(epoch), accumulate):
            found, rows = [], []
            for batch in epoch[first : first + accumulate]:
                scale = {} if scaler is None else {"loss_scale": scaler.scale}
                loss, grads = problem.loss_and_grad(params, batch, **scale)
                found.append(loss)
                rows.append(problem.weight(batch))
                if accumulate > 1:
                    opt.accumulate(grads, weight=rows[-1])
            stats = watching is not None and watching.wants_stats
            info = opt.step(None if accumulate > 1 else grads, loss_scale=scaler or 1.0, stats=stats)
            mean = sum(loss * n for loss, n in zip(found, rows, strict=True)) / sum(rows)
            losses.append(mean if len(found) > 1 else found[0])
            if watching is not None:
                watching.observe(losses[-1], info)
        if average is not None:
            with average.swap():
                validations.append(problem.evaluate(params)["val_loss"])
        else:
            with evaluation_of(opt):
                validations.append(problem.evaluate(params)["val_loss"])
        if watching is not None:
            watching.observe_validation(validations[-1])
    return ByHand(opt, losses, validations, average, watching)


@contextlib.contextmanager
def evaluation_of(opt):
    """A validation leaves no trace, also not the rounding of eval() and train()."""
    if not isinstance(opt, ac.ScheduleFreeAdamW):
        yield
        return
    saved, params = opt.state_dict(), [param.copy() for param in leaves_of(opt)]
    opt.eval()
    yield
    opt.train()
    for param, values in zip(leaves_of(opt), params, strict=True):
        param[...] = values
    opt.load_state_dict(saved)


def monitored(opt):
    return ac.Monitor(opt, window=8, stats_every=3, validation_window=4)


def one_cycle(params):
    beta1 = schedules.Linear(0.9, 0.8, steps=9)
    return ac.AdamW(params, lr=schedules.OneCycle(0.05, steps=28), betas=(beta1, 0.99), weight_decay=0.1)


RULES = ("Adafactor", "Adan", "LAMB", "Lion", "Prodigy", "RMSprop", "ScheduleFreeAdamW")
WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (sgd, {}),
    "schedule and guard": (adam, {}),
    "schedules of several numbers": (one_cycle, {}),
    "monitor": (sgd, {"monitor": monitored}),
    "average": (adam, {"ema": 0.9}),
    "windows of 3": (adam, {"accumulate": 3}),
    "windows of an epoch": (sgd, {"accumulate": 7}),
    "windows of more": (sgd, {"accumulate": 9}),
    "everything": (adam, {"accumulate": 2, "ema": 0.8, "monitor": monitored}),
    "schedule-free, averaged": (ac.ScheduleFreeAdamW, {"ema": 0.8, "accumulate": 2}),
    **{name: (getattr(ac, name), {}) for name in RULES},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_a_loop_by_hand_has_the_same_bits(way, dtype):
    factory, options = WAYS[way]
    own, others = (ac.LossScaler(2.0**18, growth_interval=4) if dtype is np.float16 else None for _ in range(2))
    expected = by_hand(Regression(dtype), factory, scaler=own, **options)
    run = ac.fit(Regression(dtype), factory, epochs=EPOCHS, seed=SEED, scaler=others, progress=None, **options)
    history = run.history
    assert everything(run.opt) == everything(expected.opt)
    assert (run.ended, run.opt.completed) == ("epochs", expected.opt.completed)
    assert history["loss"].tolist() == expected.losses
    assert history["val_loss"][np.isfinite(history["val_loss"])].tolist() == expected.validations
    if own is not None:
        assert history["skipped"].any(), "the scale was too large at first"
        assert others.state_dict() == own.state_dict()
    if expected.average is not None:
        assert run.ema.count == expected.average.count
    if expected.monitor is not None:
        assert run.findings == expected.monitor.findings
        assert run.monitor.history.to_json() == expected.monitor.history.to_json()


class Quadratic:
    """Half of the sum of squares of parameters in any structure; the batches are the numbers that multiply it."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure
        self.given: list[Any] = []

    def init(self, rng):
        del rng
        return copy.deepcopy(self.structure)

    def batches(self, rng):
        return rng.uniform(0.5, 1.5, 6).tolist()

    def loss_and_grad(self, params, factor):
        self.given.append(params)
        leaves: list[Any] = []
        grads = mapped(params, lambda leaf: leaves.append(leaf) or factor * leaf)
        return 0.5 * factor * sum(float((leaf * leaf).sum()) for leaf in leaves), grads


def mapped(tree, function):
    if isinstance(tree, dict):
        return {key: mapped(item, function) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)) and tree and isinstance(tree[0], tuple) and isinstance(tree[0][0], str):
        return [(key, mapped(item, function)) for key, item in tree]
    if isinstance(tree, (list, tuple)):
        return type(tree)(mapped(item, function) for item in tree)
    return function(tree)


W, B, C = np.linspace(-1, 2, 6).reshape(2, 3), np.linspace(1, 2, 3), np.array(0.5)
STRUCTURES = {
    "one array": W,
    "dict": {"w": W, "b": B},
    "list": [W, B],
    "tuple": (W, B),
    "nested": {"layers": [(W, B), {"w": W + 1}], "scale": C},
    "pairs": [("w", W), ("b", B)],
    "groups": [{"params": {"w": W}, "lr": 0.2}, {"params": {"b": B}}],
    "groups of lists": [{"params": [W, B], "lr": 0.2}, {"params": C}],
    "groups of pairs": [{"params": [("w", W)]}, {"params": [("b", B)], "momentum": 0.5}],
}


def leaves_of(opt):
    return [array for group in opt.param_groups for array in group["params"]]


def quadratic_by_hand(opt, steps):
    rng = np.random.default_rng(0)
    factors = [factor for _ in range(steps) for factor in Quadratic(None).batches(rng)][:steps]
    for factor in factors:
        opt.step([factor * leaf for leaf in leaves_of(opt)] if len(leaves_of(opt)) > 1 else factor * leaves_of(opt)[0])


@pytest.mark.parametrize("name", STRUCTURES)
def test_an_optimizer_that_exists(name):
    """Its parameters are passed on in the user's structure, and are updated in place."""
    structure = copy.deepcopy(STRUCTURES[name])
    opt = ac.SGD(structure, lr=0.1, momentum=0.9)
    problem = Quadratic(None)
    problem.init = None  # is not called
    run = ac.fit(problem, opt, steps=9, progress=None)
    other = ac.SGD([{**group, "params": list(map(np.copy, group["params"]))} for group in reset(name)], lr=0.1)
    quadratic_by_hand(other, 9)
    assert [leaf.tobytes() for leaf in leaves_of(run.opt)] == [leaf.tobytes() for leaf in leaves_of(other)]
    assert run.opt is opt
    assert all(given is problem.given[0] or name.startswith(("groups", "pairs")) for given in problem.given)
    if not name.startswith(("groups", "pairs")):
        assert run.params is structure
    elif name == "groups of lists":
        assert [id(leaf) for leaf in run.params] == [id(leaf) for leaf in leaves_of(opt)]
    else:
        assert {key: id(leaf) for key, leaf in run.params.items()} == dict(
            zip(opt.steps, map(id, leaves_of(opt)), strict=True)
        )


def reset(name):
    """The groups of a structure as new arrays, without names."""
    fresh = ac.SGD(copy.deepcopy(STRUCTURES[name]), lr=0.1, momentum=0.9)
    return [{key: value for key, value in group.items() if key != "param_names"} for group in fresh.param_groups]


@pytest.mark.parametrize("name", [name for name in STRUCTURES if not name.startswith("groups")])
def test_a_function_makes_the_optimizer(name):
    problem = Quadratic(STRUCTURES[name])
    if name == "pairs":
        problem.structure = dict(STRUCTURES[name])
    run = ac.fit(problem, lambda params: ac.SGD(params, lr=0.1, momentum=0.9), steps=9, progress=None)
    other = ac.SGD([{**group, "params": list(map(np.copy, group["params"]))} for group in reset(name)], lr=0.1)
    quadratic_by_hand(other, 9)
    assert [leaf.tobytes() for leaf in leaves_of(run.opt)] == [leaf.tobytes() for leaf in leaves_of(other)]


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    results = []
    for make in (np.copy, lambda array: torch.tensor(array, requires_grad=True)):
        problem = Quadratic({})
        problem.loss_and_grad = lambda params, factor: (
            factor * sum((leaf * leaf).sum() for leaf in params.values()) / 2,
            {name: factor * (leaf.detach() if hasattr(leaf, "detach") else leaf) for name, leaf in params.items()},
        )
        problem.evaluate = lambda params: {"val_loss": -sum((leaf * leaf).sum() for leaf in params.values())}
        opt = ac.AdamW({"w": make(W), "b": make(B)}, lr=0.1)
        run = ac.fit(problem, opt, epochs=3, ema=0.5, early_stopping=ac.EarlyStopping(), progress=None)
        assert run.best_step == 6
        results.append([np.asarray(leaf.detach() if make is not np.copy else leaf) for leaf in leaves_of(run.opt)])
        results[-1] += [run.history["loss"]]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-12)  # their sums have another order


def test_a_model_that_is_no_array_is_passed_on():
    """A factory knows what to take of it."""
    torch = pytest.importorskip("torch")

    class Problem:
        def init(self, rng):
            torch.manual_seed(int(rng.integers(1000)))
            return torch.nn.Linear(3, 1)

        def batches(self, rng):
            for _ in range(5):
                yield torch.from_numpy(rng.standard_normal((8, 3)).astype(np.float32))

        def loss_and_grad(self, model, x):
            model.zero_grad()
            loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
            loss.backward()
            return loss, {name: p.grad for name, p in model.named_parameters()}

    run = ac.fit(Problem(), lambda model: ac.Adam(model.named_parameters(), lr=0.1), epochs=30, progress=None)
    assert isinstance(run.params, torch.nn.Linear)
    assert run.history["loss"][-1] < 0.01 * run.history["loss"][0]
