"""PyTorch tensors as its users have them: with gradients, graphs of autograd, and optimizers for comparison."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import adamcore as ac
from gpu.device import TORCH, bits_of, everything
from helpers import make
from reference import Case, magnitudes
from storage import F32


def parameters(rng: np.random.Generator, shapes: list[tuple[int, ...]]) -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(TORCH.put(np.array(magnitudes(rng, s), F32))) for s in shapes]


def test_parameters_that_require_gradients(case: Case, rng: np.random.Generator) -> None:
    """They are changed in place, as leaves, and autograd is notified."""
    params = parameters(rng, [(7, 5), (33,), ()])
    here = [TORCH.get(p).copy() for p in params]
    addresses, versions = [p.data_ptr() for p in params], [p._version for p in params]
    cpu, gpu = make(case, here), make(case, params)
    for p in params:
        p.grad = torch.rand_like(p)
    grads = [TORCH.get(p.grad) for p in params]
    gpu.step([p.grad for p in params])
    cpu.step(grads)
    assert everything(gpu, TORCH.get) == everything(cpu)
    assert [p.data_ptr() for p in params] == addresses
    assert all(p._version > version for p, version in zip(params, versions, strict=True))
    assert all(p.is_leaf and p.requires_grad for p in params)
    assert all(not a.requires_grad for slots in gpu.state.values() for a in slots.values())


def test_a_stale_graph_is_refused() -> None:
    """A backward pass through weights that a step has changed since is an error of torch's, as with its optimizers."""
    w = torch.nn.Parameter(torch.ones(5, device="cuda"))
    loss = (w * w).sum()
    ac.SGD(w, lr=0.1).step(torch.ones(5, device="cuda"))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_keep_their_version(rng: np.random.Generator) -> None:
    (p,) = parameters(rng, [(100,)])
    g = torch.ones(100, device="cuda")
    version = g._version
    ac.AdamW(p, clip_norm=0.1).step(g)
    assert g._version == version
    ac.clip_grad_norm_(g, 0.1)
    assert g._version > version
    version = g._version
    ac.clip_grad_value_(g, 1e-3)
    assert g._version > version


def test_training_a_module() -> None:
    """A network trained by adamcore follows torch's own optimizer."""
    torch.manual_seed(0)
    ours = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)).cuda()
    theirs = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)).cuda()
    theirs.load_state_dict(ours.state_dict())
    optimizer = ac.AdamW(dict(ours.named_parameters()), lr=1e-2)
    other = torch.optim.AdamW(theirs.parameters(), lr=1e-2)
    x = torch.randn(256, 20, device="cuda")
    y = torch.sin(x.sum(1, keepdim=True))
    losses = []
    for _ in range(50):
        for net in (ours, theirs):
            net.zero_grad()
            loss = torch.nn.functional.mse_loss(net(x), y)
            loss.backward()
            losses.append(float(loss.detach()))
        optimizer.step({name: p.grad for name, p in ours.named_parameters()})
        other.step()
    assert losses[-1] == pytest.approx(losses[-2], rel=1e-2)
    assert losses[-2] < 0.5 * losses[0]


@pytest.mark.parametrize("max_norm", [0.1, 3.0])
def test_clipping_is_torchs(max_norm: float, rng: np.random.Generator) -> None:
    params = parameters(rng, [(7, 5), (33,), (400, 20)])
    optimizer = ac.SGD(params, clip_norm=max_norm)
    for p in params:
        p.grad = torch.rand_like(p)
    copies = [p.grad.clone() for p in params]
    info = optimizer.step([p.grad for p in params])
    assert info.grad_norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(params, max_norm)), rel=1e-5)
    ac.clip_grad_norm_(copies, max_norm)
    for ours, p in zip(copies, params, strict=True):
        torch.testing.assert_close(ours, p.grad, rtol=1e-5, atol=1e-7)


def test_conjugate_and_negative_bits_are_refused() -> None:
    """The memory of lazily negated tensors contains the negated numbers."""
    z = torch.ones(4, dtype=torch.complex64, device="cuda")
    lazy = torch._neg_view(torch.ones(4, device="cuda"))
    assert lazy.is_neg()
    p = torch.zeros(4, device="cuda")
    optimizer = ac.SGD(p, lr=1.0)
    with pytest.raises((TypeError, ValueError)):
        optimizer.step(z)
    try:
        optimizer.step(lazy)
    except (TypeError, ValueError, RuntimeError, BufferError):
        assert bits_of(TORCH.get(p)) == bits_of(np.zeros(4, F32))
    else:
        assert bits_of(TORCH.get(p)) == bits_of(np.ones(4, F32))


def test_tensors_among_arrays_of_cupy(rng: np.random.Generator) -> None:
    """Gradients may come from another library than the parameters, on the same device."""
    import cupy

    p, g = np.ones(300, F32), magnitudes(rng, (300,)).astype(F32)
    of_torch, of_cupy = TORCH.put(p), cupy.asarray(p)
    ac.AdamW(p).step(g)
    ac.AdamW(of_torch).step(cupy.asarray(g))
    ac.AdamW(of_cupy).step(TORCH.put(g))
    assert bits_of(TORCH.get(of_torch)) == bits_of(cupy.asnumpy(of_cupy)) == bits_of(p)


def test_versions_follow_writes() -> None:
    p, q = (torch.ones(3, device="cuda") for _ in range(2))
    opt = ac.SGD({"p": p, "q": q}, lr=0.5)
    before = p._version, q._version
    opt.step({"p": None, "q": torch.ones(3, device="cuda")})
    assert p._version == before[0]
    assert q._version > before[1]
    grad = torch.ones(3, device="cuda")
    before_clip = grad._version
    ac.clip_grad_norm_(grad, 100.0)
    assert grad._version == before_clip, "nothing was to be clipped, nothing was written"
    ac.clip_grad_norm_(grad, 0.5)
    assert grad._version > before_clip
