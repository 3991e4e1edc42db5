"""`switch` that is interrupted: there is the old optimizer, as it was, or the new one, which is complete."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from interruptions import Interruption, interrupt_everywhere
from snapshots import all_of
from switching import gradients, trained


class Trial:
    """An optimizer that is switched, perhaps in part of the way."""

    def __init__(self) -> None:
        self.guard = ac.SpikeGuard()
        self.params, self.opt = trained(clip_norm=self.guard)
        self.ema = ac.EMA(self.opt, 0.5)
        self.before = all_of(self.opt)
        self.moment = self.opt.state["w"]["exp_avg"].copy()
        self.grads = gradients(self.params)

    def switch(self) -> None:
        ac.switch(self.opt, ac.SGD, momentum=0.9)

    def require_all_or_nothing(self) -> bool:
        """Require either the optimizer as it was, or a new one that is complete. Return whether there is one."""
        if repr(self.opt).startswith("<"):
            new = self.opt.switched_to  # type: ignore[attr-defined]
            np.testing.assert_allclose(new.state["w"]["momentum_buffer"], self.moment / (1 - 0.9), rtol=1e-12)
            assert new.switched.carried["momentum_buffer"] == "exp_avg"
        else:
            new = self.opt
            assert all_of(new) == self.before
        new.step(self.grads)
        assert (new.completed, self.ema.count, len(self.guard.history)) == (4, 1, 4)
        with pytest.raises(ValueError, match=f"another {type(new).__name__} has this SpikeGuard"):
            ac.SGD(np.ones(2), clip_norm=self.guard)
        return new is not self.opt


def test_interrupts_leave_one_optimizer_or_the_other() -> None:
    trials: list[Trial] = []
    done = []

    def prepare() -> Callable[[], None]:
        trials[:] = [Trial()]
        return trials[0].switch

    assert interrupt_everywhere(prepare, lambda: done.append(trials[0].require_all_or_nothing()), 120) > 90
    assert done.count(False) > 60


def test_an_interrupt_when_all_is_done_leaves_the_new_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(calls: list[Callable[[], None]]) -> None:
        _core.call_all(calls)
        raise Interruption

    trial = Trial()
    monkeypatch.setattr("adamcore.training.switch.call_all", interrupted)
    with pytest.raises(Interruption):
        trial.switch()
    assert trial.require_all_or_nothing()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such timers")
@pytest.mark.usefixtures("without_collections")
def test_signals_leave_one_optimizer_or_the_other() -> None:
    def handler(*_: object) -> None:
        raise Interruption

    chance, hits = np.random.default_rng(3), 0
    Trial().switch()  # the first call imports
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(200):
            trial = Trial()
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + 1.2e-3 * chance.random())
                trial.switch()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interruption:
                hits += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            trial.require_all_or_nothing()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert hits > 20
