"""Trajectories against torch.optim, where torch is installed (the `bench` extra)."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import adamcore as ac
from helpers import make
from reference import CASES, Case, magnitudes

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)


def has(case: Case) -> bool:
    """Whether PyTorch has the rule with these options."""
    optimizer = getattr(torch.optim, case.optimizer, None)
    return optimizer is not None and case.options.keys() <= inspect.signature(optimizer).parameters.keys()


@pytest.fixture(params=filter(has, CASES), ids=lambda case: case.id)
def case(request: pytest.FixtureRequest) -> Case:
    """The cases of the rules that PyTorch has."""
    return request.param


def to_torch(case: Case, params: list) -> object:
    return getattr(torch.optim, case.optimizer)(params, **case.options)


def test_trajectory(case: Case, dtype: type, rng: np.random.Generator) -> None:
    shapes = [(7, 5), (33,), ()]
    ours = [np.array(magnitudes(rng, s), dtype) for s in shapes]
    theirs = [torch.tensor(p.copy(), requires_grad=True) for p in ours]
    optimizer, other = make(case, ours), to_torch(case, theirs)
    for t in range(100):
        for i, p in enumerate(theirs):
            g = np.array(magnitudes(rng, shapes[i]) + 0.1, dtype)
            p.grad = None if t % 7 == 3 and i == 1 else torch.tensor(g)
        optimizer.step([None if p.grad is None else p.grad.numpy() for p in theirs])
        other.step()
    tolerance = 2e-4 if dtype == np.float32 else 1e-11
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=tolerance, atol=tolerance * 0.1)


def test_state_has_torchs_keys(case: Case) -> None:
    for shape in ((3,), (2, 3, 4)):
        p, q = np.ones(shape), torch.ones(shape, dtype=torch.float64, requires_grad=True)
        optimizer, other = make(case, p), to_torch(case, [q])
        q.grad = torch.ones_like(q)
        optimizer.step(np.ones(shape))
        other.step()
        assert set(optimizer.state["0"]) == set(other.state[q]) - {"step"}
        for key, value in optimizer.state["0"].items():
            assert value.shape == tuple(other.state[q][key].shape)
            np.testing.assert_allclose(value, other.state[q][key].numpy(), rtol=1e-12)


def test_defaults_are_torchs(case: Case) -> None:
    ours = make(case, np.ones(3)).defaults
    theirs = to_torch(case, [torch.ones(3, requires_grad=True)]).defaults
    assert {k: v for k, v in ours.items() if k in theirs and theirs[k] != v} == {}
    assert {k: v for k, v in ours.items() if k not in theirs} in ({}, {"cautious": False})


@pytest.mark.parametrize("max_norm", [0.1, 3.0, 1e6])
def test_clipping_is_torchs(case: Case, dtype: type, max_norm: float, rng: np.random.Generator) -> None:
    shapes = [(7, 5), (33,), (400, 20)]
    ours = [np.array(magnitudes(rng, s), dtype) for s in shapes]
    theirs = [torch.tensor(p.copy(), requires_grad=True) for p in ours]
    optimizer, other = make(case, ours, clip_norm=max_norm), to_torch(case, theirs)
    for _ in range(20):
        for p in theirs:
            p.grad = torch.tensor(np.array(magnitudes(rng, tuple(p.shape)) + 0.1, dtype))
        info = optimizer.step([p.grad.numpy() for p in theirs])
        norm = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
        other.step()
        assert info.grad_norm == pytest.approx(float(norm), rel=1e-5 if dtype == np.float32 else 1e-13)
    tolerance = 2e-3 if dtype == np.float32 else 1e-11
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p, q.detach().numpy(), rtol=tolerance, atol=tolerance * 0.1)


def test_the_scaler_is_torchs(rng: np.random.Generator) -> None:
    """The scale after each of 200 steps, an overflow now and then, and which of them are skipped."""
    p = np.ones(30, np.float32)
    q = torch.ones(30, requires_grad=True)
    optimizer, other = ac.SGD(p, lr=0.01), torch.optim.SGD([q], lr=0.01)
    ours = ac.LossScaler(1024.0, growth_interval=5, min_scale=2.0**-20)
    theirs = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=5)
    theirs.scale(torch.zeros(()))
    for _ in range(200):
        g = rng.standard_normal(30).astype(np.float32)
        if rng.random() < 0.15:
            g[rng.integers(30)] = np.inf
        q.grad = torch.tensor(g * np.float32(theirs.get_scale()))
        optimizer.step(g * np.float32(ours.scale), loss_scale=ours)
        theirs.step(other)
        theirs.update()
        assert ours.scale == theirs.get_scale()
    np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-5)
