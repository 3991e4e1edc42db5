"""`fit`: a training loop, small enough to read. Each part of it works in a loop of your own too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from adamcore._checkpoints.folder import Checkpoints
from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore._early_stopping import EarlyStopping
from adamcore.averages import EMA, SWA
from adamcore.loss_scaler import LossScaler
from adamcore.monitor.monitor import Monitor
from adamcore.optimizer import Optimizer
from adamcore.training.companions import Companions, Policy
from adamcore.training.loop import Limits, Loop
from adamcore.training.progress import make_progress
from adamcore.training.run import Run
from adamcore.training.trainer import Trainer


def fit(
    problem: Any,
    opt_or_factory: Optimizer | Callable[[Any], Optimizer],
    *,
    steps: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    validate_every: int | None = None,
    accumulate: int = 1,
    ema: EMA | SWA | float | None = None,
    scaler: LossScaler | None = None,
    monitor: Monitor | Callable[[Optimizer], Monitor] | bool | None = None,
    policy: Policy | Callable[[Monitor], Policy] | None = None,
    early_stopping: EarlyStopping | None = None,
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
    callbacks: Iterable[Callable[[Run], object]] = (),
    progress: str | bool | None = "auto",
) -> Run:
    """Train a problem.

    Parameters
    ----------
    problem : Problem
        An object or a module with the functions ``init(rng)``, which returns parameters; ``batches(rng)``, which
        returns an iterator over the batches of one epoch; ``loss_and_grad(params, batch)``, which returns the loss and
        the gradients; and, if you like, ``evaluate(params)``, which returns metrics of validation data by name, such
        as ``{"val_loss": 0.3}``, and ``weight(batch)``, the number of rows in a batch.
    opt_or_factory : Optimizer or callable
        What makes an optimizer of the parameters, such as ``functools.partial(ac.AdamW, lr=1e-3)``. Or an optimizer
        that exists: its parameters are trained then, and ``init`` is not called.
    steps, epochs : int, optional
        The run ends after so many steps or epochs, whatever comes first. At least one of them is needed.
    seed : int
        The seed of the generator that ``init`` and then ``batches`` get: ``numpy.random.default_rng(seed)``.
    validate_every : int, optional
        After how many steps ``evaluate`` is called. The default is at the end of each epoch. It is also called at the
        end of the run, unless that was interrupted.
    accumulate : int
        How many batches make one step. The last step of an epoch may have fewer.
    ema : EMA, SWA or float, optional
        An average of the weights of an optimizer that you pass, or the decay of one to be made. Validations are of the
        average then.
    scaler : LossScaler, optional
        ``loss_and_grad`` is then called with ``loss_scale=scaler.scale`` too, and returns gradients multiplied by it.
    monitor : Monitor, callable or True, optional
        What watches the run: a `Monitor` of the optimizer, a function that makes one of it, or True for the default.
    policy : optional
        What may act on the run: an `escape.Policy` of the monitor, a function that makes one of the monitor, or any
        object with ``act(batch)``, which is called after each step and returns what it did. It may end the run by
        ``policy.stopped``.
    early_stopping : EarlyStopping, optional
        It sees "val_loss" of each validation, or else the first metric. A metric that is not finite ends the run.
        However the run ends, unless by an exception, the parameters are those of the best validation then.
    checkpoints : Checkpoints or path, optional
        Where checkpoints are saved: at validations, or in every ``checkpoints.every``-th step; and at the end. If there
        is one, the run goes on from it, with the bits of a run that was never interrupted; so the same call can be
        repeated, also with more `steps`.
    callbacks : iterable of callables
        Each is called with the run after every step, and after its validation. If one returns True, the run ends.
    progress : {"auto", "bar", "lines", None}
        A bar of rich's on a terminal, and a line at each validation elsewhere, on stderr.

    Returns
    -------
    Run

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the problem lacks a function. (What its functions raise is not caught.)

    Notes
    -----
    The first Ctrl-C ends the run after the present step: the checkpoint is saved, and the run is returned. So does a
    `KeyboardInterrupt` that a function of the problem or a callback raises. A second Ctrl-C breaks off what is being
    computed: the checkpoint of the last whole step is saved, and `KeyboardInterrupt` is raised. A program's own handler
    of SIGINT is left alone.

    In the checkpoint is the state before the validation with which a run ends in the middle of an epoch, since a longer
    run has none there.

    `ScheduleFreeAdamW` is in its mode "eval" when the best weights have been restored, and in "train" otherwise.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> class Line:
    ...     def init(self, rng):
    ...         return {"w": rng.standard_normal(3)}
    ...     def batches(self, rng):
    ...         for _ in range(10):
    ...             yield rng.standard_normal((32, 3))
    ...     def loss_and_grad(self, params, x):
    ...         error = x @ params["w"] - x.sum(axis=1)
    ...         return float(np.square(error).mean()), {"w": 2 * x.T @ error / len(x)}
    >>> run = ac.fit(Line(), lambda params: ac.SGD(params, lr=0.1), steps=100, progress=None)
    >>> run.ended, bool(run.history["loss"][-1] < 1e-9)
    ('steps', True)
    """
    if steps is None and epochs is None:
        raise ValueError("fit: pass steps or epochs")
    limits = Limits(
        steps=None if steps is None else _count(steps, "steps", 0),
        epochs=None if epochs is None else _count(epochs, "epochs", 0),
        validate_every=None if validate_every is None else _count(validate_every, "validate_every", 1),
    )
    numbers = {"seed": _count(seed, "seed", 0), "accumulate": _count(accumulate, "accumulate", 1)}
    called = _callables(callbacks)
    companions = Companions(
        problem, ema=ema, monitor=monitor, policy=policy, early_stopping=early_stopping, checkpoints=checkpoints
    )
    shown = make_progress(progress, "fit")
    trainer = Trainer(problem, opt_or_factory, owner="fit", scaler=scaler, **numbers)
    companions.attach(trainer)
    return Loop(trainer, companions, limits, called, shown).run_all()


def _callables(given: Any) -> tuple[Callable[[Run], object], ...]:
    if callable(given) or not isinstance(given, Iterable):
        raise TypeError(f"fit: callbacks must be a list of functions, got {short_repr(given)}")
    found = tuple(given)
    for place, callback in enumerate(found):
        if not callable(callback):
            raise TypeError(f"fit: callbacks[{place}] must be a function of the run, got {short_repr(callback)}")
    return found


def _count(value: Any, name: str, least: int) -> int:
    return as_int(value, f"fit: {name}", f"an int >= {least}", least)
