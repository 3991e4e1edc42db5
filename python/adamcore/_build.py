"""What this build is, where its C++ part lies, and how many threads it uses."""

from __future__ import annotations

import os.path
from typing import Any

from adamcore import _core
from adamcore._checks.numbers import as_int

# Headers lie beside the compiled part. That of an editable installation is not where these sources are.
# They are joined by os.path, for pathlib is slow to import.
_PACKAGE = os.path.dirname(os.path.realpath(_core.__file__))  # noqa: PTH120


def build_info() -> dict[str, Any]:
    """Describe the build and what it found on this machine.

    Returns
    -------
    dict
        ``version``; ``isa``, the instruction set in use, and ``isas``, those that this build has and this
        processor runs; ``threads``, and ``openmp`` (False: the threads are the library's own); ``cuda`` (whether the
        build has CUDA kernels), ``cuda_architectures`` and ``devices``.

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
        from adamcore import _cuda  # noqa: PLC0415  (loaded only when somebody asks)
    except ImportError:
        return {"cuda": False, "cuda_architectures": [], "devices": []}
    return {
        "cuda": True,
        "cuda_architectures": _cuda.architectures.split(","),
        "devices": _cuda.devices()[0],
    }


def get_num_threads() -> int:
    """Return the number of threads that a step may use.

    At first it is ``ADAMCORE_NUM_THREADS``, else ``OMP_NUM_THREADS``, else as many as the process's affinity mask and
    cgroup quota allow. In a child made by ``fork()`` it is 1, since threads do not survive a fork.

    Examples
    --------
    >>> import adamcore as ac
    >>> ac.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(n: int) -> None:
    """Set the number of threads that a step may use; results do not depend on it.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an int, or less than 1.

    Examples
    --------
    >>> import adamcore as ac
    >>> ac.set_num_threads(ac.get_num_threads())
    """
    count = as_int(n, "set_num_threads: the number of threads", "at least 1, and an int", 1)
    _core.set_num_threads(min(count, 2**31 - 1))


def get_include() -> str:
    """Return the folder of the C++ headers, for compilers' ``-I``."""
    return os.path.join(_PACKAGE, "include")  # noqa: PTH118


def get_cmake_dir() -> str:
    """Return the folder of the CMake package, for ``-Dadamcore_DIR=``."""
    return os.path.join(_PACKAGE, "share", "cmake", "adamcore")  # noqa: PTH118
