"""The installed library: in any interpreter, from any thread, from any folder, and built by any user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import adamcore as ac
from places import ROOT

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sets affinity")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


# Until Python 3.12, a process that uses NumPy may hang at its end if a sub-interpreter has not flushed its output.
SUB_INTERPRETERS = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = '''
try:
    import {module}
except ImportError as error:
    print("interpreter" in str(error) and "pip" not in str(error), flush=True)
'''
for _ in range(2):
    number = interpreters.create("legacy") if sys.version_info >= (3, 13) else interpreters.create()
    interpreters.run_string(number, code)
    sys.stdout.flush()
"""


@pytest.mark.parametrize("module", ["adamcore", "adamcore._core"])
@pytest.mark.parametrize("first", ["", "import adamcore; "])
def test_a_sub_interpreter_gets_an_import_error(first: str, module: str) -> None:
    """Without the check it would wait forever."""
    assert run(first + SUB_INTERPRETERS.replace("{module}", module)) == "True\nTrue"


def test_the_main_interpreter_steps_beside_others() -> None:
    code = "; import adamcore as ac, numpy as np; p = np.ones(3); ac.SGD(p, lr=1).step(np.ones(3)); print(p.sum())"
    assert run(SUB_INTERPRETERS.replace("{module}", "adamcore").rstrip() + code.replace("; ", "\n")).endswith("0.0")


SMALL_STACK = """
import threading, numpy as np, adamcore as ac
ac.set_num_threads({threads})
done = []
def work():
    for dtype in (np.float64, np.float32, np.float16):
        for n in (1000, 200_000):
            p, g = np.ones(2 * n, dtype)[::2], np.ones(n, dtype)
            for options in ({}, {"clip_norm": 1}, {"clip_adaptive": 1}, {"clip_value": 0.1}):
                optimizer = ac.Adam(p, amsgrad=True, weight_decay=0.1, **options)
                optimizer.step(g, loss_scale=2.0)
                optimizer.load_state_dict(optimizer.state_dict())
            if dtype is np.float16:
                for kept in ({}, {"rounding": "stochastic"}, {"rounding": "compensated"}):
                    ac.AdamW(p, precision=ac.Precision(master=None, **kept)).step(g)
            ac.clip_grad_norm_([g], 1.0)
            ac.clip_grad_value_([g], 0.1)
            ac.RMSprop(p, centered=True, momentum=0.9).step(g)
            ac.adam_update(*(np.zeros(n) for _ in range(4)), t=1)
    done.append(ac.global_norm([g]))
threading.stack_size({size})
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(len(done))
"""


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("size", [32768, 65536])
def test_a_thread_with_a_small_stack_can_do_everything(size: int, threads: int) -> None:
    """Python's smallest stack size, of which Python itself uses a large part."""
    assert run(SMALL_STACK.replace("{size}", str(size)).replace("{threads}", str(threads))) == "1"


@linux
def test_a_signal_is_left_to_who_waits_for_it() -> None:
    code = """
import os, signal, numpy as np, adamcore as ac
ac.set_num_threads(3)
p = np.zeros(1_000_000, np.float32)
optimizer = ac.Adam(p)
optimizer.step(p.copy())
wanted = {signal.SIGUSR1, signal.SIGTERM, signal.SIGRTMIN + 3}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
for number in sorted(wanted):
    os.kill(os.getpid(), number)
    optimizer.step(p.copy())
    assert signal.sigwait(wanted) == number
print("took all")
"""
    # NumPy's own threads take signals as they come.
    assert run("import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'" + code) == "took all"


@linux
def test_workers_go_where_the_process_may() -> None:
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        pytest.skip("one processor")
    code = f"""
import os, time, numpy as np, adamcore as ac
ac.set_num_threads(2)
p = np.zeros(400_000, np.float32)
g = np.ones_like(p)
optimizer = ac.Adam(p)
first, last = {{{processors[0]}}}, {{{processors[-1]}}}

def workers():
    tasks = os.listdir("/proc/self/task")
    return [int(t) for t in tasks if open(f"/proc/self/task/{{t}}/comm").read() == "adamcore\\n"]

os.sched_setaffinity(0, first)
optimizer.step(g)
while not workers():
    time.sleep(0.001)
for confined in (last, first, first | last):
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), confined)
    for k in range(30):
        optimizer.step(g)
        assert all(os.sched_getaffinity(w) <= confined for w in workers())
        time.sleep(k % 2 * 0.001)
time.sleep(0.002)
optimizer.step(g)
print(workers() != [])
"""
    assert run(code) == "True"


def test_folders_for_cpp_are_those_of_an_editable_installation() -> None:
    """In editable installs, the compiled module and the headers are not in the folder of the sources."""
    installed = str(Path(ac._core.__file__).parent)
    code = f"""
import importlib.util, sys
folders = [{str(ROOT / "python/adamcore")!r}, {installed!r}]
path = folders[0] + "/__init__.py"
spec = importlib.util.spec_from_file_location("adamcore", path, submodule_search_locations=folders)
adamcore = importlib.util.module_from_spec(spec)
sys.modules["adamcore"] = adamcore
spec.loader.exec_module(adamcore)
print(adamcore.get_include(), adamcore.get_cmake_dir(), adamcore._build.__file__, sep="\\n")
"""
    include, cmake, source = (Path(line) for line in run(code).splitlines())
    assert source == ROOT / "python/adamcore/_build.py"
    assert (include / "adamcore" / "adamcore.hpp").is_file()
    assert (cmake / "adamcoreConfig.cmake").is_file()


def test_a_missing_compiler_is_said_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cmake", "-S", str(ROOT), "-B", str(tmp_path), "-DADAMCORE_CUDA=OFF"]
    env = {**os.environ, "CXX": "no-such-compiler"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "compiler" in line and "CMake Error" not in line]
    for words in (
        "no-such-compiler",
        "apt install g++",
        "dnf install gcc-c++",
        "xcode-select --install",
        "Build Tools",
    ):
        assert words in line
    assert len(done.stderr.splitlines()) < 10
    assert "NOTFOUND" not in (tmp_path / "CMakeCache.txt").read_text().split("CMAKE_CXX_COMPILER")[-1][:20]
