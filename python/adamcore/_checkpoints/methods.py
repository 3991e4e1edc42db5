"""Saving and loading one optimizer, for the base class of optimizers."""

from __future__ import annotations

import os
from typing import Any

from adamcore._state_dicts.checkpointed import Checkpointed


class Saved(Checkpointed):
    """What optimizers have for state dicts and files."""

    def save(self, path: str | os.PathLike[str], **options: Any) -> Any:
        """Save the optimizer and its parameters in a file: ``ac.save(path, opt, **options)``.

        Examples
        --------
        >>> import adamcore as ac, numpy as np, tempfile
        >>> opt = ac.Adam({"w": np.ones(3)})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     opt.save(f"{folder}/run.safetensors", extra={"epoch": 1})
        ...     opt.load(f"{folder}/run.safetensors")
        {'epoch': 1}
        """
        from adamcore._checkpoints.files import save  # noqa: PLC0415  (which few programs need at once)

        return save(path, self, **options)

    def load(self, path: str | os.PathLike[str], **options: Any) -> Any:
        """Load the optimizer and its parameters from a file: ``ac.load(path, opt, **options)``.

        Examples
        --------
        See `save`.
        """
        from adamcore._checkpoints.files import load  # noqa: PLC0415

        return load(path, self, **options)
