"""`SpikeGuard`: a limit of the gradients' norm that follows the norms of the steps before."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Literal

from adamcore._checks.numbers import as_float, as_int, as_positive
from adamcore._core import SpikeHistory, is_less, short_repr
from adamcore.schedules._described import Described, add_known

_ACTIONS = ("clip", "skip")
_LARGEST_WINDOW = 65536


@add_known
class SpikeGuard(Described):
    """A limit for ``clip_norm`` that only spikes exceed: norms that stand out from those of the last steps.

    Pass it where a number stands: ``clip_norm=ac.SpikeGuard()``. A step's norm is a spike if its logarithm is above
    ``median + k * max(1.4826 * MAD, 0.05)``, where median and MAD (the median distance from the median) are those of
    the logarithms of the last `window` accepted norms. So `k` counts standard deviations, and a norm that is less than
    ``exp(0.05 * k)`` times the median, 1.35 times by default, is never a spike. Nothing is a spike before 16 norms
    have been accepted, or `window` if that is less. All other steps are left as they are.

    A spike is clipped to this limit, or skipped: then ``info.skipped`` is True, nothing changes, and schedules stand
    still. In both cases ``info.spike`` is True. The norm is `StepInfo.grad_norm`: of all gradients, after unscaling and
    before clipping. Of a clipped spike the limit is what the guard remembers, and of a skipped one nothing. So spikes
    do not raise the limit much, and yet a lasting change of the gradients' size is followed: the last step that
    counts as a spike then comes after about `window` steps.

    At most `max_skips` spikes in a row are skipped. Those that follow are clipped, until a step is no spike. (Skipping
    until the norm falls again would end the training if it never does.)

    A step with a gradient that is not finite is none of the guard's business: the option ``nonfinite`` says what
    happens, and the guard forgets the step. Norms of 0 are accepted and not remembered. A `LossScaler` counts a spike
    as a step without overflow, so its scale does not shrink.

    A guard belongs to one optimizer, whose state dict has what the guard remembers; loading it takes this into the
    guard that the optimizer has. A copied optimizer has a copy of the guard. The limit depends on the norms alone,
    and its bits are the same on every machine.

    On a CUDA device, a step waits until the one before it is done, and cannot be captured into a CUDA graph.

    Parameters
    ----------
    k : float
        How many standard deviations a spike is above the median, > 0.
    window : int
        How many norms are remembered, from 2 to 65536.
    action : {"clip", "skip"}
        What happens to a spike.
    max_skips : int
        How many spikes in a row may be skipped, >= 1. With ``action="clip"`` it has no effect.

    Attributes
    ----------
    history : tuple of float
        The norms that the guard remembers, the latest last.
    limit : float
        A larger norm will be a spike. It is inf as long as too few norms are known.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or an optimizer is made with a guard that another one has.

    Notes
    -----
    Two guards are equal if their arguments are, whatever they remember.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.ones(2)
    >>> guard = ac.SpikeGuard(action="skip")
    >>> opt = ac.SGD(w, lr=0.01, clip_norm=guard)
    >>> for _ in range(20):
    ...     info = opt.step(np.array([0.6, 0.8]))
    >>> round(guard.limit, 3)
    1.35
    >>> opt.step(np.array([36.0, 48.0]))
    StepInfo(skipped=True, grad_norm=60.0, spike=True)
    >>> opt.completed
    20
    """

    _has_state = True

    k: float
    window: int
    action: Literal["clip", "skip"]
    max_skips: int

    def __init__(
        self,
        k: float = 6.0,
        window: int = 128,
        action: Literal["clip", "skip"] = "clip",
        max_skips: int = 3,
    ) -> None:
        self.k = _deviations(k)
        self.window = as_int(window, "SpikeGuard: window", f"an int from 2 to {_LARGEST_WINDOW}", 2, _LARGEST_WINDOW)
        if not isinstance(action, str) or action not in _ACTIONS:
            error = ValueError if isinstance(action, str) else TypeError
            raise error(f"SpikeGuard: action must be 'clip' or 'skip', got {short_repr(action)}")
        self.action = action
        self.max_skips = as_int(max_skips, "SpikeGuard: max_skips", "an int >= 1", 1)
        object.__setattr__(self, "_memory", {"state": self._history_of([], 0)})
        self._optimizer: Callable[[], Any] = lambda: None

    def _history_of(self, norms: list[float], skipped: int) -> SpikeHistory:
        return SpikeHistory(self.k, self.window, self.action == "skip", self.max_skips, norms, skipped)

    @property
    def history(self) -> tuple[float, ...]:
        """The norms that the guard remembers, the latest last."""
        return tuple(self._settled().norms)

    @property
    def limit(self) -> float:
        """A larger norm will be a spike. It is inf as long as too few norms are known."""
        return self._settled().limit()

    def _settled(self) -> SpikeHistory:
        """Return the history with all steps so far, for which a device is waited for."""
        optimizer = self._optimizer()
        if optimizer is not None:
            optimizer._native.settle()
        history: SpikeHistory = self._memory["state"]
        return history

    def _belong_to(self, optimizer: Any) -> None:
        """Remember whose norms these are. Raises ValueError if another optimizer that is still alive has the guard."""
        other = self._optimizer()
        if other is not None and other is not optimizer:
            raise ValueError(
                f"{type(optimizer).__name__}: clip_norm: another {type(other).__name__} has this SpikeGuard, which "
                "remembers the norms of its gradients; make a SpikeGuard for each optimizer"
            )
        object.__setattr__(self, "_optimizer", weakref.ref(optimizer))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the arguments and the history, so that a copy belongs to no optimizer."""
        make, arguments, _ = super().__reduce__()
        return make, arguments, self._state_to_dict()

    def __setstate__(self, state: Any) -> None:
        self._memory["state"] = self._state_from_dict(state)

    def _state_to_dict(self) -> dict[str, Any]:
        history = self._settled()
        return {"norms": history.norms, "skipped": history.skipped}

    def _state_from_dict(self, saved: Any) -> SpikeHistory:
        label = "SpikeGuard: state"
        if not isinstance(saved, Mapping) or set(saved) != {"norms", "skipped"}:
            raise ValueError(f"{label} must be a dict with 'norms' and 'skipped', got {short_repr(saved)}")
        norms = saved["norms"]
        if not isinstance(norms, (list, tuple)):
            raise TypeError(f"{label}: norms must be a list, got {short_repr(norms)}")
        kept = [as_positive(norm, f"{label}: norms[{i}]") for i, norm in enumerate(norms)][-self.window :]
        return self._history_of(kept, as_int(saved["skipped"], f"{label}: skipped", "an int >= 0", 0))


def _deviations(k: Any) -> float:
    number = as_float(k, "SpikeGuard: k", "a number > 0")
    if not (is_less(0.0, number) and math.isfinite(number)):
        raise ValueError(f"SpikeGuard: k must be a number > 0, got {short_repr(k)}")
    return number
