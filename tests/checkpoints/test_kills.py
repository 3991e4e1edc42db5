"""Processes that are killed while they save, disks that are full, and what else may happen to a file."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import adamcore as ac
from files import saved, small, whole
from places import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork() and no such signals")

KILLS = 200

KILLER = r"""
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
import adamcore as ac

path, kills, background = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "background"
ac.set_num_threads(1)
random.seed(1)
size = 30_000


def make():
    w = np.zeros(size)
    return w, ac.SGD({"w": w}, lr=1.0, momentum=0.5)


def save_for_ever(first):
    w, optimizer = make()
    for step in range(first, first + 10_000):
        w[...] = step
        handle = ac.save(path, optimizer, extra=step, background=background)
        if background:
            handle.wait()


_, optimizer = make()
begin = time.perf_counter()
for _ in range(3):
    optimizer.save(path, extra=-1)
duration = (time.perf_counter() - begin) / 3
killed_while_writing, seen = 0, set()
for k in range(kills):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"x")
        save_for_ever(10_000 * k)
        os._exit(1)
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    time.sleep(random.uniform(0, min(2 * duration, 0.02)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    leftovers = [name for name in os.listdir(path.parent) if name != path.name]
    assert len(leftovers) <= 1, leftovers
    killed_while_writing += len(leftovers)
    w, optimizer = make()
    step = optimizer.load(path)
    assert (w == max(step, 0)).all(), (step, w)
    seen.add(step)
print(killed_while_writing, len(seen))
"""


@pytest.mark.parametrize("way", ["directly", "background"])
def test_kills_at_random_moments(tmp_path: Path, way: str) -> None:
    """The old file or the new one loads, and what is left beside it is removed by the next process."""
    kills = KILLS if way == "directly" else KILLS // 4
    command = [sys.executable, "-c", KILLER, str(tmp_path / "run"), str(kills), way]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONWARNINGS": ""})
    assert ran.returncode == 0, ran.stderr
    while_writing, seen = map(int, ran.stdout.split())
    assert while_writing > kills // 20
    assert seen > kills // 20
    _, optimizer = small()
    optimizer.save(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_file_of_a_living_process_is_no_leftover(tmp_path: Path) -> None:
    """Two processes may save the same file at the same time: the later one wins."""
    import fcntl

    other = tmp_path / ".run.0123456789ab.tmp"
    file = os.open(other, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    saved(tmp_path / "run")
    assert other.exists()
    os.close(file)
    saved(tmp_path / "run")
    assert not other.exists()


def save(path: Path, optimizer: ac.Optimizer, *, background: bool) -> None:
    handle = ac.save(path, optimizer, background=background)
    if handle is not None:
        handle.wait()


@pytest.mark.parametrize("background", [False, True])
def test_a_full_disk(tmp_path: Path, background: bool) -> None:
    """A limit of the size of files stops a write in the middle, as a full disk does."""
    path = tmp_path / "run"
    _, optimizer, data = saved(path)
    before = whole(optimizer)
    params = {"w": np.ones(100_000)}
    large = ac.Adam(params)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (100, 5000, 100_000, 2_000_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(OSError, match="run") as error:
                save(path, large, background=background)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert error.value.errno in (errno.EFBIG, errno.ENOSPC)
        assert [each.name for each in tmp_path.iterdir()] == ["run"]
        assert path.read_bytes() == data
    optimizer.load(path)
    assert whole(optimizer) == before
    large.step({"w": np.ones(100_000)})
    large.save(path)
    large.load(path)


def test_what_is_kept_of_the_old_file(tmp_path: Path) -> None:
    """Its mode, and the link that leads to it. A new file has the usual mode."""
    path = tmp_path / "folder" / "run"
    saved(path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    _, optimizer, _ = saved(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    optimizer.load(path)


def test_names_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, optimizer = small()
    for name in ("run", "ü" * 120, "a" * 255, "x y.st", "deep/er/run", ".hidden"):
        optimizer.save(name)
        optimizer.load(name)
        optimizer.load(Path(name))
    with pytest.raises(IsADirectoryError, match="deep"):
        optimizer.save("deep")
    with pytest.raises(NotADirectoryError):
        optimizer.save("run/inside")
    with pytest.raises(OSError, match="a"):
        optimizer.save("a" * 256)
    assert len(list(tmp_path.iterdir())) == 6
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "er"]


SYNCED = r"""
import os, sys
from pathlib import Path
import numpy as np
import adamcore as ac

calls = []
for name in ("fsync", "replace"):
    def spy(*args, name=name, call=getattr(os, name)):
        is_folder = name == "fsync" and os.path.isdir(f"/proc/self/fd/{args[0]}")
        calls.append(name + " of folder" * is_folder)
        return call(*args)
    setattr(os, name, spy)
ac.SGD({"w": np.ones(3)}).save(Path(sys.argv[1]) / "run")
print(calls)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_the_file_is_on_the_disk_before_its_name_is(tmp_path: Path) -> None:
    """The order of system calls, which no test can see from the file."""
    ran = subprocess.run([sys.executable, "-c", SYNCED, tmp_path], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.strip() == "['fsync', 'replace', 'fsync of folder']"


def test_time_of_day_does_not_matter(tmp_path: Path) -> None:
    """A file that is older than the process is replaced like any other."""
    path = tmp_path / "run"
    _, optimizer, _ = saved(path)
    os.utime(path, (time.time() + 10_000,) * 2)
    optimizer.save(path, extra=1)
    assert optimizer.load(path) == 1
