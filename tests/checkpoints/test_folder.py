"""`Checkpoints`: which files of a folder are kept and loaded."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from files import altered, saved, small, whole


def steps_of(folder: Path) -> list[int]:
    return sorted(int(path.name[5:15]) for path in folder.iterdir() if path.name.startswith("step-"))


@pytest.mark.parametrize("background", [False, True])
def test_what_is_kept(tmp_path: Path, background: bool) -> None:
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path / "run", keep=2, best=2)
    assert checkpoints.load(optimizer) is None
    assert checkpoints.load(optimizer, which="best") is None
    assert not (tmp_path / "run").exists()
    metrics = [5.0, 1.0, 4.0, 0.5, float("nan"), None, 0.75, 9.0, 3.0]
    for step, metric in enumerate(metrics):
        path = checkpoints.save(step, optimizer, metric, extra=step, background=background)
        assert path == tmp_path / "run" / f"step-{step:010d}.safetensors"
    if background:
        assert checkpoints.load(optimizer) == 8
        checkpoints.save(8, optimizer, 3.0, extra=8)
    assert steps_of(tmp_path / "run") == [3, 6, 7, 8]
    assert [int(path.name[5:15]) for path in checkpoints.paths] == [8, 7, 6, 3]
    assert checkpoints.load(optimizer) == 8
    assert checkpoints.load(optimizer, which="best") == 3
    again = ac.Checkpoints(tmp_path / "run", keep=1, best=1)  # as a new process does
    assert again.load(optimizer, which="best") == 3
    again.save(20, optimizer, metric=0.1, extra=20)
    assert steps_of(tmp_path / "run") == [20]


def test_large_metrics_are_better(tmp_path: Path) -> None:
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path, keep=1, best=1, mode="max")
    for step, metric in enumerate([0.1, 0.9, 0.9, 0.5, float("-inf")]):
        checkpoints.save(step, optimizer, np.float32(metric), extra=step)
    assert steps_of(tmp_path) == [1, 4]
    assert checkpoints.load(optimizer, which="best") == 1


def test_every_and_all(tmp_path: Path) -> None:
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path, keep=None, every=5)
    saved_paths = [checkpoints.save(step, optimizer) for step in range(31)]
    assert sum(path is not None for path in saved_paths) == 7
    assert steps_of(tmp_path) == [0, 5, 10, 15, 20, 25, 30]
    assert checkpoints.load(optimizer) == {}


def test_parts_and_options_go_through(tmp_path: Path) -> None:
    w, optimizer = small()
    scaler = ac.LossScaler(16.0)
    checkpoints = ac.Checkpoints(tmp_path)
    checkpoints.save(1, optimizer, scaler=scaler, extra={"a": 1})
    before = whole(optimizer)
    scaler.scale = 2.0
    w += 1
    with pytest.raises(ValueError, match="the file has a part 'scaler'"):
        checkpoints.load(optimizer)
    assert checkpoints.load(optimizer, scaler=scaler) == {"a": 1}
    assert scaler.scale == 16.0
    assert whole(optimizer) == before
    assert checkpoints.load(optimizer, strict=False) == {"a": 1}


def test_torn_and_foreign_files_are_left_out_and_named(tmp_path: Path) -> None:
    w, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path)
    for step in (1, 2, 3):
        w[:] = step
        checkpoints.save(step, optimizer, metric=-step, extra=step)
    newest = tmp_path / "step-0000000003.safetensors"
    newest.write_bytes(newest.read_bytes()[:-5])
    (tmp_path / "step-0000000007.safetensors").write_bytes(b"foreign")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    with pytest.warns(RuntimeWarning) as caught:
        assert checkpoints.load(optimizer) == 2
    assert w[0] == 2
    assert [re.search(r"step-0+(\d)", str(each.message))[1] for each in caught] == ["7", "3"]  # type: ignore[index]
    assert all(each.filename == __file__ for each in caught), "the warning shows the caller's line"
    with pytest.warns(RuntimeWarning) as caught:
        assert checkpoints.load(optimizer, which="best") == 2
    assert len(caught) == 2
    ac.Checkpoints(tmp_path, keep=1).save(4, optimizer, metric=-8.0, extra=4)
    assert steps_of(tmp_path) == [3, 4, 7], "what is damaged is not removed, and takes nobody's place"
    assert (tmp_path / "model.safetensors").exists()


def test_after_going_back(tmp_path: Path) -> None:
    """The latest checkpoint is the one that was saved last, also if earlier ones have later steps."""
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path, keep=2, best=0)
    for step in (100, 200, 300):
        checkpoints.save(step, optimizer, extra=step)
    checkpoints.save(210, optimizer, extra=210)
    assert checkpoints.load(optimizer) == 210
    assert steps_of(tmp_path) == [210, 300]
    again = ac.Checkpoints(tmp_path, keep=2, best=0)
    again.save(220, optimizer, extra=220)
    assert steps_of(tmp_path) == [210, 220]
    assert again.load(optimizer) == 220


def test_what_is_no_file_is_left_out_and_named(tmp_path: Path) -> None:
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path, keep=1)
    (tmp_path / "step-0000000009.safetensors").mkdir()
    (tmp_path / "step-0000000008.safetensors").symlink_to(tmp_path / "step-0000000008.safetensors")
    os.mkfifo(tmp_path / "step-0000000007.safetensors")
    for step in range(3):
        checkpoints.save(step, optimizer, extra=step)
    with pytest.warns(RuntimeWarning) as caught:
        assert checkpoints.load(optimizer) == 2
    assert [re.search(r"step-0+(\d)", str(each.message))[1] for each in caught] == ["9", "8", "7"]  # type: ignore[index]


def test_errors_of_the_background_are_raised_once(tmp_path: Path) -> None:
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path / "run", keep=1)
    checkpoints.save(1, optimizer, background=True)
    checkpoints.wait()
    (tmp_path / "file").write_text("")
    checkpoints.folder = tmp_path / "file"
    checkpoints.save(2, optimizer, background=True)
    with pytest.raises(NotADirectoryError):
        checkpoints.wait()
    checkpoints.wait()
    checkpoints.folder = tmp_path / "run"
    checkpoints.save(3, optimizer, background=True)
    checkpoints.wait()
    assert steps_of(tmp_path / "run") == [3]


def test_a_checkpoint_that_does_not_fit_raises(tmp_path: Path) -> None:
    """It is whole, so leaving it out would go on from an old one in silence."""
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path)
    checkpoints.save(1, optimizer)
    with pytest.raises(ValueError, match="'v'"):
        checkpoints.load(ac.Adam({"v": np.ones(3)}))


def test_errors_of_parts_are_no_damage(tmp_path: Path) -> None:
    """Also those that a damaged or missing file has: an older checkpoint would be loaded in silence."""

    class Part:
        def __init__(self, error: Exception | None) -> None:
            self.error = error

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, _: dict[str, Any]) -> None:
            error, self.error = self.error, None
            if error is not None:
                raise error

    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, optimizer, part=Part(None), extra=step)
    for error in (FileNotFoundError("mine"), ac.CheckpointError("mine")):
        with pytest.raises(type(error), match="mine"):
            checkpoints.load(optimizer, part=Part(error))


def test_what_a_killed_process_has_left_is_removed(tmp_path: Path) -> None:
    """Whatever step it was saving. Other files are left alone."""
    _, optimizer = small()
    left = tmp_path / ".step-0000000007.safetensors.0123456789ab.tmp"
    left.write_bytes(b"half")
    others = [tmp_path / ".step-7.safetensors.0123456789ab.tmp", tmp_path / "step-0000000007.safetensors.x.tmp"]
    for other in others:
        other.write_bytes(b"mine")
    ac.Checkpoints(tmp_path).save(8, optimizer)
    assert not left.exists()
    assert all(other.exists() for other in others)


def test_the_file_just_saved_is_kept(tmp_path: Path) -> None:
    """Whatever order other files claim to have."""
    path = tmp_path / "step-0000000001.safetensors"
    _, optimizer, data = saved(path)
    for order in ("9" * 18, "9" * 30):
        path.write_bytes(altered(data, lambda header, order=order: header["__metadata__"].update(order=order)))
        ac.Checkpoints(tmp_path, keep=1, best=0).save(3, optimizer)
        assert (tmp_path / "step-0000000003.safetensors").exists()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    _, optimizer = small()
    (tmp_path / "file").write_text("")
    checkpoints = ac.Checkpoints(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        checkpoints.load(optimizer)
    with pytest.raises(NotADirectoryError):
        checkpoints.save(1, optimizer)


def test_nothing_is_removed_if_a_save_fails(tmp_path: Path) -> None:
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path, keep=1, best=0)
    checkpoints.save(1, optimizer)
    with pytest.raises(TypeError):
        checkpoints.save(2, optimizer, extra=object())
    assert steps_of(tmp_path) == [1]
    checkpoints.save(2, optimizer, background=True)
    assert checkpoints.load(optimizer) == {}
    assert 2 in steps_of(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(keep=0), "keep must be an int >= 1 or None"),
        (dict(keep=1.5), "keep must be"),
        (dict(best=-1), "best must be an int >= 0"),
        (dict(every=0), "every must be an int >= 1 or None"),
        (dict(mode="least"), "mode must be 'min' or 'max'"),
    ],
)
def test_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"Checkpoints: {message}"):
        ac.Checkpoints(tmp_path, **arguments)


def test_arguments_of_calls(tmp_path: Path) -> None:
    _, optimizer = small()
    checkpoints = ac.Checkpoints(tmp_path)
    for step in (-1, 1.5, "1", 10**19):
        with pytest.raises((TypeError, ValueError), match="Checkpoints: step must be"):
            checkpoints.save(step, optimizer)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Checkpoints: metric must be"):
        checkpoints.save(1, optimizer, metric="good")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="which must be"):
        checkpoints.load(optimizer, which="last")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    checkpoints.save(10**15, optimizer)
    checkpoints.save(3, optimizer)
    assert [path.name[5:] for path in checkpoints.paths] == ["0000000003.safetensors", f"{10**15}.safetensors"]


@pytest.mark.parametrize("text", ["good", "0x1.0p+999999", "", "1e3", "nan"])
def test_metrics_with_a_text_that_is_none(tmp_path: Path, text: str) -> None:
    """What somebody else has written there is no metric."""
    path = tmp_path / "step-0000000001.safetensors"
    _, optimizer, data = saved(path)
    path.write_bytes(altered(data, lambda header: header["__metadata__"].update(metric=text, order=text)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ac.Checkpoints(tmp_path).load(optimizer, which="best") is None
        assert ac.Checkpoints(tmp_path).load(optimizer) == {}
