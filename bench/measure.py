"""The protocol: all peers take turns in one process, in another order each round."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
import time
from dataclasses import dataclass, field
from itertools import repeat
from statistics import median, quantiles
from typing import Any

import numpy as np

from peers import ANCHOR, Peer, explain
from problem import Problem
from record import CaseResult, Timing
from shapes import Case

# After a parallel region libgomp's threads spin for 8 ms (measured, with its defaults) in case another follows, and
# would take a core from the next peer. They are let go to sleep before each sample.
PAUSE = 0.012
# Then the peer runs untimed for so long: it wakes its threads, raises the clock and brings back its part of the caches.
WARM_UP = 0.002
# A step of this length has nothing left in the caches and does not notice 50 us of waking.
LONG_STEP = 0.25
SHORTEST_SAMPLE = 0.001
SEED = 7
GRADIENT_BYTES = 4


@dataclass
class Runner:
    """A peer at its work, and the seconds that its steps took."""

    peer: Peer
    step_seconds: float = 0.0
    repetitions: int = 1
    seconds: list[float] = field(default_factory=list)

    def calibrate(self) -> None:
        self._run(1)  # compiles, allocates state, touches pages
        # The faster of two, since a disturbed one would make all samples too short.
        while (seconds := min(self._run(self.repetitions) for _ in range(2))) < SHORTEST_SAMPLE:
            self.repetitions *= 2
        self.step_seconds = seconds / self.repetitions

    def sample(self) -> None:
        time.sleep(PAUSE)
        if self.step_seconds < LONG_STEP:
            self._run(math.ceil(WARM_UP / self.step_seconds))
        self.seconds.append(self._run(self.repetitions) / self.repetitions)

    def _run(self, times: int) -> float:
        step = self.peer.step
        start = time.perf_counter()
        for _ in repeat(None, times):
            step()
        return time.perf_counter() - start


def rounds_for(elements: int, *, quick: bool) -> int:
    if quick:
        return 7
    if elements <= 32 << 20:
        return 40
    return 15 if elements <= 128 << 20 else 9


def measure(case: Case, peers: list[type[Peer]], threads: int, memory: int, *, quick: bool) -> CaseResult:
    """Time all peers on a case, in as many sittings as the memory asks for; adamcore takes part in each."""
    result = CaseResult(case.name, case.tensors, case.elements)
    sittings = sittings_of(case, peers, ANCHOR, memory, result.absent)
    if not sittings:
        return result
    problem = Problem(case.shapes)
    rounds = rounds_for(case.elements, quick=quick)
    for sitting in sittings:
        for key, timing in _sit(sitting, problem, threads, rounds, result.absent).items():
            result.timings.setdefault(key, timing)
        _release_memory()
    return result


def _sit(
    sitting: list[type[Peer]], problem: Problem, threads: int, rounds: int, absent: dict[str, str]
) -> dict[str, Timing]:
    runners = _start(sitting, problem, threads, absent)
    take_turns(list(runners.values()), rounds)
    anchor = median(runners[ANCHOR.key].seconds)
    return {
        key: timing_of(runner.peer.label, runner.seconds, runner.repetitions, anchor) for key, runner in runners.items()
    }


def sittings_of(
    case: Case, peers: list[type[Peer]], anchor: type[Peer], memory: int, absent: dict[str, str]
) -> list[list[type[Peer]]]:
    """Divide peers among sittings that memory holds, with the anchor in each; say who is absent and why."""
    least = GRADIENT_BYTES * case.elements + anchor.memory(case)
    room = memory - least
    if room < 0:
        absent[anchor.key] = f"needs {least / 2**30:.0f} GiB, so that the case is skipped"
        return []
    sittings, left = [[anchor]], room
    for peer in peers:
        needed = peer.memory(case)
        if peer is anchor:
            continue
        if needed > room:
            absent[peer.key] = f"needs {needed / 2**30:.0f} GiB beside adamcore and the gradients"
            continue
        if needed > left:
            sittings.append([anchor])
            left = room
        sittings[-1].append(peer)
        left -= needed
    return sittings


def _start(sitting: list[type[Peer]], problem: Problem, threads: int, absent: dict[str, str]) -> dict[str, Runner]:
    runners = {}
    for peer_class in sitting:
        try:
            peer = peer_class(problem.params(), threads)
            peer.use(problem.grads)
            runner = Runner(peer)
            runner.calibrate()
        except Exception as error:
            if peer_class is ANCHOR:  # without it there is nothing to compare with; that another fails is a finding
                raise
            absent[peer_class.key] = f"failed: {type(error).__name__}: {explain(error)}"
        else:
            runners[peer_class.key] = runner
    return runners


def take_turns(runners: list[Any], rounds: int, until: float = math.inf) -> None:
    """Let each runner take a sample in each round, or in those that begin before the clock shows `until`."""
    order = np.random.default_rng(SEED)
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            if time.perf_counter() > until:
                break
            order.shuffle(runners)
            for runner in runners:
                runner.sample()
    finally:
        gc.enable()


def timing_of(label: str, seconds: list[float], repetitions: int, anchor: float, moved: int = 0) -> Timing:
    q1, middle, q3 = quantiles(seconds, n=4, method="inclusive")
    return Timing(label, middle, q1, q3, len(seconds), repetitions, middle / anchor, moved)


def _release_memory() -> None:
    """Give back what was freed: malloc keeps pieces that are too small to have been mapped on their own."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
