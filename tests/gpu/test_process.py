"""The engine in a process: no waiting in a step, forks, threads, what the extension links, what an import loads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest
import torch

import adamcore as ac
from gpu.device import CUPY, SLOW, TORCH, Library, Twins, bits_of, spin
from reference import magnitudes
from storage import BF16, F16, F32

# What a fresh interpreter needs to have a device, where that is not a real one.
OPTIONS = os.environ.get("ADAMCORE_GPU_PYTHON", "").split()
STEPS = 600 if SLOW else 10_000

# Far above what a step takes on the host, and far below what it would wait for.
BUSY, PATIENCE = 200, 0.04
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clip_norm": {"clip_norm": 1.0},
    "clip_norm_per_tensor": {"clip_norm_per_tensor": 1.0},
    "clip_adaptive": {"clip_adaptive": 0.1},
    "clip_value": {"clip_value": 0.1},
    "skip": {"nonfinite": "skip"},
    "stochastic": {"precision": ac.Precision(master=None, rounding="stochastic")},
    "schedule": {"lr": lambda step: 0.1 / (1 + step)},
}


def seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# A schedule goes by the number of steps that were not skipped, which with a scaler the device alone knows: that waits.
WITHOUT_WAITING = [
    (name, scaled) for name in CONFIGURATIONS for scaled in (False, True) if (name, scaled) != ("schedule", True)
]


@pytest.mark.parametrize(("options", "scaled"), WITHOUT_WAITING, ids=str)
def test_a_step_does_not_wait(library: Library, options: str, scaled: bool) -> None:
    """Steps return within a few ms behind 200 ms of other work on the stream, even with new gradient arrays."""
    dtype = F16 if "precision" in CONFIGURATIONS[options] else F32
    params = [library.put(np.ones(1000 + k, dtype)) for k in range(20)]
    optimizer = ac.AdamW(params, **CONFIGURATIONS[options])
    scale: Any = ac.LossScaler() if scaled else 1.0
    sets = [[library.put(np.full(1000 + k, 0.5, dtype)) for k in range(20)] for _ in range(4)]
    optimizer.step(sets[0], loss_scale=scale)
    if scaled:
        scale.device_scale(optimizer)
    torch.cuda.synchronize()
    times = []
    if library is CUPY:
        spin(BUSY)
    else:
        torch.cuda._sleep(400_000_000)
    done = cupy.cuda.Event() if library is CUPY else torch.cuda.Event()
    done.record()
    for k in range(8):
        times.append(seconds(lambda k=k: optimizer.step(sets[k % 4], loss_scale=scale)))
        if scaled:
            times.append(seconds(lambda: scale.device_scale(optimizer)))
    still_busy = not done.done if library is CUPY else not done.query()
    torch.cuda.synchronize()
    assert still_busy
    assert max(times) < PATIENCE
    assert sorted(times)[len(times) // 2] < 0.005


def test_making_an_optimizer_does_not_wait(library: Library) -> None:
    """Nor does it run before what is on the stream: state is zeroed in order."""
    p = library.put(np.ones(300_000, F32))
    ac.AdamW(library.put(np.ones(3, F32)))
    torch.cuda.synchronize()
    if library is CUPY:
        spin(BUSY)
    else:
        torch.cuda._sleep(400_000_000)
    assert seconds(lambda: ac.AdamW(p)) < PATIENCE * 2
    torch.cuda.synchronize()


def test_a_child_of_a_fork_is_refused() -> None:
    code = """
import os, sys
import numpy as np, cupy
import adamcore as ac
p, g = cupy.ones(1000, np.float32), cupy.ones(1000, np.float32)
opt = ac.AdamW(p)
opt.step(g)
cpu = ac.AdamW(np.ones(1000))
pid = os.fork()
if pid == 0:
    status = 1
    try:
        opt.step(g)
    except RuntimeError as error:
        status = 0 if "cannot be used after fork" in str(error) else 2
    cpu.step(np.ones(1000))
    os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
opt.step(g)
assert opt.steps["0"] == 2 and bool(cupy.all(cupy.isfinite(p)))
print("parent goes on")
"""
    assert run_python(code) == "parent goes on"


@pytest.mark.torch
def test_steps_from_other_threads(rng: np.random.Generator) -> None:
    """Threads that have not called CUDA yet, and have no current device."""
    p = magnitudes(rng, (5000,)).astype(F32)
    twins = [Twins(library, lambda a: ac.AdamW(a, clip_norm=1.0), [p]) for library in (CUPY, TORCH)]
    grads = [magnitudes(rng, (5000,)).astype(F32) for _ in range(3)]
    there = [[twin.library.put(g) for g in grads] for twin in twins]
    torch.cuda.synchronize()

    def work(twin: Twins, arrays: list[Any]) -> None:
        for g in arrays:
            twin.gpu.step([g])

    threads = [threading.Thread(target=work, args=pair) for pair in zip(twins, there, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for twin in twins:
        for g in grads:
            twin.cpu.step([g])
        twin.check()


def test_what_the_extension_links() -> None:
    """Loading it needs no CUDA library: the runtime is linked statically, and the driver is found at run time."""
    (extension,) = Path(ac.__file__).parent.glob("_cuda*.so")
    done = subprocess.run(["readelf", "-d", str(extension)], capture_output=True, text=True, check=True)
    needed = [line.split("[")[1].rstrip("]") for line in done.stdout.splitlines() if "(NEEDED)" in line]
    assert needed
    assert [name for name in needed if "cuda" in name or "nvrtc" in name or "torch" in name] == []
    assert "RPATH" not in done.stdout
    assert "RUNPATH" not in done.stdout


def test_an_import_loads_nothing_of_cuda() -> None:
    code = """
from pathlib import Path
import numpy as np, adamcore as ac
ac.AdamW(np.ones(3)).step(np.ones(3))
maps = Path("/proc/self/maps").read_text()
print([name for name in ("libcuda.so", "libcudart", "adamcore/_cuda") if name in maps])
"""
    assert run_python(code) == "[]"


@pytest.mark.torch
def test_build_info() -> None:
    info = ac.build_info()
    assert info["cuda"] is True
    assert info["cuda_architectures"]
    count = cupy.cuda.runtime.getDeviceCount()
    assert info["devices"] == [torch.cuda.get_device_name(k) for k in range(count)]


def test_many_steps_leave_memory_where_it_was() -> None:
    params = {f"p{i}": CUPY.put(np.ones(1000 + i, F32)) for i in range(50)}
    optimizer = ac.AdamW(params, lr=lambda t: 1e-3 / (1 + t), clip_norm=1.0)
    grads = [{name: cupy.full_like(p, k) for name, p in params.items()} for k in (0.5, -0.5)]
    for t in range(200):
        optimizer.step(grads[t % 2])
    cupy.cuda.Device().synchronize()
    before = resident(), cupy.get_default_memory_pool().total_bytes(), cupy.cuda.runtime.memGetInfo()[0]
    for t in range(STEPS):
        optimizer.step(grads[t % 2])
    cupy.cuda.Device().synchronize()
    assert resident() - before[0] < 2 << 20
    assert cupy.get_default_memory_pool().total_bytes() == before[1]
    assert cupy.cuda.runtime.memGetInfo()[0] == before[2]


def test_another_device_is_current(rng: np.random.Generator) -> None:
    """With two devices the arrays lie on the last; with one, a thread steps that has touched no device."""
    last = cupy.cuda.runtime.getDeviceCount() - 1
    p = magnitudes(rng, (5000,)).astype(BF16)
    g = magnitudes(rng, (5000,)).astype(F32)
    expected = ac.AdamW(p.copy(), clip_norm=1.0)
    expected.step(g)
    with cupy.cuda.Device(last):
        there, grad = CUPY.put(p), CUPY.put(g)
        optimizer = ac.AdamW(there, clip_norm=1.0)
        cupy.cuda.Device().synchronize()
    found = []

    def step() -> None:
        optimizer.step(grad)
        found.append(cupy.cuda.runtime.getDevice())

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert found == [0]  # a step leaves the current device what it was
    with cupy.cuda.Device(last):
        assert bits_of(CUPY.get(there)) == bits_of(expected.param_groups[0]["params"][0])


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *OPTIONS, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
