"""PyTorch's CPU tensors as parameters and gradients, used in place with the same bits; JAX arrays as gradients."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac
from adamcore._arrays.memory import TorchMemory
from helpers import bits, make
from reference import Case, magnitudes

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)

DTYPES = {
    torch.float16: np.float16,
    torch.bfloat16: ml_dtypes.bfloat16,
    torch.float32: np.float32,
    torch.float64: np.float64,
}


def as_bytes(tensor: Any) -> bytes:
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.detach().view(integers[tensor.dtype.itemsize]).numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_same_bits_as_numpy(case: Case, dtype: Any, rng: np.random.Generator) -> None:
    values = [magnitudes(rng, s).astype(DTYPES[dtype]) for s in ((7, 5), (33,), (0, 2), (1,))]
    ours = [v.copy() for v in values]
    theirs = [torch.tensor(v.astype(np.float64), dtype=dtype, requires_grad=True) for v in values]
    optimizer, other = make(case, ours, clip_norm=1.0), make(case, theirs, clip_norm=1.0)
    for t in range(4):
        grads = [magnitudes(rng, v.shape).astype(DTYPES[dtype]) for v in values]
        for p, g in zip(theirs, grads, strict=True):
            p.grad = torch.tensor(g.astype(np.float64), dtype=dtype)
        if t == 2:
            grads[1] = theirs[1].grad = None
        assert optimizer.step(grads) == other.step([p.grad for p in theirs])
    assert bits(*ours) == [as_bytes(p) for p in theirs]
    for name, state in optimizer.state.items():
        assert bits(*state.values()) == bits(*other.state[name].values())


def test_a_model_trains() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    x = torch.randn(64, 3)
    y = x.prod(1, keepdim=True)
    params = dict(model.named_parameters())
    optimizer = ac.AdamW(params, lr=0.02)
    losses = []
    for _ in range(60):
        loss = ((model(x) - y) ** 2).mean()
        model.zero_grad()
        loss.backward()
        optimizer.step({name: p.grad for name, p in params.items()})
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert optimizer.param_groups[0]["params"][0] is model[0].weight
    assert all(p.requires_grad for p in params.values())


def test_strided_tensors() -> None:
    base, other = torch.zeros(4, 10), np.zeros((4, 10), np.float32)
    g = np.arange(20, dtype=np.float32).reshape(5, 4)
    ac.SGD(base[:, ::2].T, lr=1.0).step(torch.from_numpy(g))
    ac.SGD(other[:, ::2].T, lr=1.0).step(g)
    assert np.array_equal(base.numpy(), other)


MOVES: dict[str, Callable[[Any], Any]] = {
    "data": lambda p: setattr(p, "data", torch.zeros(3)),
    "set_": lambda p: p.requires_grad_(requires_grad=False).set_(torch.zeros(3)),
    "resize_": lambda p: p.data.resize_(100_000),
    "freed": lambda p: p.untyped_storage().resize_(0),
    "converted": lambda p: setattr(p, "data", p.data.double()),
}


@pytest.mark.parametrize("structure", [list, lambda a: dict(enumerate(a)), tuple], ids=["list", "dict", "tuple"])
@pytest.mark.parametrize("how", MOVES)
def test_memory_that_moves_is_noticed(how: str, structure: Callable[..., Any], unchanged: Callable[..., None]) -> None:
    p = torch.nn.Parameter(torch.ones(3))
    q = np.ones(3, np.float32)
    by_name = isinstance(structure([q]), dict)
    params = {"q": q, "p": p} if by_name else [q, p]
    grads = [np.ones(3, np.float32), torch.ones(3)]
    optimizer = ac.SGD(params, lr=0.5)
    give: Callable[[list], Any] = (lambda g: dict(zip("qp", g, strict=True))) if by_name else structure
    optimizer.step(give(grads))
    MOVES[how](p)
    unchanged(ValueError, r"^params\[.*\]: the array's memory has moved", [q], lambda: optimizer.step(give(grads)))
    unchanged(ValueError, "memory has moved", [q], lambda: optimizer.step(give([grads[0], grads[0]])))
    assert set(optimizer.steps.values()) == {1}
    optimizer.step(give([grads[0], None]))
    assert np.all(q == 0)


def test_memory_is_let_go() -> None:
    p, g = torch.ones(3), torch.ones(3)
    optimizer = ac.SGD(p)
    optimizer.step(g)
    gone = weakref.ref(g)
    del g
    assert gone() is None
    gone = weakref.ref(p)
    del p
    assert gone() is not None
    del optimizer
    gc.collect()
    assert gone() is None


def test_unfit_tensors_are_refused_by_name() -> None:
    good = torch.ones(3)
    for bad, error, match in (
        (torch.ones(3, dtype=torch.int32), TypeError, "dtype int32 is not supported"),
        (torch.ones(3, dtype=torch.complex64).conj(), ValueError, "conj"),
        (torch.ones(1).expand(3), ValueError, "elements share memory"),
        (torch.ones(3).to_sparse(), ValueError, "layout other than torch.strided"),
        (torch.ones(3, device="meta"), ValueError, "meta"),
        (torch.tensor([1 + 2j]).conj().imag, ValueError, "negatives of its elements; pass a.resolve_neg"),
        (good, ValueError, r"shares memory with params\[0\]"),
        (good.detach(), ValueError, r"shares memory with params\[0\]"),
    ):
        with pytest.raises(error, match=r"^params\[1\]: .*" + match):
            ac.AdamW([good, bad])


def test_precision_looks_at_torchs_dtypes() -> None:
    precision = ac.Precision(master="remainder")
    ac.AdamW(torch.ones(3, dtype=torch.bfloat16), precision=precision)
    with pytest.raises(ValueError, match="there are none"):
        ac.AdamW(torch.ones(3), precision=precision)


WITH_JAX = """
import jax.numpy as jnp, numpy as np, torch, adamcore as ac
p, q = torch.ones(4), np.ones(4, np.float32)
g = jnp.arange(4, dtype=jnp.float32)
before = np.array(g)
ac.AdamW([p, q], weight_decay=0.1).step([g, g])
assert p.numpy().tobytes() == q.tobytes() != np.ones(4, np.float32).tobytes()
assert np.array_equal(g, before)
ac.SGD(p).step(jnp.ones(4, jnp.bfloat16))
for name, call in (("params", lambda: ac.SGD(g)), ("grads", lambda: ac.clip_grad_norm_(g, 1.0))):
    try:
        call()
    except ValueError as error:
        assert str(error).startswith(name + ": ") and "JAX, whose arrays are immutable" in str(error), error
    else:
        raise AssertionError(name)
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX comes with the bench extra")
def test_gradients_from_jax() -> None:
    """In a separate process, because JAX does not support forks."""
    done = subprocess.run([sys.executable, "-c", WITH_JAX], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "uint16", "uint8"])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (0, 4)], ids=str)
def test_state_in_pytorchs_memory(dtype: str, shape: tuple[int, ...]) -> None:
    """What CUDA optimizers do with PyTorch's memory, here with CPU tensors: views, and copies to the host."""
    memory = TorchMemory()
    block = torch.zeros(4096, dtype=torch.uint8)
    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    strides = np.empty(shape, kind, order="F").strides
    view = memory.view(block, 5 * kind.itemsize, shape, strides, dtype)
    assert (tuple(view.shape), str(view.dtype)) == (shape, f"torch.{dtype}")
    assert view.numel() == 0 or view.data_ptr() == block.data_ptr() + 5 * kind.itemsize
    numbers = np.arange(1, 1 + view.numel()).reshape(shape).astype(kind)
    np.ndarray(shape, kind, block.numpy(), 5 * kind.itemsize, strides)[...] = numbers
    assert memory.to_host(view).tobytes() == numbers.tobytes()
    assert memory.to_host(view).dtype == kind
    around = block.numpy().copy()
    around[5 * kind.itemsize : 5 * kind.itemsize + numbers.nbytes] = 0
    assert not around.any()
