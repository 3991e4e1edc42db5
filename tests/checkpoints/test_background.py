"""Files that are written in a thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore._checkpoints import draft
from adamcore._files import writing
from files import small, whole
from places import ROOT


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event for which everybody waits who has written a file, before it gets its name."""
    opened, replace = threading.Event(), os.replace

    def waiting(*args: Any, **options: Any) -> None:
        assert opened.wait(20)
        replace(*args, **options)

    monkeypatch.setattr(os, "replace", waiting)
    monkeypatch.setattr(Path, "replace", waiting)
    return opened


def test_training_goes_on_meanwhile(tmp_path: Path, gate: threading.Event) -> None:
    """The file has what there was at the call."""
    path = tmp_path / "run"
    w, optimizer = small()
    optimizer.step({"w": np.ones_like(w)})
    optimizer.accumulate({"w": np.ones_like(w)})
    array = np.arange(3)
    before = whole(optimizer)
    handle = ac.save(path, optimizer, background=True, array=array, extra={"list": [1]})
    assert not handle.done
    assert "writing" in repr(handle)
    assert not path.exists()
    with pytest.raises(TimeoutError, match="run: the file has not been written after"):
        handle.wait(0.001)
    for _ in range(3):
        optimizer.step({"w": np.ones_like(w)})
    array += 1
    w[:] = 7
    gate.set()
    handle.wait()
    assert handle.done
    assert handle.path == path
    other = np.zeros(3, int)
    assert ac.load(path, optimizer, array=other) == {"list": [1]}
    assert whole(optimizer) == before
    assert other.tolist() == [0, 1, 2]


def test_where_a_relative_path_is(tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder that is current at the call."""
    _, optimizer = small()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    handle = ac.save("run", optimizer, background=True)
    monkeypatch.chdir(tmp_path / "other")
    gate.set()
    handle.wait()
    assert (tmp_path / "run").exists()


def test_an_interrupt_while_the_next_save_waits(tmp_path: Path, gate: threading.Event) -> None:
    """It does not let the older file take the place of the newer one afterwards."""

    class Interruption(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interruption

    _, optimizer = small()
    path = tmp_path / "run"
    optimizer.save(path, background=True, extra="old")
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Interruption):
            optimizer.save(path, extra="interrupted")
    finally:
        signal.signal(signal.SIGALRM, before)
    threading.Timer(0.05, gate.set).start()
    optimizer.save(path, extra="new")
    time.sleep(0.1)
    assert optimizer.load(path) == "new"


@pytest.mark.parametrize("failing", range(6))
@pytest.mark.parametrize("background", [False, True])
def test_threads_that_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, background: bool
) -> None:
    """The file is whole, or an error says that there is none. The pool has noted what it could not begin."""
    w = np.arange(1_500_000.0)
    optimizer = ac.SGD({"w": w})
    optimizer.save(tmp_path / "run", extra="old")
    start, count = threading.Thread.start, iter(range(1000))

    def sometimes(thread: threading.Thread) -> None:
        if next(count) in (failing, failing + 1):
            raise RuntimeError("can't start new thread")
        start(thread)

    w += 1
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", sometimes)
        try:
            handle = ac.save(tmp_path / "run", optimizer, extra="new", background=background)
            if handle is not None:
                handle.wait()
            found = "new"
        except RuntimeError:
            found = "old"
    w[:] = 0
    assert optimizer.load(tmp_path / "run") == found
    assert w[7] == (8 if found == "new" else 7)


def test_an_interrupt_when_the_thread_has_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next save waits for it, although nobody has a handle."""

    class Interruption(BaseException):
        pass

    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        time.sleep(0.05)
        raise Interruption

    _, optimizer = small()
    slow = writing._write_all
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_write_all", lambda *a: (time.sleep(0.3), slow(*a)))
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(Interruption):
            optimizer.save(tmp_path / "run", background=True, extra="old")
    optimizer.save(tmp_path / "run", extra="new")
    time.sleep(0.4)
    assert optimizer.load(tmp_path / "run") == "new"


def test_a_load_reads_what_its_thread_has_saved(tmp_path: Path) -> None:
    """Whatever other threads save in the background."""
    wrong: list[Any] = []

    def work(k: int) -> None:
        _, optimizer = small()
        for step in range(150):
            optimizer.save(tmp_path / f"run-{k}", background=True, extra=step)
            if (found := optimizer.load(tmp_path / f"run-{k}")) != step:
                wrong.append((k, step, found))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_a_thread_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    _, optimizer = small()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            optimizer.save(tmp_path / "run", background=True)
    optimizer.save(tmp_path / "run")
    optimizer.load(tmp_path / "run")


def test_a_load_waits(tmp_path: Path, gate: threading.Event) -> None:
    _, optimizer = small()
    optimizer.save(tmp_path / "run", background=True, extra=5)
    threading.Timer(0.05, gate.set).start()
    assert optimizer.load(tmp_path / "run") == 5


def test_the_next_save_waits_and_raises_the_error(tmp_path: Path) -> None:
    _, optimizer = small()
    (tmp_path / "file").write_text("")
    handle = ac.save(tmp_path / "file" / "run", optimizer, background=True)
    with pytest.raises(NotADirectoryError):
        optimizer.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    optimizer.save(tmp_path / "run", background=True)
    optimizer.save(tmp_path / "again")
    for _ in range(2):
        with pytest.raises(NotADirectoryError):
            handle.wait()
    assert "failed" in repr(handle)
    ac.save(tmp_path / "file" / "run", optimizer, background=True)
    optimizer.load(tmp_path / "run")
    with pytest.raises(NotADirectoryError):
        optimizer.save(tmp_path / "run")


def test_errors_are_raised_once(tmp_path: Path) -> None:
    """A save after wait() has raised the error goes on."""
    _, optimizer = small()
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        ac.save(tmp_path / "file" / "run", optimizer, background=True).wait()
    optimizer.save(tmp_path / "run")
    assert (tmp_path / "run").exists()


def test_what_cannot_be_saved_raises_at_once(tmp_path: Path) -> None:
    _, optimizer = small()
    with pytest.raises(TypeError, match="cannot be saved"):
        ac.save(tmp_path / "run", optimizer, extra=object(), background=True)


def test_layouts(tmp_path: Path) -> None:
    """What is not contiguous is copied too, and from there on is in C order."""
    base = np.arange(48.0).reshape(6, 8)
    params = {"f": np.asfortranarray(base), "gaps": base.copy()[::2, ::-3], "c": base.copy()}
    optimizer = ac.Adam(params)
    optimizer.step({name: np.cos(p) for name, p in params.items()})
    optimizer.save(tmp_path / "a")
    optimizer.save(tmp_path / "b", background=True)
    optimizer.load(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def run(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    begin = "import os, sys, time, numpy as np, adamcore as ac\nopt = ac.SGD({'w': np.ones(3_000_000)}, momentum=0.9)\n"
    command = [sys.executable, "-c", begin + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_process_that_ends(tmp_path: Path) -> None:
    """It ends when the file is written."""
    ran = run("opt.save(sys.argv[1], background=True)", tmp_path / "run")
    assert (ran.returncode, ran.stderr) == (0, "")
    optimizer = ac.SGD({"w": np.zeros(3_000_000)}, momentum=0.9)
    optimizer.load(tmp_path / "run")
    assert optimizer.param_groups[0]["params"][0][-1] == 1


def test_a_save_when_a_process_ends(tmp_path: Path) -> None:
    """When functions of atexit run, no thread can be begun."""
    ran = run(
        "import atexit\natexit.register(lambda: opt.load(sys.argv[1]))\natexit.register(opt.save, sys.argv[1])",
        tmp_path / "run",
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "run").exists()


def test_a_process_that_ends_with_an_error_that_nobody_has_seen(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("opt.save(sys.argv[1], background=True)", tmp_path / "file" / "run")
    assert "RuntimeWarning" in ran.stderr
    assert "the file was not written" in ran.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_fork_meanwhile(tmp_path: Path) -> None:
    """The child has no such thread, and waits for none."""
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork with threads
handle = opt.save(sys.argv[1] + "/a", background=True)
child = os.fork()
if child == 0:
    opt.save(sys.argv[1] + "/b")
    try:
        handle.wait()
    except RuntimeError as error:
        os._exit(0 if "another process writes" in str(error) else 1)
    os._exit(1)
assert os.waitpid(child, 0)[1] == 0
handle.wait()
opt.load(sys.argv[1] + "/a")
opt.load(sys.argv[1] + "/b")
"""
    ran = run(code, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr


def test_memory_is_kept_for_the_next_one(tmp_path: Path) -> None:
    """Of other sizes it is new."""
    w = np.zeros(1000)
    optimizer = ac.SGD({"w": w})
    ac.save(tmp_path / "run", optimizer, background=True).wait()
    (block,) = draft._spare
    address = block.ctypes.data
    del block
    w += 1
    ac.save(tmp_path / "run", optimizer, background=True).wait()
    assert draft._spare[0].ctypes.data == address
    ac.save(tmp_path / "more", optimizer, more=np.ones(3), background=True).wait()
    assert draft._spare[0].size == 8 * 1003
    optimizer.load(tmp_path / "run")
    assert w[0] == 1


def test_threads_that_save_at_the_same_time(tmp_path: Path) -> None:
    """Each of them has an optimizer of its own."""
    optimizers = [small()[1] for _ in range(4)]
    errors: list[BaseException] = []

    def work(k: int) -> None:
        try:
            for step in range(12):
                ac.save(tmp_path / f"run-{k % 2}", optimizers[k], extra=step, background=step % 2 == 0)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert ac.load(tmp_path / "run-0", optimizers[0]) >= 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-0", "run-1"]


def test_time_is_that_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller does not wait for the disk, however slow it is."""
    write_all = writing._write_all
    monkeypatch.setattr(writing, "_write_all", lambda *a: (time.sleep(0.25), write_all(*a)))
    _, optimizer = small()
    begin = time.perf_counter()
    handle = ac.save(tmp_path / "run", optimizer, background=True)
    assert time.perf_counter() - begin < 0.4
    assert not handle.done
    handle.wait()
