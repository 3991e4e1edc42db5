"""PyTorch's tensors as gradients: the same in each step or new ones, looked at through C functions where PyTorch has
them.

With ADAMCORE_TEST_OLD_TORCH=1 these tests act as a PyTorch without DLPack's exchange interface.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from pairs import EXHAUSTIVE
from places import ROOT, TESTS

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)

OLD = "ADAMCORE_TEST_OLD_TORCH"
INTERFACE = "__dlpack_c_exchange_api__"
# PyTorch warns of kinds of tensors that are not finished.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
if os.environ.get(OLD) == "1" and hasattr(torch.Tensor, INTERFACE):
    delattr(torch.Tensor, INTERFACE)

SHAPES = [(3, 4), (7,), (), (0, 2), (1, 5)]
WARM = 4
"""Steps after which a gradient that is passed each time is recognised."""


def gradients(step: int) -> list[np.ndarray]:
    rng = np.random.default_rng(step)
    return [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]


def strided(values: np.ndarray) -> Any:
    """Return a tensor that is not contiguous."""
    return torch.from_numpy(np.repeat(values[..., None], 2, -1))[..., 0]


def inference(values: np.ndarray) -> Any:
    with torch.inference_mode():
        return torch.from_numpy(values).clone()


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "new": lambda a: torch.from_numpy(a.copy()),
    "parameters": lambda a: torch.nn.Parameter(torch.from_numpy(a)),
    "strided": strided,
    "transposed": lambda a: torch.from_numpy(np.array(a, order="F")),
    "inference": inference,
    "subclass": lambda a: torch.from_numpy(a).as_subclass(type("Sub", (torch.Tensor,), {})),
}


@pytest.mark.parametrize("of_torch", [False, True], ids=["NumPy", "torch"])
@pytest.mark.parametrize("form", [*FORMS, "one after another"])
def test_new_tensors_in_each_step(form: str, of_torch: bool) -> None:
    params, like = ([np.ones(shape, np.float32) for shape in SHAPES] for _ in range(2))
    tensors = [torch.from_numpy(p) for p in params]
    opt, other = ac.AdamW(tensors if of_torch else params, lr=0.1), ac.AdamW(like, lr=0.1)
    makes = list(FORMS.values())
    for t in range(8):
        make = FORMS.get(form, makes[t % len(makes)])
        values: list[Any] = gradients(t)
        grads = [make(g) for g in values]
        if t == 5:
            values[1] = grads[1] = None
        opt.step(grads)
        other.step(values)
    assert [p.tobytes() for p in params] == [p.tobytes() for p in like]
    assert opt.steps == other.steps


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_gradients_of_another_dtype(dtype: str) -> None:
    p, q = np.ones(5, np.float32), torch.ones(5)
    opt, other = ac.SGD([p], lr=0.5), ac.SGD([q], lr=0.5)
    for t in range(6):
        g = torch.full((5,), t + 0.5)
        opt.step([g.numpy()])
        other.step([g if t == 3 else g.to(getattr(torch, dtype))])
    assert q.numpy().tobytes() == p.tobytes()


def test_the_same_tensors_in_each_step() -> None:
    """What changes in place, by whatever way, is seen."""
    p, g = torch.zeros(4), torch.ones(4)
    opt = ac.SGD([p], lr=1.0)
    for _ in range(WARM):
        opt.step([g])
    g.mul_(2)
    opt.step([g])
    g.data = torch.full((4,), 3.0)
    opt.step([g])
    g.set_(torch.full((4,), 4.0))
    opt.step([g])
    g.data = torch.arange(8.0)[::2]
    opt.step([g])
    g.data = torch.ones(4, dtype=torch.float64)
    opt.step([g])
    assert (-p).tolist() == [WARM + 2 + 3 + 4 + 1 + k for k in (0, 2, 4, 6)]
    g.data = torch.ones(3)
    with pytest.raises(ValueError, match=r"^grads\[0\]: shape \(3,\) does not match params\[0\]"):
        opt.step([g])


def test_a_recognised_tensor_is_not_kept_alive() -> None:
    p, g = torch.zeros(4), torch.ones(4)
    opt = ac.SGD([p], lr=1.0)
    for _ in range(2 * WARM):
        opt.step([g])
    gone = weakref.ref(g)
    del g
    assert gone() is None
    opt.step([torch.ones(4)])
    assert (p == -2 * WARM - 1).all()


def test_an_object_where_a_recognised_one_was() -> None:
    """Python reuses the memory of objects, and PyTorch that of elements."""
    p = torch.zeros(64)
    opt = ac.SGD([p], lr=0.0)
    base = torch.ones(64)
    met = False
    for _ in range(50):
        g = base.view(64)
        for _ in range(WARM):
            opt.step([g])
        place = id(g)
        del g
        lazy = torch._neg_view(base)
        met |= id(lazy) == place
        with pytest.raises(ValueError, match=r"^grads\[0\]: .*negatives"):
            opt.step([lazy])
        del lazy
        if met:
            break
    assert met or os.environ.get("PYTHONMALLOC")


def mkldnn() -> Any:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no such tensors")
    return torch.ones(4).to_mkldnn()


class Wrapper(torch.Tensor):
    """Without memory of its own, as FakeTensor."""

    @staticmethod
    def __new__(cls, offset: int) -> Any:
        return torch.Tensor._make_wrapper_subclass(cls, (4,), strides=(1,), dtype=torch.float32, storage_offset=offset)

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return False  # as is_pinned()


def fake() -> Any:
    with torch._subclasses.FakeTensorMode():
        return torch.ones(8)[4:]


def freed() -> Any:
    whole = torch.ones(8)
    part = whole[4:]
    whole.untyped_storage().resize_(0)
    return part


COMPLEX = torch.ones(4, dtype=torch.complex64)
UNFIT: dict[str, tuple[Callable[[Any], Any], str]] = {
    "negative": (torch._neg_view, "negatives of its elements"),
    "negative part": (lambda _: COMPLEX.conj().imag, "negatives of its elements"),
    "complex": (lambda _: COMPLEX, "dtype complex64"),
    "conjugate": (lambda _: COMPLEX.conj(), "conjugates of its elements; pass a.resolve_conj"),
    "sparse": (lambda g: g.to_sparse(), "layout|support|sparse"),
    "quantised": (lambda g: torch.quantize_per_tensor(g, 0.1, 0, torch.qint8), "QInt types are not supported"),
    "meta": (lambda _: torch.ones(4, device="meta"), "meta"),
    "wrapper": (lambda _: Wrapper(0), "without memory"),
    "part of a wrapper": (lambda _: Wrapper(4), "no memory"),
    "freed": (lambda _: freed(), "no memory"),
    "zero": (lambda _: torch._efficientzerotensor(4), "without memory|storage"),
    "part of zero": (lambda _: torch._efficientzerotensor(8)[4:], "memory|storage"),
    "mkldnn": (lambda _: mkldnn(), "storage|layout"),
    "shape": (lambda _: torch.ones(5), r"shape \(5,\) does not match"),
    "integers": (lambda _: torch.ones(4, dtype=torch.int32), "dtype int32"),
}
if EXHAUSTIVE:
    UNFIT["fake"] = lambda _: fake(), "no memory"  # which loads half of PyTorch


@pytest.mark.parametrize("warm", [0, WARM], ids=["first", "later"])
@pytest.mark.parametrize("of_torch", [False, True], ids=["NumPy", "torch"])
@pytest.mark.parametrize("kind", UNFIT)
def test_unfit_tensors_are_refused_by_name(kind: str, of_torch: bool, warm: int) -> None:
    """Nothing has changed then, and the next step is as if nothing had been."""
    params = {name: np.zeros(4, np.float32) for name in "ab"}
    opt = ac.SGD({k: torch.from_numpy(p) for k, p in params.items()} if of_torch else params, lr=1.0)
    good = torch.ones(4)
    for _ in range(warm):
        opt.step({"a": good, "b": good})
    make, match = UNFIT[kind]
    with pytest.raises((TypeError, ValueError), match=rf"^grads\['b'\]: .*({match})"):
        opt.step({"a": torch.ones(4), "b": make(good)})
    assert all((p == -warm).all() for p in params.values())
    opt.step({"a": good, "b": torch.ones(4)})
    assert all((p == -warm - 1).all() for p in params.values())


@pytest.mark.parametrize("warm", [0, WARM], ids=["first", "later"])
def test_gradients_in_memory_that_is_written(warm: int) -> None:
    whole = torch.zeros(64)
    p, q = whole[8:16], torch.zeros(8)
    opt = ac.AdamW({"p": p, "q": q})
    for _ in range(warm):
        opt.step({"p": torch.ones(8), "q": torch.ones(8)})
    if not warm:
        opt.step({"p": whole[16:24], "q": None})
    before = whole.clone(), q.clone()
    state = torch.from_numpy(opt.state["q"]["exp_avg"])
    for bad in (p, p.detach(), p.data, whole[1:9], whole[15:23], whole[:32:2][2:10], whole[7:].view(-1)[:8], q, state):
        for _ in range(2):
            with pytest.raises(ValueError, match=r"^grads\['p'\]: shares memory with"):
                opt.step({"p": bad, "q": torch.ones(8)})
    assert torch.equal(whole, before[0])
    assert torch.equal(q, before[1])
    for good in (whole[:8], whole[16:24], whole[32::2][:8], whole[8:16].clone()):
        opt.step({"p": good, "q": None})


CHANGES = {
    "shape": lambda p: setattr(p, "data", p.data.view(2, 2)),
    "dtype": lambda p: setattr(p, "data", p.data.view(torch.int32)),
    "shorter": lambda p: setattr(p, "data", p.data[:2]),
    "strides": lambda p: setattr(p, "data", p.data.as_strided((4,), (0,))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_parameters_that_become_others_in_place(change: str) -> None:
    p = torch.zeros(4)
    opt = ac.SGD({"w": p}, lr=1.0)
    opt.step({"w": torch.ones(4)})
    was = p.data
    CHANGES[change](p)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^params\['w'\]: the array has been given another dtype"):
            opt.step({"w": torch.ones(4)})
    assert (was == -1).all()
    p.data = was
    opt.step({"w": torch.ones(4)})
    assert (was == -2).all()


def test_versions_follow_writes() -> None:
    params = [torch.nn.Parameter(torch.ones(3)) for _ in range(4)]
    opt = ac.SGD([*params, np.ones(3, np.float32)])
    for t in range(WARM):
        before = [p._version for p in params]
        grads = [torch.ones(3) for _ in range(5)]
        grads[t] = None
        opt.step(grads)
        assert [p._version - b for p, b in zip(params, before, strict=True)] == [int(k != t) for k in range(4)]
        assert all(g is None or g._version == 0 for g in grads)


@pytest.mark.parametrize("none", [True, False])
def test_backward_with_a_retained_graph_and_hooks(none: bool) -> None:
    torch.manual_seed(0)
    nets = [torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double() for _ in "ab"]
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        net[0].weight.register_hook(lambda grad: 2 * grad)
    ours = ac.SGD(list(nets[0].parameters()), lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(nets[1].parameters(), lr=0.1, momentum=0.9)
    x = torch.randn(5, 3, dtype=torch.float64)
    for _ in range(6):
        for net in nets:
            net.zero_grad(set_to_none=none)
            loss = net(x).square().mean()
            loss.backward(retain_graph=True)
            loss.backward()
        ours.step([p.grad for p in nets[0].parameters()])
        theirs.step()
    for p, q in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-12)


def test_code_that_runs_while_tensors_are_looked_at() -> None:
    """It changes a gradient that has been seen already; its memory is looked at when all code has run."""
    n = 3000
    grads = [torch.ones(n), torch.ones(n)]
    kept: list[Any] = []

    class Meddling(torch.overrides.TorchFunctionMode):
        calls = 0

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.calls += 1
            if args and args[0] is grads[1]:
                grads[0].set_(torch.full((n,), 5.0))
                kept.extend(torch.full((n,), 777.0) for _ in range(4))
            return function(*args, **(kwargs or {}))

    p = [np.zeros(n, np.float32) for _ in grads]
    opt = ac.SGD(p, lr=1.0)
    with Meddling() as mode:
        opt.step(grads)
    assert mode.calls
    assert (p[0] == -5).all()
    assert (p[1] == -1).all()


def test_many_tensors() -> None:
    """Enough for several threads, of which only one may ask PyTorch."""
    n = 3000
    p, q = [np.zeros(3, np.float32) for _ in range(n)], [np.zeros(3, np.float32) for _ in range(n)]
    opt, other = ac.SGD(p, lr=1.0), ac.SGD(q, lr=1.0)
    kept = [torch.full((3,), float(k)) for k in range(n)]
    for t in range(6):
        mixed = [g if t < 4 or k % 2 else g.numpy() for k, g in enumerate(kept)]
        opt.step([g.clone() for g in kept] if t == 3 else mixed)
        other.step([g.numpy() for g in kept])
    gc.collect()
    assert np.array_equal(p, q)


@pytest.mark.skipif(OLD in os.environ, reason="this is that run")
def test_a_pytorch_without_the_interface() -> None:
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    selected = [] if EXHAUSTIVE else ["-k", "same or code or strided or of_zero or negative"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ROOT, *selected]
    done = subprocess.run(
        [*command, TESTS / "arrays" / "test_torch_gradients.py"],
        env={**os.environ, OLD: "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]


def test_a_known_gradient_that_becomes_a_lazy_view() -> None:
    """`g.data = x` gives an object that was passed before other memory, which may be to be read otherwise."""
    weights = [np.ones(3), np.ones(3)]
    optimizer = ac.SGD(weights, lr=0.5)
    known = [torch.ones(3, dtype=torch.float64) for _ in weights]
    for _ in range(6):
        optimizer.step(known)
    known[1].data = torch._neg_view(torch.full((3,), 2.0, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"^grads\[1\]: the tensor is a lazy negative view"):
        optimizer.step(known)
    assert [w.tolist() for w in weights] == [[-2.0] * 3] * 2
    known[1].data = torch.full((3,), 2.0, dtype=torch.float64)
    optimizer.step(known)
    assert weights[1].tolist() == [-3.0] * 3
    one = ac.SGD(np.ones(3, np.complex128), lr=0.5)
    grad = torch.full((3,), 1 + 2j, dtype=torch.complex128)
    for _ in range(6):
        one.step(grad)
    grad.data = grad.data.conj()
    with pytest.raises(ValueError, match=r"^grads: the tensor is a lazy conjugate"):
        one.step(grad)
