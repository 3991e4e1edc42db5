"""The optimizer in a process: memory, forks, threads, the interpreter, and other libraries' threads."""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import adamcore as ac
from helpers import everything

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sets affinity")


def run_python(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "ADAMCORE_NUM_THREADS", "ADAMCORE_ISA")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@linux
def test_ten_thousand_steps_leave_memory_where_it_was() -> None:
    params = {f"p{i}": np.ones(1000 + i, np.float32) for i in range(50)}
    optimizer = ac.AdamW(params, lr=lambda t: 1e-3 / (1 + t))
    grads = [{name: np.full_like(p, k) for name, p in params.items()} for k in (0.5, -0.5)]
    for t in range(200):
        optimizer.step(grads[t % 2])
    before = resident()
    for t in range(10_000):
        optimizer.step(grads[t % 2])
    assert resident() - before < 1 << 20


@linux
@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("options", ["", "clip_norm=1.0", "nonfinite='skip'", "clip_adaptive=0.1", "clip_value=0.1"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_steps_allocate_nothing_of_parameter_size(optimizer: str, options: str, dtype: str) -> None:
    """Nor does the first step: the peak memory of the process is reached before it, with all state touched."""
    code = f"""
import resource, numpy as np, adamcore as ac
n = 8_000_000
p, g = np.ones((2, n // 2), "{dtype}"), np.ones((2, n // 2), "{dtype}")
opt = ac.{optimizer}(p, {options})
for array in opt.state["0"].values():
    array[...] = 0.5
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
for _ in range(2):
    opt.step(g)
print((peak() - before) / n)
"""
    assert float(run_python(code, ADAMCORE_NUM_THREADS="2")) < 0.5


def test_references_are_let_go() -> None:
    p, g = np.ones(100_000, np.float32), np.ones(100_000, np.float32)
    references = sys.getrefcount(p), sys.getrefcount(g)
    optimizer = ac.AdamW([p])
    for _ in range(100):
        optimizer.step([g])
    with pytest.raises(ValueError, match="shape"):
        optimizer.step([g[1:]])
    assert sys.getrefcount(g) == references[1]
    state = optimizer.state["0"]["exp_avg"]
    del optimizer
    assert sys.getrefcount(p) == references[0]
    assert np.allclose(state, 1, atol=1e-3)


@linux
def test_a_child_forked_after_a_step_can_step() -> None:
    params = [np.ones(500_000, np.float32), np.ones(10, np.float32)]
    grads = [np.ones(500_000, np.float32), np.ones(10, np.float32)]
    optimizer = ac.AdamW(params)
    ac.set_num_threads(4)
    optimizer.step(grads)
    with np.errstate(all="ignore"):
        child = os.fork()
    if child == 0:  # pragma: no cover
        signal.alarm(5)
        optimizer.step(grads)
        os._exit(0 if ac.get_num_threads() == 1 and optimizer.steps["0"] == 2 else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    optimizer.step(grads)
    assert ac.get_num_threads() == 4


@linux
def test_multiprocessing_by_fork_gives_the_same_bits() -> None:
    code = """
import multiprocessing, numpy as np, adamcore as ac
def work(seed):
    rng = np.random.default_rng(seed)
    p = rng.standard_normal(300_000).astype(np.float32)
    opt = ac.Adam(p)
    for _ in range(3):
        opt.step(rng.standard_normal(300_000).astype(np.float32))
    return hash(p.tobytes())
if __name__ == "__main__":
    here = [work(seed) for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(work, range(4)) == here)
"""
    assert run_python(code, PYTHONHASHSEED="0") == "True"


def test_two_threads_step_two_optimizers(rng: np.random.Generator) -> None:
    """Both threads step at once, and get the bits of one after the other."""
    params = [rng.standard_normal(400_000).astype(np.float32) for _ in range(4)]
    grads = rng.standard_normal(400_000).astype(np.float32)
    copies = [p.copy() for p in params]
    ac.set_num_threads(2)

    def train(p: np.ndarray, results: list) -> None:
        optimizer = ac.AdamW(p)
        for _ in range(30):
            optimizer.step(grads)
        results.append(everything(optimizer))

    results: list = [[] for _ in params]
    threads = [threading.Thread(target=train, args=pair) for pair in zip(params, results, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for copy, (result,) in zip(copies, results, strict=True):
        alone: list = []
        train(copy, alone)
        assert alone == [result]


def test_the_gil_is_released() -> None:
    """Another thread counts while a long step runs."""
    n = 20_000_000
    optimizer = ac.SGD(np.ones(n, np.float32))
    g = np.ones(n, np.float32)
    ac.set_num_threads(1)
    stop, ticks = threading.Event(), []

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    for _ in range(10):
        optimizer.step(g)
    end = time.perf_counter()
    stop.set()
    thread.join()
    within = [t for t in ticks if begin < t < end]
    assert len(within) > 10


def test_a_step_beside_a_step_is_refused() -> None:
    """While one thread's step is in its schedule, the step of another raises RuntimeError and changes nothing."""
    p, g = np.zeros(3), np.ones(3)
    inside, go_on = threading.Event(), threading.Event()

    def schedule(step: int) -> float:
        if threading.current_thread() is thread:
            inside.set()
            assert go_on.wait(30)
        return 1.0 + step

    thread = threading.Thread(target=lambda: optimizer.step(g))
    optimizer = ac.SGD(p, lr=schedule)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(RuntimeError, match="in use by another thread"):
        optimizer.step(g)
    assert p.tolist() == [0.0] * 3
    go_on.set()
    thread.join()
    assert p.tolist() == [-1.0] * 3
    optimizer.step(g)
    assert p.tolist() == [-3.0] * 3


def test_one_optimizer_in_two_threads_is_refused() -> None:
    """The same while a step processes its arrays: of two threads that step continuously, one soon gets an error."""
    p, g = np.zeros(20_000_000, np.float32), np.ones(20_000_000, np.float32)
    optimizer = ac.SGD(p, lr=1.0)
    refused = threading.Event()
    steps: list[int] = []

    def step() -> None:
        deadline = time.monotonic() + 30
        while not refused.is_set() and time.monotonic() < deadline:
            try:
                optimizer.step(g)
            except RuntimeError as error:  # noqa: PERF203
                assert "in use by another thread" in str(error)  # noqa: PT017  (in a thread)
                refused.set()
            else:
                steps.append(1)

    threads = [threading.Thread(target=step) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused.is_set()
    assert optimizer.steps["0"] == len(steps)
    assert np.all(p == -len(steps))


def test_threads_of_blas_and_of_a_step_do_not_fight() -> None:
    """A matrix product leaves BLAS's threads spinning; a step after it is not to wait for a processor they hold.

    OpenMP's barrier did: 7 ms instead of 0.02.
    """
    a, b = np.ones((64, 1024), np.float32), np.ones((1024, 1024), np.float32)
    n = 300_000
    optimizer = ac.AdamW(np.ones(n, np.float32))
    g = np.ones(n, np.float32)

    def median_step() -> float:
        times = []
        for _ in range(60):
            _ = a @ b
            begin = time.perf_counter()
            optimizer.step(g)
            times.append(time.perf_counter() - begin)
        return float(np.median(times))

    ac.set_num_threads(1)
    alone = median_step()
    ac.set_num_threads(max(2, os.cpu_count() or 1))
    assert median_step() < 4 * alone + 1e-3


def test_import_leaves_subnormals_alone() -> None:
    code = """
import numpy as np
before = np.float32(1e-40) * np.float32(0.5), np.float64(5e-324)
import adamcore as ac
p = np.ones(500_000, np.float32)
ac.AdamW(p).step(p.copy())
print(before == (np.float32(1e-40) * np.float32(0.5), np.float64(5e-324)) and before[0] > 0)
"""
    assert run_python(code) == "True"


def test_import_is_quick() -> None:
    """At most 30 ms more than NumPy's or, on a machine that is slow or busy, a third as long as NumPy's."""
    code = """
import time
times = [time.perf_counter()]
import numpy
times.append(time.perf_counter())
import adamcore
print(time.perf_counter() - times[1], times[1] - times[0])
"""
    measured = ([float(seconds) for seconds in run_python(code).split()] for _ in range(10))
    assert any(own < max(0.03, numpys / 3) for own, numpys in measured)


def test_import_brings_in_nothing_heavy() -> None:
    heavy = ("torch", "cupy", "sklearn", "matplotlib", "rich", "adamcore.schedules")
    assert run_python(f"import sys, adamcore; print([m for m in {heavy} if m in sys.modules])") == "[]"


THREADS = "import adamcore as ac; print(ac.get_num_threads())"


def test_threads_from_the_environment() -> None:
    assert run_python(THREADS, ADAMCORE_NUM_THREADS="3") == "3"
    assert run_python(THREADS, OMP_NUM_THREADS="5") == "5"
    assert run_python(THREADS, OMP_NUM_THREADS="4,2") == "4"
    assert run_python(THREADS, OMP_NUM_THREADS="5", ADAMCORE_NUM_THREADS="7") == "7"
    assert run_python(THREADS, OMP_NUM_THREADS="none") == run_python(THREADS)


@linux
def test_threads_follow_affinity() -> None:
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); {THREADS}"
    assert run_python(code) == "1"


def test_set_num_threads() -> None:
    ac.set_num_threads(3)
    assert ac.get_num_threads() == 3
    for bad in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            ac.set_num_threads(bad)
    with pytest.raises(TypeError):
        ac.set_num_threads(1.5)  # type: ignore[arg-type]
    assert ac.get_num_threads() == 3


def test_isa_from_the_environment() -> None:
    code = "import adamcore as ac, json; print(json.dumps(ac.build_info()))"
    for isa in ac.build_info()["isas"]:
        assert json.loads(run_python(code, ADAMCORE_ISA=isa))["isa"] == isa
    for bad, message in (
        ("sse9", "unknown instruction set"),
        ("neon", "no 'neon' path"),
        ("avx512", "no 'avx512' path"),
    ):
        if bad not in ac.build_info()["isas"]:
            done = subprocess.run(
                [sys.executable, "-c", code], env={**os.environ, "ADAMCORE_ISA": bad}, capture_output=True, check=False
            )
            assert done.returncode != 0
            assert message in done.stderr.decode()


def test_build_info() -> None:
    info = ac.build_info()
    assert info["version"] == ac.__version__
    assert info["isa"] in info["isas"]
    assert "baseline" in info["isas"]
    assert info["threads"] == ac.get_num_threads()
    assert info["cuda"] == bool(info["cuda_architectures"])
    assert info["cuda"] or not info["devices"]
    if platform.machine() == "x86_64":
        flags = Path("/proc/cpuinfo").read_text()
        assert ("avx2" in info["isas"]) == (" avx2 " in flags)
