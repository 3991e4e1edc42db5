"""One use of an optimizer at a time: beside a step, within a schedule, and in a child forked during a step."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac

USES: dict[str, Callable[[ac.Optimizer, dict], Any]] = {
    "step": lambda opt, _: opt.step(np.ones(3)),
    "state_dict": lambda opt, _: opt.state_dict(),
    "load_state_dict": lambda opt, saved: opt.load_state_dict(saved),
    "add_param_group": lambda opt, _: opt.add_param_group({"params": {"more": np.zeros(1)}}),
    "state": lambda opt, _: opt.state["0"],
}


@pytest.mark.parametrize("use", USES)
def test_a_schedule_does_not_use_the_optimizer_that_calls_it(use: str) -> None:
    def schedule(step: int) -> float:
        if step == 1:
            assert opt.steps["0"] == 1, "counts can be asked"
            USES[use](opt, saved)
        return 0.5

    opt = ac.AdamW(np.ones(3), lr=schedule)
    opt.step(np.ones(3))
    saved = opt.state_dict()
    before = opt.state["0"]["exp_avg"].tobytes()
    with pytest.raises(RuntimeError, match="AdamW: the optimizer is in use by the call that this code is part of"):
        opt.step(np.ones(3))
    assert opt.state["0"]["exp_avg"].tobytes() == before
    assert (opt.steps["0"], len(opt.param_groups)) == (1, 1)


@pytest.mark.parametrize("use", [*USES, "steps"])
def test_a_thread_does_not_use_an_optimizer_that_another_steps(use: str) -> None:
    inside, done, caught = threading.Event(), threading.Event(), []

    def schedule(step: int) -> float:
        if step == 1:
            inside.set()
            assert done.wait(30)
        return 0.5

    opt = ac.AdamW(np.ones(3), lr=schedule)
    opt.step(np.ones(3))
    saved = opt.state_dict()
    stepping = threading.Thread(target=lambda: opt.step(np.ones(3)))
    stepping.start()
    assert inside.wait(30)
    try:
        USES[use](opt, saved) if use != "steps" else opt.steps["0"]
    except RuntimeError as error:
        caught.append(str(error))
    finally:
        done.set()
        stepping.join()
    assert caught == ["AdamW: the optimizer is in use by another thread; use a lock if threads share an optimizer"]
    assert (opt.steps["0"], len(opt.param_groups)) == (2, 1)


def test_a_checkpoint_beside_steps_is_of_one_step() -> None:
    """The first moment equals the latest gradient, so that a mixture of two steps would show."""
    n = 2_000_000
    opt = ac.AdamW(np.zeros(n, np.float32), betas=(0.0, 0.0))
    opt.step(np.full(n, 1, np.float32))
    for value in range(2, 12):
        stepping = threading.Thread(target=opt.step, args=(np.full(n, value, np.float32),))
        stepping.start()
        while stepping.is_alive():
            try:
                saved = opt.state_dict()["state"]["0"]
            except RuntimeError:
                continue
            assert np.array_equal(np.unique(saved["exp_avg"]), [saved["step"]])
        stepping.join()


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_child_forked_from_a_step_is_told_so() -> None:
    done = run("""
        import os, threading, warnings
        import numpy as np, adamcore as ac
        warnings.simplefilter("ignore")
        inside, go, armed = threading.Event(), threading.Event(), threading.Event()
        def schedule(step):
            if armed.is_set():
                inside.set()
                go.wait(30)
            return 0.5
        w = np.ones(3)
        opt = ac.SGD(w, lr=schedule)
        armed.set()
        thread = threading.Thread(target=opt.step, args=(np.ones(3),))
        thread.start()
        inside.wait(30)
        child = os.fork()
        if child == 0:
            for _ in range(2):
                try:
                    opt.step(np.ones(3))
                except RuntimeError as error:
                    print(error, flush=True)
            fresh = ac.SGD(v := np.ones(200_000), lr=0.5)
            fresh.step(np.ones_like(v))
            print(v[0], flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        go.set()
        thread.join()
        print(w[0])
    """)
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    for line in lines[:2]:
        assert "in another thread when this process was forked" in line
        assert "Make a new optimizer in the child" in line
        assert "schedule" not in line
    assert lines[2:] == ["0.5", "0.5"]


CALLS = {
    "step": "opt.step(g)",
    "a step that measures": "clipped.step(g)",
    "a schedule": "scheduled.step(g)",
    "functional": "ac.functional.sgd(w, g, t=1)",
    "global_norm": "ac.global_norm(g)",
    "clip_grad_norm_": "ac.clip_grad_norm_(g, 1e9)",
    "clip_grad_value_": "ac.clip_grad_value_(g, 1e9)",
    "state_dict": "opt.state_dict()",
    "load_state_dict": "opt.load_state_dict(saved)",
    "add_param_group": "ac.Adam(w)",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_daemon_thread_does_not_change_the_exit_status(call: str) -> None:
    """The interpreter ends while the thread does not hold the GIL, or waits for it."""
    code = f"""
        import threading, time
        import numpy as np, adamcore as ac
        n = 200_000
        w, g = np.zeros(n, np.float32), np.ones(n, np.float32)
        opt, clipped = ac.Adam(w), ac.Adam(w.copy(), clip_norm=1.0)
        scheduled = ac.Adam(w.copy(), lr=lambda step: sum(range(1000)) * 1e-9)
        saved = opt.state_dict()
        begun = threading.Event()
        def run():
            while True:
                {CALLS[call]}
                begun.set()
        threading.Thread(target=run, daemon=True).start()
        begun.wait(30)
        time.sleep(0.01)
        raise SystemExit(7)
    """
    for _ in range(3):
        done = run(code)
        assert done.returncode == 7, done.stderr
