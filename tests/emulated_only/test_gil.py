"""Calls that block on a full queue or wait: the work before them may be a function that needs the GIL."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

BEGIN = """
import cupy, numpy as np, adamcore as ac
from adamcore import _cuda
_cuda.set_schedule("lazy", 1)
stream = cupy.cuda.Stream(non_blocking=True)
def array():
    return cupy.asarray(np.ones(10, np.float32))
with stream:
    p, g = array(), array()
    opt, scaler = ac.AdamW(p, nonfinite="skip"), ac.LossScaler()
    info = opt.step(g)
    plain = ac.SGD(array(), lr=0.1)
    plain.step(g)
    cupy.cuda.Device().synchronize()
    called = []
    _cuda.queue_callback(stream.ptr, lambda: called.append(1))
"""
END = """
    assert called
print("done")
"""
CALLS = {
    "step": "for _ in range(600): plain.step(g)",
    "measured step": "for _ in range(300): opt.step(g)",
    "scaled step": "for _ in range(300): opt.step(g, loss_scale=scaler)",
    "upload": "for _ in range(1100): plain.upload()",
    "info": "info = opt.step(g); info.skipped",
    "steps": "opt.step(g); opt.steps['0']",
    "scale": "opt.step(g, loss_scale=scaler); scaler.scale",
    "state_dict": "opt.step(g); opt.state_dict()",
    "load_state_dict": "saved = ac.AdamW(array()).state_dict(); opt.step(g); opt.load_state_dict(saved)",
    "add_param_group": "opt.step(g); opt.add_param_group({'params': {'b': array()}})",
    "global_norm": "ac.global_norm(g)",
    "clip_grad_norm_": "ac.clip_grad_norm_(g, 0.1)",
    "clip_grad_value_": "for _ in range(600): ac.clip_grad_value_(g, 0.1)",
    "functional": "for _ in range(600): ac.functional.sgd(p, g, t=1)",
    "making": "kept = [ac.SGD(array(), lr=0.1) for _ in range(300)]",
    "dropping": "plain.step(g); del plain",
}


@pytest.mark.parametrize("call", CALLS)
def test_what_waits_lets_go_of_the_gil(call: str) -> None:
    code = BEGIN + textwrap.indent(CALLS[call], "    ") + END
    done = subprocess.run(
        [sys.executable, "-m", "emulated", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "done", done.stderr
