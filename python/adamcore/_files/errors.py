"""The error that a file is not a whole checkpoint."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A file is no checkpoint, or it is damaged. Nothing has been loaded from it.

    Examples
    --------
    >>> import adamcore as ac, numpy as np, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"text")
    ...     file.flush()
    ...     try:
    ...         ac.load(file.name, ac.Adam(np.ones(3)))
    ...     except ac.CheckpointError as error:
    ...         print(str(error).replace(file.name, "FILE"))
    FILE: this is no checkpoint: it has only 4 bytes
    """

    __module__ = "adamcore"
