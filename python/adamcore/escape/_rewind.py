"""`rewind`: back to a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from adamcore._checkpoints.files import load
from adamcore._checkpoints.folder import Checkpoints
from adamcore.escape._acting import noted, require_between_steps
from adamcore.monitor.act import Act
from adamcore.optimizer import Optimizer


def rewind(
    opt: Optimizer,
    path: str | os.PathLike[str] | Checkpoints,
    *,
    strict: bool = True,
    schedules: Literal["saved", "own"] | None = None,
    **parts: Any,
) -> Act:
    """Go back to a checkpoint, after a spike from which the run has not recovered.

    Leave out the batches that led to the spike. ``act.batches`` is how many have been used since the checkpoint, one in
    a step. If your iterator of batches simply goes on, do nothing. If you rewind it too, skip so many batches. Also
    lower the rate, or use ``clip_norm=ac.SpikeGuard()``.

    Parameters
    ----------
    opt : Optimizer
    path : str, path or Checkpoints
        A file of `adamcore.save`, or a folder of `Checkpoints`, of which the latest is taken.
    strict, schedules, **parts
        As for `adamcore.load`. A folder of `adamcore.fit` has more parts: pass ``strict=False`` to leave them alone.

    Returns
    -------
    Act
        ``act.extra`` is what was saved as `extra`.

    Raises
    ------
    TypeError, ValueError, OSError
        As by `adamcore.load`, and ValueError if there is no checkpoint. Nothing has changed then.

    References
    ----------
    Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", section 5.1, 2022.

    Examples
    --------
    >>> import adamcore as ac, numpy as np, tempfile
    >>> w = {"w": np.ones(3)}
    >>> opt = ac.SGD(w, lr=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ac.save(f"{folder}/run.safetensors", opt)
    ...     info = opt.step({"w": np.full(3, 1e6)})
    ...     act = ac.escape.rewind(opt, f"{folder}/run.safetensors")
    >>> w["w"], act.batches
    (array([1., 1., 1.]), 1)
    """
    owner = "rewind"
    require_between_steps(opt, owner)
    before = opt.completed
    folder = path if isinstance(path, Checkpoints) else Checkpoints(path) if Path(path).is_dir() else None
    if folder is not None:
        extra = folder.load(opt, strict=strict, schedules=schedules, **parts)
        if extra is None:
            raise ValueError(f"{owner}: there is no checkpoint in {folder.folder}")
    elif not isinstance(path, Checkpoints):
        extra = load(path, opt, strict=strict, schedules=schedules, **parts)
    batches = max(before - opt.completed, 0)
    text = f"back from {before} completed steps to {opt.completed}; leave out {batches} batches."
    return noted(opt, owner, text, {"completed": opt.completed, "before": before}, batches=batches, extra=extra)
