"""Information about this build, the location of its C++ files, and the number of threads."""

from __future__ import annotations

import os.path
from typing import Any

from adamcore import _core
from adamcore._checks.numbers import as_int

# The headers are installed beside the compiled module, which in an editable install is not in this source folder.
# os.path joins the names, because importing pathlib is slow.
_PACKAGE = os.path.dirname(os.path.realpath(_core.__file__))  # noqa: PTH120


def build_info() -> dict[str, Any]:
    """Describe this build and what it detected on this machine.

    Returns
    -------
    dict
        ``version``; ``isa``, the instruction set in use, and ``isas``, all that this build contains and this processor
        supports; ``threads``, the number of threads, and ``openmp``, which is False because adamcore has its own
        threads; ``cuda``, whether the build has CUDA kernels, with ``cuda_architectures`` and ``devices``.

    Examples
    --------
    >>> import adamcore as ac
    >>> "baseline" in ac.build_info()["isas"]
    True
    """
    return {
        "version": _core.__version__,
        "isa": _core.isa(),
        "isas": _core.isas(),
        "threads": _core.get_num_threads(),
        "openmp": False,
        **_cuda_info(),
    }


def _cuda_info() -> dict[str, Any]:
    try:
        from adamcore import _cuda  # noqa: PLC0415  (loaded only when it is needed)
    except ImportError:
        return {"cuda": False, "cuda_architectures": [], "devices": []}
    return {
        "cuda": True,
        "cuda_architectures": _cuda.architectures.split(","),
        "devices": _cuda.devices()[0],
    }


def get_num_threads() -> int:
    """Return the number of threads that a step may use.

    The initial value is ``ADAMCORE_NUM_THREADS`` or ``OMP_NUM_THREADS`` if one is set, in this order. Otherwise it is
    the number that the affinity mask and the cgroup quota of the process allow. In a child created by ``fork()`` it is
    1, because threads do not survive a fork.

    Examples
    --------
    >>> import adamcore as ac
    >>> ac.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(n: int) -> None:
    """Set the number of threads that a step may use. Results do not depend on it.

    Parameters
    ----------
    n : int
        Number of threads, at least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an int, or is less than 1.

    Examples
    --------
    >>> import adamcore as ac
    >>> ac.set_num_threads(ac.get_num_threads())
    """
    count = as_int(n, "set_num_threads: the number of threads", "at least 1, and an int", 1)
    _core.set_num_threads(min(count, 2**31 - 1))


def get_include() -> str:
    """Return the folder of the C++ headers, for the compiler option ``-I``."""
    return os.path.join(_PACKAGE, "include")  # noqa: PTH118


def get_cmake_dir() -> str:
    """Return the folder of the CMake package, for ``-Dadamcore_DIR=``."""
    return os.path.join(_PACKAGE, "share", "cmake", "adamcore")  # noqa: PTH118
