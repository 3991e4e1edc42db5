"""Equal means for all peers, and what a record says about where it was taken."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MEMINFO, CPUINFO, MAPS = Path("/proc/meminfo"), Path("/proc/cpuinfo"), Path("/proc/self/maps")


def default_threads() -> int:
    """Ask adamcore in another process: in this one nothing may be imported before the limits are set."""
    code = "import adamcore; print(adamcore.get_num_threads())"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit('adamcore cannot be imported: pip install ".[bench]"\n' + done.stderr)
    return int(done.stdout)


def limit_threads(threads: int) -> None:
    """Hold every runtime to as many threads, before any of them is imported."""
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ADAMCORE_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
        os.environ[name] = str(threads)  # NPROC is XLA's
    os.environ["JAX_PLATFORMS"] = os.environ["DS_ACCELERATOR"] = "cpu"
    # DeepSpeed calls ninja, which lies beside this Python where no virtual environment is activated.
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def load_openmp() -> None:
    """Load PyTorch's libgomp before any other; the stream then shares it, and numba has the system's.

    Were the system's loaded first, PyTorch would share that one with numba, and after a parallel region of numba's each
    of PyTorch's foreach steps took thirty times as long (measured).
    """
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401


def free_memory() -> int:
    """Return the bytes that can be allocated without swapping."""
    if MEMINFO.exists():
        found = re.search(r"^MemAvailable:\s+(\d+) kB", MEMINFO.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    if CPUINFO.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE)
        model = found[1] if found else model
    return {"processor": model, "cores": os.cpu_count(), "architecture": platform.machine()}


def software(packages: Iterable[str]) -> dict[str, str]:
    versions = {"python": platform.python_version(), "system": platform.system()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def openmp_runtimes() -> list[str]:
    """Return the OpenMP libraries in this process: with more than one, their idle threads fight over the cores."""
    if not MAPS.exists():
        return []
    names = {Path(line.split()[-1]).name for line in MAPS.read_text().splitlines() if ".so" in line}
    return sorted(name for name in names if re.match(r"lib([gi]?omp|iomp5)", name))


def commit() -> str:
    """Ask git, or who copied the tree to a machine without its history and set ADAMCORE_COMMIT."""
    if given := os.environ.get("ADAMCORE_COMMIT"):
        return given

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(HERE), *arguments], check=False, capture_output=True, text=True)
        return done.stdout.strip()

    head = git("rev-parse", "HEAD")
    return (head or "unknown") + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


def describe(threads: int, packages: Iterable[str]) -> dict[str, Any]:
    import adamcore

    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "threads": threads,
        "load_average": round(os.getloadavg()[0], 2),
        "adamcore_isa": adamcore.build_info()["isa"],
        "software": software(packages),
    }


def begin(threads: int | None) -> int:
    """Limit all libraries to so many threads, or as many as adamcore uses; print what is measured where."""
    threads = threads or default_threads()
    limit_threads(threads)
    load_openmp()
    facts = describe(threads, ["adamcore", "numpy"])
    print(", ".join(f"{key}: {value}" for key, value in facts.items() if isinstance(value, (str, int))))
    return threads


def machine_name(facts: dict[str, Any]) -> str:
    return f"{facts['machine']['processor']} {facts['machine']['cores']} cores"


def record_path(date: str, name: str) -> Path:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return HERE / "results" / f"{date}-{slug}.json"
