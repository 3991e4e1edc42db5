"""Files have everything, bit for bit, and the safetensors library reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file

import adamcore as ac
from adamcore import schedules
from adamcore._files import writing
from files import gradients, header_of, small, varied, whole
from helpers import everything

NAN = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0x80000000], np.uint32).view(np.float32)


@pytest.mark.parametrize("background", [False, True])
def test_everything_comes_back(tmp_path: Path, background: bool) -> None:
    params, old = varied(steps=5)
    handle = ac.save(tmp_path / "run.safetensors", old, background=background)
    if background:
        handle.wait()
    others, new = varied()
    for p in others.values():
        p[...] = 0
    assert ac.load(tmp_path / "run.safetensors", new) == {}
    assert whole(new) == whole(old)
    for seed in range(3):
        old.step(gradients(params, seed))
        new.step(gradients(others, seed))
    assert whole(new) == whole(old)


def test_the_official_library_reads_it(tmp_path: Path) -> None:
    params, optimizer = varied(steps=3)
    path = tmp_path / "run.safetensors"
    optimizer.save(path)
    found = dict(safetensors.deserialize(path.read_bytes()))
    names = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64"}
    expected = {f"param/{name}/value": p for name, p in params.items()}
    for name in params:
        expected.update({f"state/{name}/{slot}": array for slot, array in optimizer.state[name].items()})
    assert {key for key in found if not key.startswith("window/")} == set(expected)
    for key, array in expected.items():
        pairs = array.dtype == np.complex128
        assert found[key]["dtype"] == ("F64" if pairs else names[array.dtype.name]), key
        assert found[key]["shape"] == [*array.shape, *([2] if pairs else [])]
        assert bytes(found[key]["data"]) == array.tobytes(), key
    for key, entry in found.items():
        part, rest = key.split("/", 1)
        name, slot = rest.rsplit("/", 1)
        assert part in ("param", "state", "window")
        assert name in params
        assert slot in ("value", "sum", *optimizer.state[name]), entry


def test_its_numpy_front_end_reads_it_too(tmp_path: Path) -> None:
    w, optimizer = small()
    optimizer.step({"w": np.ones_like(w)})
    optimizer.save(tmp_path / "run.safetensors")
    found = load_file(tmp_path / "run.safetensors")
    assert set(found) == {"param/w/value", "state/w/exp_avg", "state/w/exp_avg_sq"}
    assert np.array_equal(found["param/w/value"], w)
    with safetensors.safe_open(tmp_path / "run.safetensors", "numpy") as file:
        assert set(file.metadata()) == {"crc32", "arrays", "adamcore"}


def test_payloads_of_nan_and_signs_of_zero(tmp_path: Path) -> None:
    w = NAN.copy()
    optimizer = ac.SGD({"w": w})
    optimizer.save(tmp_path / "run")
    w[:] = 1
    optimizer.load(tmp_path / "run")
    assert w.tobytes() == NAN.tobytes()


@pytest.mark.parametrize("master", [None, "float32", "remainder"])
def test_what_is_beside_half_precision(tmp_path: Path, master: Any) -> None:
    rounding = {"rounding": "stochastic", "seed": 3} if master is None else {}
    precision = ac.Precision(master=master, state="bfloat16", **rounding)
    pairs = []
    for _ in range(2):
        w = np.linspace(-1, 1, 300).astype(ml_dtypes.bfloat16)
        pairs.append((w, ac.AdamW({"w": w}, lr=0.01, precision=precision)))
    (w, old), (_, new) = pairs
    for step in range(4):
        old.step({"w": np.cos(w.astype(np.float32) + step)})
    old.save(tmp_path / "run")
    new.load(tmp_path / "run")
    for step in range(4):
        for array, optimizer in pairs:
            optimizer.step({"w": np.sin(array.astype(np.float32) + step)})
    assert everything(new) == everything(old)


def test_parts(tmp_path: Path) -> None:
    params, optimizer = varied(steps=2)
    other_w, other = small()
    other.step({"w": np.ones_like(other_w)})
    scaler, stopping = ac.LossScaler(256.0), ac.EarlyStopping("min", 5)
    stopping.observe(0.25, step=2)
    arrays = {
        "mask": np.array([True, False]),
        "counts": [np.arange(3), np.arange(4, dtype=np.uint8)[::-2], (np.float16(1) * np.ones((2, 2), np.float16),)],
        0: np.ones(2, ml_dtypes.float8_e5m2),
        "big": np.arange(5, dtype=">i4"),
    }
    alone = np.arange(6).reshape(2, 3)
    path = tmp_path / "run"
    ac.save(path, optimizer, scaler=scaler, stopping=stopping, other=other, arrays=arrays, alone=alone)

    new_params, new = varied()
    new_w, new_other = small()
    new_scaler, new_stopping = ac.LossScaler(), ac.EarlyStopping("min", 5)
    new_arrays = {
        "mask": np.zeros(2, bool),
        "counts": [np.zeros(3, int), np.zeros(2, np.uint8), (np.zeros((2, 2), np.float16),)],
        0: np.zeros(2, ml_dtypes.float8_e5m2),
        "big": np.zeros(5, np.int32),
    }
    new_alone = np.zeros((3, 2), int).T
    ac.load(path, new, scaler=new_scaler, stopping=new_stopping, other=new_other, arrays=new_arrays, alone=new_alone)
    assert whole(new) == whole(optimizer)
    assert whole(new_other) == whole(other)
    assert new_scaler.state_dict() == scaler.state_dict()
    assert (new_stopping.best, new_stopping.best_step) == (0.25, 2)
    assert repr(new_arrays).replace(">i4", "int32") == repr({**arrays, "big": arrays["big"].astype(np.int32)})
    assert np.array_equal(new_alone, alone)
    assert params.keys() == new_params.keys()
    assert np.array_equal(new_w, other_w)


def test_extra(tmp_path: Path) -> None:
    _, optimizer = small()
    kinds = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
    generators = [np.random.Generator(getattr(np.random, kind)(3)) for kind in kinds]
    for generator in generators:
        generator.integers(0, 9, dtype=np.uint32)
    value = {
        "epoch": 3,
        "loss": [float("inf"), -float("inf"), 0.1, np.float32(0.5), np.int64(7), True, None],
        (1, "x"): ("ü", {"$array": 1}, []),
        "nothing": {},
        "rngs": generators,
        "order": np.array([3, 1, 2]),
    }
    optimizer.save(tmp_path / "run", extra=value)
    found = optimizer.load(tmp_path / "run")
    assert found["order"].tolist() == [3, 1, 2]
    for old, new in zip(generators, found["rngs"], strict=True):
        assert old.random(9).tolist() == new.random(9).tolist()
        assert old.integers(0, 9, 5, dtype=np.uint32).tolist() == new.integers(0, 9, 5, dtype=np.uint32).tolist()
        assert old.bit_generator.seed_seq.spawn(1)[0].generate_state(2).tolist() == (
            new.bit_generator.seed_seq.spawn(1)[0].generate_state(2).tolist()
        )
    for key in ("rngs", "order"):
        del value[key], found[key]
    assert found == value
    optimizer.save(tmp_path / "run", extra=float("nan"))
    assert np.isnan(optimizer.load(tmp_path / "run"))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, object()]}, r"extra\['a'\]\['1'\]: object cannot be saved"),
        (np.datetime64("2020-01-01"), "datetime64 cannot be saved"),
        (np.array([object()]), "dtype object cannot be saved"),
        (np.ma.array([1, 2], mask=[0, 1]), "masked arrays cannot be saved"),
        (np.zeros(2, "i4,f4"), "cannot be saved"),
        (b"bytes", "bytes cannot be saved"),
        (np.longdouble(1), "longdouble cannot be saved"),
        (np.zeros(1, np.longdouble), "cannot be saved"),
    ],
)
def test_what_cannot_be_saved(tmp_path: Path, value: Any, place: str) -> None:
    """It is named, nothing is written, and the optimizer can go on."""
    w, optimizer = small()
    with pytest.raises(TypeError, match=place):
        optimizer.save(tmp_path / "new" / "run", extra=value)
    assert not list(tmp_path.iterdir())
    optimizer.step({"w": np.ones_like(w)})


def test_circles_cannot_be_saved(tmp_path: Path) -> None:
    _, optimizer = small()
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="contains itself"):
        optimizer.save(tmp_path / "run", extra=circle)
    with pytest.raises(ValueError, match="contains itself"):
        ac.save(tmp_path / "run", optimizer, circle=circle)


def test_large_numbers(tmp_path: Path) -> None:
    _, optimizer = small()
    optimizer.save(tmp_path / "run", extra=[2**8000, -(2**8000)])
    assert optimizer.load(tmp_path / "run") == [2**8000, -(2**8000)]
    with pytest.raises(ValueError, match=r"extra\['0'\]: the number has more than 8192 bits"):
        optimizer.save(tmp_path / "run", extra=[10**4400])


def test_many_axes(tmp_path: Path) -> None:
    """What could not be read is not written in the place of what can."""
    _, optimizer = small()
    optimizer.save(tmp_path / "run", extra=np.ones((1,) * 32))
    assert optimizer.load(tmp_path / "run").ndim == 32
    with pytest.raises(ValueError, match="extra: arrays with more than 32 axes"):
        optimizer.save(tmp_path / "run", extra=np.ones((1,) * 32, np.complex128))
    assert optimizer.load(tmp_path / "run").ndim == 32


def test_halves_of_characters(tmp_path: Path) -> None:
    """They are no text in other libraries, which read the file all the same."""
    _, optimizer = small()
    ac.save(tmp_path / "run", optimizer, arrays={"\ud800": np.ones(2)}, extra="\udfff")
    other = {"\ud800": np.zeros(2)}
    assert ac.load(tmp_path / "run", optimizer, arrays=other) == "\udfff"
    assert other["\ud800"].tolist() == [1, 1]
    assert "arrays/\\ud800/value" in load_file(tmp_path / "run")


def test_arrays_that_have_been_made_read_only(tmp_path: Path) -> None:
    w, optimizer = small()
    optimizer.save(tmp_path / "run")
    w += 1
    before = whole(optimizer)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizer.load(tmp_path / "run")
    assert whole(optimizer) == before
    optimizer.save(tmp_path / "run")


@pytest.mark.parametrize("value", [3, "text", object(), {"a": 1}, [np.ones(2), None]])
def test_what_is_no_part(tmp_path: Path, value: Any) -> None:
    _, optimizer = small()
    with pytest.raises(TypeError, match=r"save: mine.*expected an"):
        ac.save(tmp_path / "run", optimizer, mine=value)
    for name in ("state", "param", "strict", "schedules", "which", "a/b"):
        with pytest.raises(ValueError, match=f"a part cannot be named '{name}'"):
            ac.save(tmp_path / "run", optimizer, **{name: np.ones(2)})
    with pytest.raises(TypeError, match="opt must be an optimizer"):
        ac.save(tmp_path / "run", value)
    with pytest.raises(TypeError, match="opt must be an optimizer"):
        ac.load(tmp_path / "run", value)


def test_parameters_that_have_been_replaced(tmp_path: Path) -> None:
    """As in a step, the optimizer would go on with the former array."""
    params = {"w": np.ones(3)}
    optimizer = ac.SGD(params)
    optimizer.save(tmp_path / "run")
    params["w"] = np.ones(3)
    for call in (optimizer.save, optimizer.load):
        with pytest.raises(ValueError, match="w"):
            call(tmp_path / "run")


def test_not_within_a_swap(tmp_path: Path) -> None:
    w, optimizer = small()
    ema = ac.EMA(optimizer)
    optimizer.step({"w": np.ones_like(w)})
    optimizer.save(tmp_path / "run")
    with ema.swap():
        for call in (optimizer.save, optimizer.load):
            with pytest.raises(RuntimeError, match=r"swap\(\)"):
                call(tmp_path / "run")
    optimizer.load(tmp_path / "run")


def test_not_within_a_schedule(tmp_path: Path) -> None:
    w = np.ones(3)
    errors = []

    def rate(_: int) -> float:
        for call in (optimizer.save, optimizer.load):
            with pytest.raises(RuntimeError, match="in use") as error:
                call(tmp_path / "run")
            errors.append(error)
        return 0.1

    optimizer = ac.SGD({"w": w}, lr=0.1)
    optimizer.save(tmp_path / "run")
    optimizer.param_groups[0]["lr"] = rate
    optimizer.step({"w": np.ones(3)})
    assert len(errors) == 2


def test_nobody_uses_it_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread's step, or that of a schedule's to_dict(), would be in one half of the file."""
    w, optimizer = small()

    def step(*_: Any) -> None:
        optimizer.step({"w": np.ones_like(w)})

    monkeypatch.setattr(writing, "_write_arrays", step)
    with pytest.raises(RuntimeError, match="being saved"):
        optimizer.save(tmp_path / "run")
    step()


def test_parts_that_have_the_optimizer(tmp_path: Path) -> None:
    """Such as a trainer, whose state dict has that of its optimizer."""
    w, optimizer = small()

    class Trainer:
        def state_dict(self) -> dict[str, Any]:
            return {"epoch": 3, "optimizer": optimizer.state_dict()}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            optimizer.load_state_dict(state["optimizer"])

    ac.save(tmp_path / "run", optimizer, trainer=Trainer())
    before = whole(optimizer)
    optimizer.step({"w": np.ones_like(w)})
    ac.load(tmp_path / "run", optimizer, trainer=Trainer())
    assert whole(optimizer) == before
    with pytest.raises(ValueError, match="the same Adam twice"):
        ac.save(tmp_path / "run", optimizer, other=optimizer)


def test_schedules_come_back_without_code(tmp_path: Path) -> None:
    w = np.ones(3)
    plateau = schedules.ReduceOnPlateau(0.1, patience=1)
    old = ac.SGD({"w": w}, lr=plateau)
    for step in range(4):
        old.step({"w": np.ones(3)})
        plateau.observe(1.0, step=step + 1)
    old.save(tmp_path / "run")
    new = ac.SGD({"w": np.ones(3)}, lr=0.5)
    new.load(tmp_path / "run")
    assert new.current() == old.current()
    assert new.param_groups[0]["lr"] == plateau
    other = ac.SGD({"w": np.ones(3)}, lr=schedules.Constant(0.5))
    with pytest.raises(ValueError, match="schedules='own'"):
        other.load(tmp_path / "run")
    other.load(tmp_path / "run", schedules="own")
    assert other.current()["lr"] == 0.5


def test_modes_of_schedule_free(tmp_path: Path) -> None:
    def make() -> tuple[np.ndarray, ac.ScheduleFreeAdamW]:
        w = np.linspace(0, 1, 9)
        return w, ac.ScheduleFreeAdamW({"w": w})

    w, old = make()
    for _ in range(3):
        old.step({"w": np.cos(w)})
    old.eval()
    old.save(tmp_path / "run")
    v, new = make()
    new.load(tmp_path / "run")
    assert new.mode == "eval"
    for optimizer in (old, new):
        optimizer.train()
    assert everything(old) == everything(new)
    assert np.array_equal(v, w)


def test_equal_contents_are_equal_files(tmp_path: Path) -> None:
    """Nothing in a file depends on when or where it was written."""
    files = []
    for folder in ("a", "b"):
        _, optimizer = varied(steps=2)
        optimizer.save(tmp_path / folder / "run", extra={"x": 1})
        files.append((tmp_path / folder / "run").read_bytes())
    assert files[0] == files[1]
    assert header_of(files[0])["__metadata__"].keys() == {"crc32", "arrays", "adamcore"}
