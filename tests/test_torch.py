"""Trajectories against torch.optim, where torch is installed (the `bench` extra)."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import make
from reference import Case, magnitudes

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)


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
    p, q = np.ones(3), torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer, other = make(case, p), to_torch(case, [q])
    q.grad = torch.ones_like(q)
    optimizer.step(np.ones(3))
    other.step()
    assert set(optimizer.state["0"]) == set(other.state[q]) - {"step"}
    for key, value in optimizer.state["0"].items():
        np.testing.assert_allclose(value, other.state[q][key].numpy(), rtol=1e-12)


def test_defaults_are_torchs(case: Case) -> None:
    ours = make(case, np.ones(3)).defaults
    theirs = to_torch(case, [torch.ones(3, requires_grad=True)]).defaults
    assert {k: v for k, v in ours.items() if theirs[k] != v} == {}
