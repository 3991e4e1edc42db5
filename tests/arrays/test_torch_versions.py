"""PyTorch's tensor versions count writes, so that a graph that needs an old value raises an error."""

from __future__ import annotations

import numpy as np
import pytest

import adamcore as ac

torch = pytest.importorskip("torch", reason="PyTorch comes with the bench extra", exc_type=ImportError)


def test_every_way_to_write_is_counted() -> None:
    w, g, buffer = (torch.ones(3, requires_grad=k == 0) for k in range(3))
    writes = {
        "step": lambda: ac.SGD(w).step(g),
        "step with a check": lambda: ac.SGD(w, nonfinite="skip").step(g),
        "step with a scaler": lambda: ac.SGD(w).step(g, loss_scale=ac.LossScaler(1.0)),
        "functional": lambda: ac.functional.sgd(w, g, buffer, t=1, momentum=0.9),
        "clip_grad_norm_": lambda: ac.clip_grad_norm_(w, 0.1),
        "clip_grad_value_": lambda: ac.clip_grad_value_(w, 0.1),
    }
    for name, write in writes.items():
        before = w._version
        write()
        assert w._version > before, name
    assert buffer._version > 0
    assert g._version == 0


def test_a_graph_that_needs_the_old_value_raises() -> None:
    w = torch.ones(3, requires_grad=True)
    loss = (w * w).sum()
    ac.SGD([w], lr=0.5).step([np.ones(3, np.float32)])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
