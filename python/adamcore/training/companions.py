"""What goes along with the steps of a run: an average, a monitor, a policy, early stopping and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

from adamcore._checkpoints.folder import Checkpoints
from adamcore._core import short_repr
from adamcore._early_stopping import EarlyStopping
from adamcore.averages import EMA, SWA
from adamcore.escape.policies.policy import Policy as EscapePolicy
from adamcore.monitor.monitor import Monitor
from adamcore.training.trainer import Trainer


class Policy(Protocol):
    """What may act on a run after each step. It may have ``stopped``: whether the run is to end.

    If it has ``state_dict`` and ``load_state_dict``, checkpoints have it.
    """

    def act(self, batch: Any) -> Any:
        """Look at the run, and change it. Return what was done: None, or a list of things that can be shown."""


class Companions:
    """What goes along with the steps of a run. What can be checked without the optimizer is checked first."""

    def __init__(
        self, problem: Any, *, ema: Any, monitor: Any, policy: Any, early_stopping: Any, checkpoints: Any
    ) -> None:
        if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
            raise TypeError(f"fit: early_stopping must be an EarlyStopping or None, got {short_repr(early_stopping)}")
        if early_stopping is not None and not callable(getattr(problem, "evaluate", None)):
            raise TypeError("fit: early_stopping needs a problem with evaluate(params)")
        if policy is not None and not callable(getattr(policy, "act", policy)):
            raise TypeError(
                f"fit: policy must have act(batch), or be a function of the monitor, got {short_repr(policy)}"
            )
        makes_policy = policy is not None and (isinstance(policy, type) or not hasattr(policy, "act"))
        if makes_policy and (monitor is None or monitor is False):
            raise ValueError("fit: policy is a function of the monitor; pass monitor=True, or a monitor")
        if ema is not None and not (isinstance(ema, (EMA, SWA)) or _is_number(ema)):
            raise TypeError(f"fit: ema must be an EMA, an SWA or a decay, got {short_repr(ema)}")
        if _is_number(ema) and not 0 <= ema <= 1:
            raise ValueError(f"fit: ema must be a decay in [0, 1], got {ema}")
        if not (monitor is None or isinstance(monitor, (bool, Monitor)) or callable(monitor)):
            raise TypeError(
                f"fit: monitor must be a Monitor, True, or a function that makes one, got {short_repr(monitor)}"
            )
        self.policy: Policy | None = None if makes_policy else policy
        self.stopping: EarlyStopping | None = early_stopping
        self.checkpoints = _checkpoints_of(checkpoints)
        self.monitor: Monitor | None = None
        self.ema: Any = None
        self._given = monitor, ema
        self._make_policy = policy if makes_policy else None

    def attach(self, trainer: Trainer) -> None:
        """Make what is of the optimizer, the average last."""
        monitor, ema = self._given
        if isinstance(ema, (EMA, SWA)) and ema._opt is not trainer.opt:
            raise ValueError("fit: ema is of another optimizer than the one that is trained; pass its decay instead")
        self.monitor = _monitor_of(monitor, trainer)
        if self._make_policy is not None:
            self.policy = self._make_policy(self.monitor)
        _require_policy(self.policy, self.monitor)
        self.ema = _ema_of(float(ema), trainer.opt) if _is_number(ema) else ema

    def parts(self) -> Mapping[str, Any]:
        """Return what checkpoints have of them, by name."""
        parts: dict[str, Any] = {"monitor": self.monitor, "early_stopping": self.stopping}
        if all(callable(getattr(self.policy, name, None)) for name in ("state_dict", "load_state_dict")):
            parts["policy"] = self.policy
        return {name: part for name, part in parts.items() if part is not None}


def _require_policy(policy: Any, monitor: Monitor | None) -> None:
    """Raise an error for what is no policy, or the policy of a monitor that does not watch the run."""
    if policy is not None and not callable(getattr(policy, "act", None)):
        raise TypeError(f"fit: the function that makes the policy returned {short_repr(policy)}")
    if isinstance(policy, EscapePolicy) and policy.monitor is not monitor:
        raise ValueError(
            "fit: policy is of a monitor that does not watch this run; pass that monitor too, or as policy a function, "
            "lambda monitor: escape.Policy(monitor, ...)"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _checkpoints_of(given: Any) -> Checkpoints | None:
    if given is None or isinstance(given, Checkpoints):
        return given
    if not isinstance(given, (str, os.PathLike)):
        raise TypeError(f"fit: checkpoints must be a Checkpoints, the path of a folder, or None, got {given!r:.80}")
    return Checkpoints(given)


def _ema_of(decay: float, opt: Any) -> EMA:
    """Return an average of the optimizer; that of the same kind which an earlier run has begun, if there is one."""
    known = opt._averages.get("ema")
    if known != {"type": "EMA", "decay": decay, "warmup": True, "every": 1}:
        return EMA(opt, decay)
    found = EMA.__new__(EMA)
    found._opt, found._name = opt, "ema"
    return found


def _monitor_of(given: Any, trainer: Trainer) -> Monitor | None:
    """Return the monitor: what the user made, or what makes it."""
    if given is None or given is False:
        return None
    if given is True:
        return Monitor(trainer.opt, scaler=trainer.scaler)
    made = given if isinstance(given, Monitor) else given(trainer.opt)
    if not isinstance(made, Monitor):
        raise TypeError(f"fit: the function that makes the monitor returned {short_repr(made)}")
    if made._opt is not trainer.opt:
        raise ValueError("fit: monitor is of another optimizer than the one that is trained; pass a function of it")
    return made
