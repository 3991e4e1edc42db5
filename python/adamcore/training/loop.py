"""The loop of `fit`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from adamcore._arrays.libraries import as_numpy, assign
from adamcore._arrays.structures import named_arrays
from adamcore._checkpoints.folder import Checkpoints
from adamcore._core import short_repr
from adamcore._early_stopping import EarlyStopping
from adamcore.averages import EMA
from adamcore.monitor.monitor import Monitor
from adamcore.training.interrupts import Interrupts
from adamcore.training.progress import Silent
from adamcore.training.run import Ended, Run
from adamcore.training.trainer import Done, Trainer

Callback = Callable[[Run], object]


class Limits(NamedTuple):
    """How long a run goes on, and when it is validated."""

    steps: int | None
    epochs: int | None
    validate_every: int | None


class Loop:
    """One run: the steps, and what goes along with them. It is a part of its checkpoints."""

    def __init__(
        self, trainer: Trainer, *, ema: Any, monitor: Any, policy: Any, early_stopping: Any, checkpoints: Any
    ) -> None:
        opt = trainer.opt
        can_evaluate = callable(getattr(trainer.problem, "evaluate", None))
        if early_stopping is not None and not (isinstance(early_stopping, EarlyStopping) and can_evaluate):
            raise TypeError("fit: early_stopping must be an EarlyStopping, and needs a problem with evaluate(params)")
        if policy is not None and not callable(getattr(policy, "act", None)):
            raise TypeError(f"fit: policy must have act(batch), got {short_repr(policy)}")
        self.trainer, self.policy, self.stopping = trainer, policy, early_stopping
        self.ema = EMA(opt, ema) if isinstance(ema, (int, float)) and not isinstance(ema, bool) else ema
        if self.ema is not None and not callable(getattr(self.ema, "swap", None)):
            raise TypeError(f"fit: ema must be an EMA or its decay, got {short_repr(ema)}")
        self.monitor = _monitor_of(monitor, trainer)
        is_path = checkpoints is not None and not isinstance(checkpoints, Checkpoints)
        self.checkpoints: Checkpoints | None = Checkpoints(checkpoints) if is_path else checkpoints
        self.run = Run(trainer.params, opt, monitor=self.monitor, ema=self.ema)
        self.can_evaluate = can_evaluate
        self.best: dict[str, Any] | None = None
        self.has_stopped = False
        self.validated_at = -1
        self.metric: float | None = None

    def run_all(self, limits: Limits, callbacks: tuple[Callback, ...], progress: Silent) -> Run:
        """Run, and return the run."""
        run = self.run
        if self.checkpoints is not None:
            self.checkpoints.load(run.opt, **self._parts())
        self.progress = progress
        walls = run.history["wall"]
        before = float(walls[-1]) if len(walls) else 0.0
        self.began = time.perf_counter() - before
        if run.history.began is None:
            run.history.began = time.time() - before
        progress.begin(limits.steps, run.step)
        with Interrupts() as interrupts:
            try:
                run.ended = self._go_on(limits, callbacks, interrupts)
                self._validate()
            except KeyboardInterrupt:
                run.ended = "interrupted"
            finally:
                progress.end()
            run.seconds, run.step_seconds = self.trainer.seconds, self.trainer.step_seconds
            if self.checkpoints is not None and not self.trainer.is_torn:
                self._save(always=True)
            self._restore_best()
        return run

    def _go_on(self, limits: Limits, callbacks: tuple[Callback, ...], interrupts: Interrupts) -> Ended:
        run, trainer = self.run, self.trainer
        while True:
            if ended := self._end(limits, interrupts):
                return ended
            done = trainer.step(self.monitor is not None and self.monitor.wants_stats and self.monitor.columns)
            if done is None:
                if limits.validate_every is None:
                    self._validate()
                continue
            self._note(done)
            trainer.is_torn = False
            if limits.validate_every is not None and run.step % limits.validate_every == 0:
                self._validate()
            if self.checkpoints is not None and self.checkpoints.every is not None:
                self._save()
            if self.policy is not None:
                for act in self.policy.act(done.batch) or ():
                    self.progress.say(str(act))
            if [callback for callback in callbacks if callback(run) is True]:
                return "callback"

    def _end(self, limits: Limits, interrupts: Interrupts) -> Ended | None:
        """Return why the run ends now, or None."""
        if interrupts.came:
            return "interrupted"
        if self.has_stopped:
            return "early_stopping"
        if getattr(self.policy, "stopped", False):
            return "policy"
        if limits.steps is not None and self.run.step >= limits.steps:
            return "steps"
        if limits.epochs is not None and self.trainer.batches.epoch >= limits.epochs:
            return "epochs"
        return None

    def _note(self, done: Done) -> None:
        """Write down a step, and show it to the monitor."""
        step, norm = self.run.step + 1, done.info.grad_norm
        self.run.history.append(
            {
                "step": step,
                "wall": time.perf_counter() - self.began,
                "loss": done.loss,
                "lr": done.lr,
                "grad_norm": math.nan if norm is None else norm,
                "skipped": done.info.skipped,
            }
        )
        self.progress.step(step, done.loss)
        if self.monitor is not None:
            for finding in self.monitor.observe(done.loss, done.info, grads=done.grads):
                self.progress.say(str(finding))

    def _validate(self) -> None:
        """Measure the validation data, unless they have been after this step, and act on the metric."""
        run = self.run
        if not run.step or self.validated_at == run.step:
            return
        self.validated_at = run.step
        if self.can_evaluate:
            numbers = self.trainer.evaluate(self.ema)
            self.metric = numbers.get("val_loss", next(iter(numbers.values())))
            run.history.amend(numbers)
            self.progress.validation(run.step, {"loss": run.history["loss"][-1], **numbers})
            self._see_metric(self.metric)
        if self.checkpoints is not None and self.checkpoints.every is None:
            self._save()

    def _see_metric(self, metric: float) -> None:
        if self.monitor is not None:
            for finding in self.monitor.observe_validation(metric):
                self.progress.say(str(finding))
        if self.stopping is None:
            return
        if not math.isfinite(metric):
            self.has_stopped = True
            return
        self.has_stopped = self.stopping.observe(metric, step=self.run.step)
        if self.stopping.best_step == self.run.step:
            with self.trainer.evaluating(self.ema):
                named = named_arrays(self.run.opt.param_groups)
                self.best = {name: np.array(as_numpy(array, "fit")) for name, array in named}

    def _restore_best(self) -> None:
        """Make the parameters those of the best validation."""
        if self.stopping is None or self.best is None:
            return
        for name, array in named_arrays(self.run.opt.param_groups):
            assign(array, self.best[name])
        self.run.best, self.run.best_step = self.stopping.best, self.stopping.best_step

    def _parts(self) -> dict[str, Any]:
        parts = {"fit": self, "monitor": self.monitor, "early_stopping": self.stopping, "scaler": self.trainer.scaler}
        return {name: part for name, part in parts.items() if part is not None}

    def _save(self, *, always: bool = False) -> None:
        assert self.checkpoints is not None
        metric = self.metric if self.validated_at == self.run.step else None
        self.checkpoints.save(self.run.step, self.run.opt, metric, always=always, **self._parts())

    def state_dict(self) -> dict[str, Any]:
        """Return where the run is, and what it has measured."""
        return {
            "seed": self.trainer.seed,
            "accumulate": self.trainer.accumulate,
            "position": self.trainer.position(),
            "history": self.run.history.state_dict(),
            "best": self.best,
            "has_stopped": self.has_stopped,
            "validated_at": self.validated_at,
            "metric": self.metric,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        for name in ("seed", "accumulate"):
            if saved[name] != getattr(self.trainer, name):
                raise ValueError(
                    f"fit: the checkpoint is of a run with {name}={saved[name]}, and this one has "
                    f"{name}={getattr(self.trainer, name)}; use another folder"
                )
        self.run.history.load_state_dict(saved["history"])
        self.trainer.go_to(saved["position"])
        self.best, self.metric = saved["best"], saved["metric"]
        self.has_stopped, self.validated_at = bool(saved["has_stopped"]), int(saved["validated_at"])


def _monitor_of(monitor: Any, trainer: Trainer) -> Monitor | None:
    """Return the monitor: what the user made, or what makes it."""
    if monitor is None or monitor is False or isinstance(monitor, Monitor):
        return monitor or None
    if monitor is True:
        return Monitor(trainer.opt, scaler=trainer.scaler)
    if not callable(monitor):
        raise TypeError(
            f"fit: monitor must be a Monitor, True, or a function that makes one, got {short_repr(monitor)}"
        )
    made = monitor(trainer.opt)
    if not isinstance(made, Monitor):
        raise TypeError(f"fit: the function that makes the monitor returned {short_repr(made)}")
    return made
