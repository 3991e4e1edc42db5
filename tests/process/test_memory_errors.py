"""Out of memory: the error names the array, and nothing has changed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pairs import EXHAUSTIVE
from places import TESTS


@pytest.mark.skipif(sys.platform != "linux", reason="preloading is Linux's")
@pytest.mark.skipif(not EXHAUSTIVE, reason="takes ten seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_every_allocation_fails(failing_new: Path) -> None:
    done = subprocess.run(
        [sys.executable, TESTS / "allocations.py"],
        env={**os.environ, "LD_PRELOAD": str(failing_new), "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.startswith("WRONG")]
    assert all(int(line.rpartition(": ")[2]) > 0 for line in lines)
    assert len(lines) >= 20


def test_accumulation_takes_one_buffer() -> None:
    """There is memory for the sums of 100 MB, and for half as much besides."""
    assert limited("""
        opt = ac.SGD(w["large"], lr=1.0)
        leaf = np.broadcast_to(np.ones(1, np.float16), w["large"].shape)
        limit(150 * MB)
        for weight in (1, 2, 3):
            opt.accumulate(leaf, weight=weight)
        opt.step(leaf)
        opt.accumulate(leaf)
        opt.step()
        print(w["large"][0, 0], w["large"][99, -1])
    """) == ["-2.0 -2.0"]


LIMITED = """
    import resource
    import numpy as np, adamcore as ac
    MB = 1 << 20
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    w = {"small": np.zeros(3, np.float32), "large": np.zeros((100, 1 << 18), np.float32)}
    def limit(more):
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))
    def attempt(call):
        try:
            call()
        except MemoryError as error:
            print(error)
    attempt(lambda: None)
"""


def limited(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_no_memory_for_state() -> None:
    lines = limited("""
        limit(100 * MB)
        attempt(lambda: ac.AdamW(w))
        opt = ac.AdamW({"b": w["small"]})
        attempt(lambda: opt.add_param_group({"params": {"large": w["large"]}}))
        opt.step({"b": np.ones(3, np.float32)})
        print(list(opt.steps), len(opt.param_groups))
    """)
    assert lines == [
        "AdamW: no memory for the state of 2 parameters, 200.0 MiB; the most, 200.0 MiB, is params['large']'s",
        (
            "AdamW: no memory for the state of 1 parameter, 200.0 MiB; the most, 200.0 MiB, is "
            "param_groups[1]['params']['large']'s"
        ),
        "['b'] 1",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_no_memory_for_more_state() -> None:
    lines = limited("""
        grads = {name: np.ones_like(a) for name, a in w.items()}
        opt = ac.SGD(w, lr=1.0)
        opt.step(grads)
        limit(50 * MB)
        opt.param_groups[0]["momentum"] = 0.5
        attempt(lambda: opt.step(grads))
        print([list(state) for state in opt.state.values()], w["small"][0], opt.steps["small"])
        opt.param_groups[0]["momentum"] = 0.0
        opt.step(grads)
        print(w["small"][0], opt.steps["small"])
    """)
    assert lines == [
        "SGD: no memory for the state of 2 parameters, 100.0 MiB; the most, 100.0 MiB, is params['large']'s",
        "[[], []] -1.0 1",
        "-2.0 2",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_no_memory_for_a_copy() -> None:
    lines = limited("""
        opt = ac.AdamW(w)
        limit(150 * MB)
        attempt(opt.state_dict)
        print(opt.steps["large"])
    """)
    assert lines == ["state_dict: no memory for a copy of state['large']['exp_avg_sq'], 100.0 MiB", "0"]


NO_PYTHON_MEMORY = """
import gc
import _testcapi
import numpy as np
import adamcore as ac

def succeeds(call, arguments, i):
    "Whether a call of which allocation number `i` fails returns."
    gc.collect()  # empties the lists of objects that are used again without an allocation
    _testcapi.set_nomemory(i, i + 1)
    try:
        call(*arguments)
    except (MemoryError, RuntimeError, SystemError):
        return 0
    finally:
        _testcapi.remove_mem_hooks()
    return 1

def make():
    return ac.SGD({"a": np.ones(3), "b": np.ones(2)}, lr=0.5, momentum=0.5)

source = make()
source.step({"a": np.ones(3), "b": np.ones(2)})
saved = source.state_dict()
for i in range(300):
    optimizer = make()
    loaded = succeeds(optimizer.load_state_dict, (saved,), i)
    assert list(optimizer.steps.values()) == [loaded, loaded]

grads = {"a": np.ones(3), "b": np.ones(2)}
for columns in (0, 2047):
    for i in range(80):
        optimizer = ac.SGD({"a": np.ones(3), "b": np.ones(2)}, lr=0.5, clip_norm=1.0)
        arguments = (grads, optimizer.param_groups, 1.0, False, 1.0, False, columns)
        stepped = succeeds(optimizer._native.step, arguments, i)
        assert list(optimizer.steps.values()) == [stepped, stepped], i

for i in range(60):
    optimizer = ac.SGD({"a": np.ones(3), "b": np.ones(2)}, lr=0.5, clip_norm=1.0)
    leaves = succeeds(optimizer._native.accumulate, (grads, optimizer.param_groups, 1.0), i)
    assert optimizer.accumulated == leaves
    optimizer.accumulate(grads)
    stepped = succeeds(optimizer._native.step, (grads, optimizer.param_groups, 1.0, False, 1.0, False, 0), i)
    assert list(optimizer.steps.values()) == [stepped, stepped], i
    assert optimizer.accumulated == (0 if stepped else leaves + 1)
print("done")
"""


def test_python_objects_for_which_there_is_no_memory() -> None:
    pytest.importorskip("_testcapi")
    done = subprocess.run(
        [sys.executable, "-c", NO_PYTHON_MEMORY], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
