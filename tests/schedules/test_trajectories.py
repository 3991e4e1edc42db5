"""Rate, momentum and beta that schedules give: PyTorch's trajectories under its own schedulers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules
from reference import CYCLED

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)

STEPS = 40


def one_cycle(optimizer: Any, base: float) -> Any:
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=[0.1, 0.05], total_steps=STEPS, pct_start=0.25, base_momentum=base, max_momentum=0.9
    )


def cyclic(optimizer: Any, base: float) -> Any:
    return torch.optim.lr_scheduler.CyclicLR(
        optimizer, base_lr=0.01, max_lr=[0.1, 0.05], step_size_up=4, base_momentum=base, max_momentum=0.9
    )


def ours_one_cycle(base: float) -> tuple[list[Any], Any]:
    rates = [schedules.OneCycle(peak, steps=STEPS, pct_start=0.25) for peak in (0.1, 0.05)]
    return rates, schedules.OneCycle(base, steps=STEPS, pct_start=0.25, start=0.9, end=0.9)


def ours_cyclic(base: float) -> tuple[list[Any], Any]:
    return [schedules.Cyclic(0.01, high, up=4) for high in (0.1, 0.05)], schedules.Cyclic(0.9, base, up=4)


@pytest.mark.parametrize(("theirs", "ours"), [(one_cycle, ours_one_cycle), (cyclic, ours_cyclic)])
@pytest.mark.parametrize("base", [0.0, 0.5])
@pytest.mark.parametrize("optimizer", CYCLED, ids=str)
def test_cycles(
    optimizer: tuple[str, dict[str, Any]],
    base: float,
    theirs: Callable[[Any, float], Any],
    ours: Callable[[float], tuple[list[Any], Any]],
    rng: np.random.Generator,
) -> None:
    name, options = optimizer
    mine_at = [rng.standard_normal(shape) for shape in ((5, 3), (4,), ())]
    theirs_at = [torch.tensor(p.copy(), requires_grad=True) for p in mine_at]
    groups = [slice(0, 2), slice(2, 3)]
    rates, momentum = ours(base)
    cycled = {"momentum": momentum} if "momentum" in options else {"betas": (momentum, 0.999)}
    mine = getattr(ac, name)(
        [{"params": mine_at[group], "lr": rate} for group, rate in zip(groups, rates, strict=True)],
        **{**options, **cycled},
    )
    other = getattr(torch.optim, name)([{"params": theirs_at[group]} for group in groups], lr=0.01, **options)
    scheduler = theirs(other, base)
    for t in range(STEPS):
        for i, p in enumerate(theirs_at):
            p.grad = None if t % 7 == 4 and i == 1 else torch.tensor(rng.standard_normal(tuple(p.shape)))
        mine.step([None if p.grad is None else p.grad.numpy() for p in theirs_at])
        other.step()
        if t < STEPS - 1:
            scheduler.step()
        for p, q in zip(mine_at, theirs_at, strict=True):
            np.testing.assert_allclose(p, q.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_decay_and_epsilon_too(rng: np.random.Generator) -> None:
    """Every number of AdamW follows a schedule at once; PyTorch's are written to its group."""
    given = {
        "lr": schedules.Warmup(schedules.Cosine(0.1, 0.01, steps=30), steps=8),
        "weight_decay": schedules.Linear(0.5, 0.0, steps=30),
        "eps": schedules.Exponential(1e-3, 0.9),
    }
    betas = schedules.Polynomial(0.95, 0.5, steps=30, power=1.7), schedules.Cosine(0.9, 0.999, steps=30)
    ours = rng.standard_normal((6, 5))
    theirs = torch.tensor(ours.copy(), requires_grad=True)
    mine, other = ac.AdamW(ours, betas=betas, **given), torch.optim.AdamW([theirs])
    for t in range(STEPS):
        other.param_groups[0].update({key: s(t) for key, s in given.items()}, betas=tuple(s(t) for s in betas))
        assert mine.current()["betas"] == other.param_groups[0]["betas"]
        g = rng.standard_normal(ours.shape)
        theirs.grad = torch.tensor(g)
        mine.step(g)
        other.step()
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)
