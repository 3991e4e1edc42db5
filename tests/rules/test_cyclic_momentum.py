"""PyTorch's OneCycleLR and CyclicLR, written to `param_groups` in each step, give PyTorch's trajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from reference import CYCLED

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)

STEPS = 40


def schedule(kind: str, optimizer: Any, base: float) -> Any:
    schedules = torch.optim.lr_scheduler
    if kind == "OneCycleLR":
        return schedules.OneCycleLR(
            optimizer, max_lr=[0.1, 0.05], total_steps=STEPS, pct_start=0.25, base_momentum=base, max_momentum=0.9
        )
    return schedules.CyclicLR(
        optimizer, base_lr=0.01, max_lr=[0.1, 0.05], step_size_up=4, base_momentum=base, max_momentum=0.9
    )


@pytest.mark.parametrize("kind", ["OneCycleLR", "CyclicLR"])
@pytest.mark.parametrize("base", [0.0, 0.5])
@pytest.mark.parametrize("optimizer", CYCLED, ids=str)
def test_trajectory(optimizer: tuple[str, dict[str, Any]], kind: str, base: float, rng: np.random.Generator) -> None:
    name, options = optimizer
    ours = [rng.standard_normal(shape) for shape in ((5, 3), (4,), ())]
    theirs = [torch.tensor(p.copy(), requires_grad=True) for p in ours]
    groups = [slice(0, 2), slice(2, 3)]
    mine = getattr(ac, name)([{"params": ours[group]} for group in groups], lr=0.01, **options)
    other = getattr(torch.optim, name)([{"params": theirs[group]} for group in groups], lr=0.01, **options)
    scheduler = schedule(kind, other, base)
    momenta = set()
    for t in range(STEPS):
        for group, theirs_ in zip(mine.param_groups, other.param_groups, strict=True):
            group.update({key: theirs_[key] for key in ("lr", "momentum", "betas") if key in group})
            momenta.add(group["momentum"] if "momentum" in group else group["betas"][0])
        for i, p in enumerate(theirs):
            p.grad = None if t % 7 == 4 and i == 1 else torch.tensor(rng.standard_normal(tuple(p.shape)))
        mine.step([None if p.grad is None else p.grad.numpy() for p in theirs])
        other.step()
        scheduler.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12, atol=1e-12)
    assert min(momenta) == base
    assert len(momenta) > 4


def test_from_zero_on(rng: np.random.Generator) -> None:
    """Momentum is 0 at first, and the buffer begins in the middle of training, for one array later than for another."""
    ours = [rng.standard_normal(3), rng.standard_normal(4)]
    theirs = [torch.tensor(p.copy(), requires_grad=True) for p in ours]
    options = {"lr": 0.1, "dampening": 0.5, "weight_decay": 0.125}
    mine, other = ac.SGD(ours, **options), torch.optim.SGD(theirs, **options)
    for t, momentum in enumerate([0.0, 0.0, 0.9, 0.8, 0.0, 0.0, 0.7, 0.9]):
        mine.param_groups[0]["momentum"] = other.param_groups[0]["momentum"] = momentum
        for i, p in enumerate(theirs):
            p.grad = None if i == 1 and t in (2, 3) else torch.tensor(rng.standard_normal(tuple(p.shape)))
        mine.step([None if p.grad is None else p.grad.numpy() for p in theirs])
        other.step()
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12, atol=1e-12)
    for i, q in enumerate(theirs):
        np.testing.assert_allclose(mine.state[str(i)]["momentum_buffer"], other.state[q]["momentum_buffer"], rtol=1e-12)
