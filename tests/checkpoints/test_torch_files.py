"""PyTorch's tensors as parameters and in parts of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import adamcore as ac

torch = pytest.importorskip("torch")


def test_parameters_that_are_tensors(tmp_path: Path) -> None:
    """Of every dtype, and PyTorch learns that they have been written."""
    kinds = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64)
    params = {str(kind): torch.linspace(-1, 1, 30).to(kind).reshape(5, 6).T for kind in kinds}
    optimizer = ac.Adam(params)
    optimizer.step({name: p.clone() for name, p in params.items()})
    before = {name: p.clone() for name, p in params.items()}
    optimizer.save(tmp_path / "run")
    versions = {}
    for name, p in params.items():
        p.zero_()
        versions[name] = p._version
    optimizer.load(tmp_path / "run")
    for name, p in params.items():
        assert torch.equal(p, before[name])
        assert p._version > versions[name]


@pytest.mark.parametrize("way", ["set_", "data"])
def test_tensors_that_have_moved(tmp_path: Path, way: str) -> None:
    """Their former memory may belong to somebody else: neither is it read, nor written."""
    w = torch.ones(1000)
    optimizer = ac.SGD([w])
    optimizer.save(tmp_path / "run")
    if way == "data":
        w.data = torch.zeros(1000)
    else:
        w.set_(torch.zeros(1000))
    for call in (optimizer.load, optimizer.save):
        with pytest.raises(ValueError, match="has moved"):
            call(tmp_path / "run")
    with pytest.raises(ValueError, match="has moved"):
        optimizer._native.restore(
            [{}], optimizer.state_dict()["state"], 0, {}, np.asarray, ["sgd"], ["sgd"], False, [], {}, None,
            {"0": np.ones(1000, np.float32)},
        )  # fmt: skip
    assert not w.any()


def test_modules_and_tensors_in_parts(tmp_path: Path) -> None:
    """They come back as tensors, with their bits."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    model(torch.randn(8, 3))
    w = np.ones(3)
    optimizer = ac.Adam({"w": w})
    tensors = {"half": torch.randn(7).bfloat16(), "f8": torch.randn(3).to(torch.float8_e5m2), "b": torch.tensor(True)}
    path = tmp_path / "run"
    rng = torch.get_rng_state()
    ac.save(path, optimizer, model=model, tensors=tensors, extra={"rng": rng, **tensors})
    other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    into = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    extra = ac.load(path, optimizer, model=other, tensors=into)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    assert torch.equal(extra["rng"], rng)
    for found in (into, extra):
        assert all(torch.equal(found[name].float(), tensors[name].float()) for name in tensors)
        assert all(found[name].dtype == tensors[name].dtype for name in tensors)


def test_a_module_that_does_not_fit_stays_as_it_is(tmp_path: Path) -> None:
    optimizer = ac.Adam({"w": np.ones(3)})
    ac.save(tmp_path / "run", optimizer, model=torch.nn.Linear(2, 2))
    other = torch.nn.Linear(2, 2)
    other.bias = torch.nn.Parameter(torch.zeros(3))
    before = other.weight.detach().clone()
    for opt in (optimizer, None):
        with pytest.raises(RuntimeError, match="size mismatch"):
            ac.load(tmp_path / "run", opt, model=other)
        assert torch.equal(other.weight, before)


def test_tensors_that_cannot_be_saved_or_written(tmp_path: Path) -> None:
    optimizer = ac.Adam({"w": np.ones(3)})
    for tensor in (torch.ones(3).to_sparse(), torch.ones(3, device="meta")):
        with pytest.raises(TypeError, match=r"extra\['t'\]: this array cannot be saved"):
            optimizer.save(tmp_path / "run", extra={"t": tensor})
    ac.save(tmp_path / "run", optimizer, t=torch.ones(3))
    with pytest.raises(ValueError, match="t: several elements of the array are in the same memory"):
        ac.load(tmp_path / "run", optimizer, t=torch.ones(1).expand(3))
