"""`save` and `load`: an optimizer, its parameters and what belongs to them in one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore._checkpoints.background import BackgroundSave, finish, settle
from adamcore._checkpoints.content import Content
from adamcore._checkpoints.draft import TEXT, Draft, leave_block
from adamcore._checkpoints.parts import (
    is_optimizer,
    loans,
    overriding_state_dict,
    require_names,
    require_optimizer,
    saved_optimizer,
    state_of,
)
from adamcore._checkpoints.steps import Step, run, step_for_optimizer, step_for_part
from adamcore._files.errors import CheckpointError
from adamcore._files.reading import ArrayFile
from adamcore._files.writing import write
from adamcore._state_dicts.loaded_schedules import Choice

StrPath = str | os.PathLike[str]


def save(
    path: StrPath,
    opt: Any,
    *,
    extra: Any = None,
    background: bool = False,
    **parts: Any,
) -> BackgroundSave | None:
    """Save an optimizer with its parameters, and other parts of a program, in one file.

    The file has everything that a run needs to go on with the same bits: parameters, state, hyper-parameters,
    schedules, averages, gradients that have been accumulated, and what guards remember.

    A file at `path` is replaced as a whole, when the new one is on the disk. If the process is killed or the machine
    stops at any moment, or the disk is full, there is the old file or the new one. Folders that are missing are made.

    Parameters
    ----------
    path : str or path
        The file. Its format is safetensors.
    opt : Optimizer
        The optimizer. Its parameters are saved with it.
    extra : None, number, text, list, tuple, dict, array or numpy.random.Generator
        What `load` is to return, nested in any way. There are no pickles: other objects raise an error.
    background : bool
        Whether to copy everything first and write the file in a thread. This takes as much memory as what is saved,
        which is kept for the next save in the background. The next `save` waits for the thread, and raises its error if
        there was one.
    **parts
        Further parts by name: objects with ``state_dict`` and ``load_state_dict``, such as a `LossScaler`,
        `EarlyStopping` or another optimizer, whose parameters are saved too; and arrays, also in lists and dicts.

    Returns
    -------
    None or BackgroundSave
        With `background`, an object whose ``wait()`` returns when the file has been written, or raises the error.

    Raises
    ------
    TypeError, ValueError
        If something cannot be saved. The message says where it is.
    RuntimeError
        If an optimizer is in use by another thread, or within ``swap()`` of an average.
    OSError
        If the file cannot be written. The old file is as it was.

    Notes
    -----
    Arrays have the keys ``part/name/slot``, such as "param/w/value" and "state/w/exp_avg". Names may contain "/". All
    dtypes and bits are kept, also those of NaN. A complex128 array is a float64 array with a last axis of length 2.

    Examples
    --------
    >>> import adamcore as ac, numpy as np, tempfile
    >>> w, rng = np.zeros(3), np.random.default_rng(0)
    >>> opt = ac.Adam({"w": w}, lr=0.1)
    >>> info = opt.step({"w": np.ones(3)})
    >>> folder = tempfile.TemporaryDirectory()
    >>> ac.save(f"{folder.name}/run.safetensors", opt, extra={"epoch": 3, "rng": rng})
    >>> v = np.zeros(3)
    >>> again = ac.Adam({"w": v})
    >>> extra = ac.load(f"{folder.name}/run.safetensors", again)
    >>> extra["epoch"], bool((v == w).all()), again.steps["w"], again.current()["lr"]
    (3, True, 1, 0.1)
    >>> extra["rng"].random() == rng.random()
    True
    >>> folder.cleanup()
    """
    return save_with_notes(path, opt, {}, extra=extra, background=background, parts=parts)


def save_with_notes(
    path: StrPath, opt: Any, notes: Mapping[str, str], *, extra: Any, background: bool, parts: Mapping[str, Any]
) -> BackgroundSave | None:
    """Save as save() does, with further texts in the file's metadata."""
    require_optimizer(opt, "save")
    require_names(parts, "save")
    target = Path(path).absolute()  # as the folder is now
    finish()
    draft = Draft(str(target))
    states = {name: state_of(part, name) for name, part in parts.items()}  # which may look at the optimizer
    optimizers = {name: part for name, part in parts.items() if is_optimizer(part)}
    overriding = {name: overriding_state_dict(part) for name, part in optimizers.items()}
    own_overriding = overriding_state_dict(opt)
    with loans([opt, *optimizers.values()]) as (of_opt, *of_parts):
        borrowed = dict(zip(optimizers, of_parts, strict=True))

        def encoded(name: str, kind: str, value: Any) -> Any:
            if kind == "optimizer":
                return saved_optimizer(value, borrowed[name], overriding[name], draft, name)
            return draft.encoded(value, f"save: {name}", name)

        content = {
            "optimizer": saved_optimizer(opt, of_opt, own_overriding, draft, ""),
            "parts": {
                name: {"kind": kind, "content": encoded(name, kind, value)} for name, (kind, value) in states.items()
            },
            "extra": draft.encoded({} if extra is None else extra, "extra", "extra"),
        }
        texts = {TEXT: draft.text(content), **notes}
        if not background:
            write(target, draft.arrays, texts)
            return None
        block = draft.copy_arrays()
    return BackgroundSave(target, partial(_write_and_leave, target, draft.arrays, texts, block))


def _write_and_leave(
    target: Path, arrays: Mapping[str, NDArray[Any]], texts: Mapping[str, str], block: NDArray[np.uint8]
) -> None:
    write(target, arrays, texts)
    leave_block(block)


def load(
    path: StrPath,
    opt: Any,
    *,
    strict: bool = True,
    schedules: Choice | None = None,
    **parts: Any,
) -> Any:
    """Load what `save` has written, into an optimizer and parts that exist.

    Parameters are written in place. Everything is read and checked before anything changes: all of it is loaded, or
    nothing if there is an error or an interrupt.

    Parameters
    ----------
    path : str or path
        The file.
    opt : Optimizer or None
        An optimizer of the same class, whose parameters have the names, shapes and dtypes of those in the file. It
        takes the hyper-parameters too. None leaves the file's optimizer out.
    strict : bool
        Whether the file must have the same parameters and parts. If it is False, parameters and parts that only one
        side has are left out, and stay as they are. Nothing is read of them.
    schedules : "saved", "own" or None
        What counts where schedules differ, as in ``load_state_dict``.
    **parts
        The parts by name, as they were passed to `save`.

    Returns
    -------
    object
        What was passed to `save` as `extra`, or {} if nothing was.

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, or it is damaged. This is a ValueError.
    TypeError, ValueError
        If the file does not fit the optimizer or a part.
    OSError
        If the file cannot be read.

    Notes
    -----
    The header and each array have checksums, which are compared. Reading takes as much memory as what is loaded.

    Examples
    --------
    >>> import adamcore as ac, numpy as np, tempfile
    >>> opt, scaler = ac.SGD({"w": np.ones(3)}), ac.LossScaler(512.0)
    >>> folder = tempfile.TemporaryDirectory()
    >>> ac.save(f"{folder.name}/run.safetensors", opt, scaler=scaler)
    >>> scaler.scale = 1024.0
    >>> ac.load(f"{folder.name}/run.safetensors", opt, scaler=scaler)
    {}
    >>> scaler.scale
    512.0
    >>> folder.cleanup()
    """
    steps, extra = read(path, opt, strict=strict, schedules=schedules, parts=parts)
    run(steps)
    return extra


def read(
    path: StrPath, opt: Any, *, strict: bool, schedules: Choice | None, parts: Mapping[str, Any]
) -> tuple[list[Step], Any]:
    """Return what is to be done to load a file, of which everything has been read, and `extra`."""
    if opt is not None:
        require_optimizer(opt, "load")
    require_names(parts, "load")
    settle()
    options = {"strict": strict, "schedules": schedules}
    with ArrayFile(Path(path)) as file:
        content = Content(file)
        saved = content.entry("parts", dict)
        if strict:
            _require_same_parts(saved, parts, content.label)
        extra = content.read(content.decoded(content.text.get("extra")))
        steps = [
            step_for_part(value, name, saved[name], content, options) for name, value in parts.items() if name in saved
        ]
        if opt is not None:
            entry = content.entry("optimizer", dict)
            steps.append(step_for_optimizer(opt, content.label, entry, content, options))
    return steps, extra


def _require_same_parts(saved: Mapping[str, Any], parts: Mapping[str, Any], label: str) -> None:
    if missing := [name for name in parts if name not in saved]:
        raise ValueError(f"{label}: there is no part {missing[0]!r} in the file; strict=False loads the others")
    if surplus := [name for name in saved if name not in parts]:
        name = surplus[0]
        raise ValueError(f"{label}: the file has a part {name!r}: pass {name}=..., or strict=False to leave it out")


__all__ = ["BackgroundSave", "CheckpointError", "load", "save"]
