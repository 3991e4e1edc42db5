"""The loop of `fit`."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from adamcore._arrays.libraries import as_numpy, assign
from adamcore._arrays.structures import named_arrays
from adamcore.escape.policies.policy import Policy as EscapePolicy
from adamcore.optimizers import ScheduleFreeAdamW
from adamcore.training.companions import Companions
from adamcore.training.interrupts import Interrupts
from adamcore.training.problem import deciding
from adamcore.training.progress import Silent
from adamcore.training.run import Ended, Run
from adamcore.training.trainer import Done, Trainer

Callback = Callable[[Run], object]


class Limits(NamedTuple):
    """How long a run goes on, and when it is validated."""

    steps: int | None
    epochs: int | None
    validate_every: int | None


class _Measured(NamedTuple):
    """What a validation gave, and a copy of the weights that it measured if they may be wanted."""

    numbers: dict[str, float]
    weights: dict[str, Any] | None

    @property
    def metric(self) -> float | None:
        """The number that counts, if there is any."""
        return self.numbers[deciding(self.numbers)] if self.numbers else None


class Loop:
    """One run: the steps, and what goes along with them. It is a part of its checkpoints."""

    def __init__(
        self,
        trainer: Trainer,
        companions: Companions,
        limits: Limits,
        callbacks: tuple[Callback, ...],
        progress: Silent,
    ) -> None:
        self.trainer, self.limits, self.callbacks, self.progress = trainer, limits, callbacks, progress
        self.with_ = companions
        self.run = Run(trainer.params, trainer.opt, monitor=companions.monitor, ema=companions.ema)
        self.can_evaluate = callable(getattr(trainer.problem, "evaluate", None))
        self.best: dict[str, Any] | None = None
        self.has_stopped = False
        self.validated_at = 0
        self.metric: float | None = None
        self.saved_at: tuple[int, int] | None = None
        self.began = 0.0

    def run_all(self) -> Run:
        """Run, and return the run."""
        self._go_on_from_checkpoint()
        with Interrupts() as interrupts:
            try:
                self.progress.begin(self.limits.steps, self.run.step)
                self._run(interrupts)
            finally:
                self.progress.end()
        if interrupts.came:
            self.run.ended = "interrupted"
        return self.run

    def _go_on_from_checkpoint(self) -> None:
        run, opt = self.run, self.run.opt
        found = None
        if self.with_.checkpoints is not None:
            wanted = _plain_numbers(opt)
            try:
                # A policy may have cut rates that are schedules, and then the checkpoint has others than the optimizer.
                choice: Any = "saved" if isinstance(self.with_.policy, EscapePolicy) else None
                found = self.with_.checkpoints.load(opt, schedules=choice, **self._parts())
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(
                    f"fit: the checkpoint in {self.with_.checkpoints.folder} does not fit: {error} (Pass the same "
                    "rule, schedules, monitor, policy, early_stopping and scaler as before, or use another folder.)"
                ) from error
            if found is not None:
                self.progress.say(f"fit: goes on from step {run.step}, from {self.with_.checkpoints.folder}")
                _warn_of_other_numbers(wanted, _plain_numbers(opt))
        if found is None and self.with_.stopping is not None and self.with_.stopping.state_dict()["step"] is not None:
            raise ValueError("fit: early_stopping has seen another run; pass a new one")
        if self.best is not None and self.with_.stopping is not None:
            run.best, run.best_step = self.with_.stopping.best, self.with_.stopping.best_step
        if isinstance(opt, ScheduleFreeAdamW):
            opt.train()
        walls = run.history["wall"]
        before = float(walls[-1]) if len(walls) else 0.0
        self.began = time.perf_counter() - before
        if run.history.began is None:
            run.history.began = time.time() - before

    def _run(self, interrupts: Interrupts) -> None:
        """Do all steps, and what comes at the end of a run."""
        measured, second = None, None
        try:
            self.run.ended = self._steps(interrupts)
            if self.run.ended != "interrupted":
                measured = self._measure()
        except KeyboardInterrupt as error:
            self.run.ended = "interrupted"
            second = error if interrupts.came else None
        # What is measured only because the run ends is no part of the checkpoint, from which a longer run may go on.
        self._save_last(measured)
        if measured is not None:
            self._record(measured)
        self._restore_best()
        if second is not None:
            raise second

    def _steps(self, interrupts: Interrupts) -> Ended:
        if self._is_due():  # as if an interrupt came before
            self._validate()
        while True:
            if ended := self._end(interrupts):
                return ended
            monitor = self.with_.monitor
            done = self.trainer.step(monitor is not None and monitor.wants_stats and monitor.columns)
            if done is None:
                continue
            self._note(done)
            if is_due := self._is_due():
                self._validate()
            answers = [callback(self.run) for callback in self.callbacks]
            if any(map(is_true, answers)):
                return "callback"
            if self.with_.checkpoints is not None and (is_due or self.with_.checkpoints.every is not None):
                self._save()

    def _end(self, interrupts: Interrupts) -> Ended | None:
        """Return why the run ends now, or None."""
        if interrupts.came:
            return "interrupted"
        if self.has_stopped:
            return "early_stopping"
        if getattr(self.with_.policy, "stopped", False):
            return "policy"
        if self.limits.steps is not None and self.run.step >= self.limits.steps:
            return "steps"
        if self.limits.epochs is not None and self.trainer.batches.epoch >= self.limits.epochs:
            return "epochs"
        return None

    def _note(self, done: Done) -> None:
        """Write down a step, show it to the monitor, and let the policy act."""
        run, trainer = self.run, self.trainer
        step, norm = run.step + 1, done.info.grad_norm
        run.history.append(
            {
                "step": step,
                "wall": time.perf_counter() - self.began,
                "loss": done.loss,
                "lr": done.lr,
                "grad_norm": math.nan if norm is None else norm,
                "skipped": done.info.skipped,
            }
        )
        run.seconds, run.step_seconds = trainer.seconds, trainer.step_seconds
        self.progress.step(step, done.loss)
        if self.with_.monitor is not None:
            for finding in self.with_.monitor.observe(done.loss, done.info, grads=done.grads):
                self.progress.say(str(finding))
        if self.with_.policy is not None:
            for act in self.with_.policy.act(done.batch) or ():
                self.progress.say(str(act))
        trainer.is_torn = False

    def _is_due(self) -> bool:
        """Whether there is a validation after this step, which has not been yet."""
        step, every = self.run.step, self.limits.validate_every
        if self.validated_at == step or not (self.can_evaluate or self.with_.checkpoints is not None):
            return False
        return self.trainer.is_at_end() if every is None else step % every == 0

    def _validate(self) -> None:
        measured = self._measure()
        if measured is not None:
            self._record(measured)

    def _measure(self) -> _Measured | None:
        """Measure the validation data, unless they have been after this step. This changes nothing."""
        if self.validated_at == self.run.step:
            return None
        if not self.can_evaluate:
            return _Measured({}, None)
        with self.trainer.evaluating(self.with_.ema):
            numbers, weights = self.trainer.metrics(), None
            if self.with_.stopping is not None:
                named = named_arrays(self.run.opt.param_groups)
                weights = {name: np.array(as_numpy(array, "fit")) for name, array in named}
        return _Measured(numbers, weights)

    def _record(self, measured: _Measured) -> None:
        """Note a validation, and act on the metric."""
        run, metric = self.run, measured.metric
        self.trainer.is_torn = True
        self.validated_at, self.metric = run.step, metric
        if metric is not None:
            run.history.amend(measured.numbers)
            self.progress.validation(run.step, {"loss": run.history.columns["loss"][-1], **measured.numbers})
            if self.with_.monitor is not None:
                for finding in self.with_.monitor.observe_validation(metric):
                    self.progress.say(str(finding))
            self._see_metric(metric, measured.weights)
        self.trainer.is_torn = False

    def _see_metric(self, metric: float, weights: dict[str, Any] | None) -> None:
        stopping, run = self.with_.stopping, self.run
        if stopping is None:
            return
        if not math.isfinite(metric):
            self.has_stopped = True
            return
        self.has_stopped = stopping.observe(metric, step=run.step)
        if stopping.best_step == run.step:
            self.best, run.best, run.best_step = weights, stopping.best, stopping.best_step

    def _restore_best(self) -> None:
        """Make the parameters those of the best validation."""
        if self.best is None:
            return
        opt = self.run.opt
        if isinstance(opt, ScheduleFreeAdamW) and self.with_.ema is None:
            opt.eval()
        for name, array in named_arrays(opt.param_groups):
            assign(array, self.best[name])

    def _parts(self) -> dict[str, Any]:
        scaler = {} if self.trainer.scaler is None else {"scaler": self.trainer.scaler}
        return {"fit": self, **self.with_.parts(), **scaler}

    def _save(self, *, always: bool = False, metric: float | None = None) -> None:
        run, checkpoints = self.run, self.with_.checkpoints
        assert checkpoints is not None
        known = self.metric if self.validated_at == run.step else metric
        if checkpoints.save(run.step, run.opt, known, always=always, **self._parts()) is not None:
            self.saved_at = run.step, run.opt.accumulated

    def _save_last(self, measured: _Measured | None) -> None:
        """Save what there is at the end, unless it has been or is half of something."""
        if self.with_.checkpoints is None or self.trainer.is_torn:
            return
        metric = None if measured is None else measured.metric
        if metric is not None or self.saved_at != (self.run.step, self.run.opt.accumulated):
            self._save(always=True, metric=metric)

    def state_dict(self) -> dict[str, Any]:
        """Return where the run is, and what it has measured."""
        return {
            "seed": self.trainer.seed,
            "accumulate": self.trainer.accumulate,
            "position": self.trainer.position(),
            "history": self.run.history.state_dict(),
            "seconds": [self.trainer.seconds, self.trainer.step_seconds],
            "best": self.best,
            "has_stopped": self.has_stopped,
            "validated_at": self.validated_at,
            "metric": self.metric,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        run, trainer = self.run, self.trainer
        for name in ("seed", "accumulate"):
            if saved[name] != getattr(trainer, name):
                raise ValueError(
                    f"fit: the checkpoint is of a run with {name}={saved[name]}, and this one has "
                    f"{name}={getattr(trainer, name)}; use another folder"
                )
        run.history.load_state_dict(saved["history"])
        trainer.go_to(saved["position"])
        trainer.seconds, trainer.step_seconds = run.seconds, run.step_seconds = saved["seconds"]
        self.best, self.metric = saved["best"], saved["metric"]
        self.has_stopped, self.validated_at = bool(saved["has_stopped"]), int(saved["validated_at"])


def is_true(value: object) -> bool:
    """Whether a value is True, also NumPy's. A callback that returns something else lets the run go on."""
    return isinstance(value, (bool, np.bool_)) and bool(value)


def _plain_numbers(opt: Any) -> dict[str, Any]:
    """Return the hyper-parameters that are no schedules, by what messages call them."""
    return {
        f"{name} of group {place}" if place else name: value
        for place, group in enumerate(opt.param_groups)
        for name, value in group.items()
        if name not in ("params", "param_names", "name") and not callable(value)
    }


def _warn_of_other_numbers(wanted: Mapping[str, Any], used: Mapping[str, Any]) -> None:
    """Warn if the checkpoint has other numbers than the optimizer was made with."""
    other = [
        f"{name}={used[name]!r}, not {value!r}" for name, value in wanted.items() if used.get(name, value) != value
    ]
    if other:
        warnings.warn(
            f"fit: the checkpoint's numbers are used: {'; '.join(other)}. To go on with others, write them into "
            "run.opt.param_groups and go on with that optimizer, or use another folder.",
            UserWarning,
            stacklevel=5,
        )
