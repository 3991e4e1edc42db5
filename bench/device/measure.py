"""The protocol on a GPU: device time by events, host time until a call returns, wall time over many steps."""

from __future__ import annotations

import math
import time
from itertools import cycle
from statistics import median

import cupy
import numpy as np

from device.arrays import DeviceProblem, release
from device.roster import ANCHOR
from measure import sittings_of, take_turns, timing_of
from peers.base import Peer, explain
from record import CaseResult
from shapes import TINY, Case

ROUNDS = 30
KINDS = ("device", "host", "wall")
SAMPLE = 0.004
"""Seconds that the steps of one sample of device or wall time take at least."""
SLOW_STEP = 0.02
"""A step that takes longer is bound by the host, and gets one call a round; its device time is not taken."""
LONGEST_DELAY = 0.06
CACHES = 4
"""A working set is at least so many times the second-level cache, or several take turns."""
USABLE_MEMORY = 0.9

_delay = cupy.RawKernel(
    r"""
    extern "C" __global__ void delay(unsigned long long nanoseconds) {
      unsigned long long start, now;
      asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
      do {
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
      } while (now - start < nanoseconds);
    }
    """,
    "delay",
)


class DeviceRunner:
    """Peers of one kind, several where one would stay in the cache, and the seconds of their steps."""

    def __init__(self, peers: list[Peer]) -> None:
        self.label = type(peers[0]).label
        self.bytes_per_element = type(peers[0]).step_bytes
        self.seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.sets = len(peers)
        self._peers = cycle(peers)
        self._start, self._end = cupy.cuda.Event(), cupy.cuda.Event()

    def calibrate(self) -> None:
        self._wall(4 * self.sets)  # compiles, allocates, captures
        self.host_seconds = min(self._host() for _ in range(3))
        self.step_seconds = min(self._wall(2 * self.sets) for _ in range(2))
        self.is_slow = self.step_seconds > SLOW_STEP
        self.repetitions = 1 if self.is_slow else self.sets * math.ceil(SAMPLE / self.step_seconds / self.sets)

    def sample(self) -> None:
        for _ in range(1 if self.is_slow else 3):
            self.seconds["host"].append(self._host())
        self.seconds["wall"].append(self._wall(self.repetitions))
        if not self.is_slow:
            self.seconds["device"].append(self._device(self.repetitions))

    def _host(self) -> float:
        cupy.cuda.Device().synchronize()
        peer = next(self._peers)
        peer.renew()
        start = time.perf_counter()
        peer.step()
        return time.perf_counter() - start

    def _wall(self, times: int) -> float:
        cupy.cuda.Device().synchronize()
        start = time.perf_counter()
        for _ in range(times):
            next(self._peers).step()
        cupy.cuda.Device().synchronize()
        return (time.perf_counter() - start) / times

    def _device(self, times: int) -> float:
        # The device waits until the host has queued all steps, so that its own time is what is left.
        cupy.cuda.Device().synchronize()
        delay = min(2 * self.host_seconds * times + 1e-4, LONGEST_DELAY)
        _delay((1,), (1,), (np.uint64(delay * 1e9),))
        self._start.record()
        for _ in range(times):
            next(self._peers).step()
        self._end.record()
        self._end.synchronize()
        return cupy.cuda.get_elapsed_time(self._start, self._end) * 1e-3 / times


def measure(case: Case, peers: list[type[Peer]], rounds: int, until: float) -> list[CaseResult]:
    """Time all peers on a case, in as many sittings as the memory asks for; adamcore takes part in each."""
    results = {kind: CaseResult(case.name, case.tensors, case.elements, kind=kind) for kind in KINDS}
    absent = results["device"].absent
    sets = sets_of(case)
    memory = int(cupy.cuda.runtime.memGetInfo()[0] * USABLE_MEMORY / sets)
    problem = DeviceProblem(case.shapes)
    for sitting in sittings_of(case, peers, ANCHOR, memory, absent):
        runners = _start(sitting, problem, sets, absent)
        if ANCHOR.key not in runners:
            break
        take_turns(list(runners.values()), rounds, until)
        for kind in KINDS:
            anchor = runners[ANCHOR.key].seconds[kind]
            for key, runner in runners.items():
                if len(anchor) > 1 and len(runner.seconds[kind]) > 1 and key not in results[kind].timings:
                    results[kind].timings[key] = timing_of(
                        runner.label,
                        runner.seconds[kind],
                        1 if kind == "host" else runner.repetitions,
                        median(anchor),
                        round(runner.bytes_per_element * case.elements),
                    )
        del runners
        release()
    return list(results.values())


def sets_of(case: Case) -> int:
    """Return how many sets of arrays take turns, so that none is found in the cache."""
    cache = cupy.cuda.Device().attributes["L2CacheSize"]
    return max(1, math.ceil(CACHES * cache / (16 * case.elements))) if case not in TINY else 1


def _start(
    sitting: list[type[Peer]], problem: DeviceProblem, sets: int, absent: dict[str, str]
) -> dict[str, DeviceRunner]:
    runners = {}
    for peer_class in sitting:
        try:
            peers = [peer_class(problem.params(), 1) for _ in range(sets)]
            for peer in peers:
                # Gradients of its own for each set: what is shared would be found in the cache.
                peer.use(problem.grads if sets == 1 else [g.clone() for g in problem.grads])
            runner = DeviceRunner(peers)
            runner.calibrate()
        except Exception as error:  # noqa: BLE001  (that a peer fails is a finding)
            absent[peer_class.key] = f"failed: {type(error).__name__}: {explain(error)}"
        else:
            runners[peer_class.key] = runner
        release()
    return runners
