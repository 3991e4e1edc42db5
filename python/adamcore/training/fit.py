"""`fit`: a training loop, small enough to read. Each part of it works in a loop of your own too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from adamcore._checkpoints.folder import Checkpoints
from adamcore._checks.numbers import as_int
from adamcore._early_stopping import EarlyStopping
from adamcore.loss_scaler import LossScaler
from adamcore.training.loop import Limits, Loop
from adamcore.training.progress import make_progress
from adamcore.training.run import Run
from adamcore.training.trainer import Trainer


def fit(
    problem: Any,
    opt_or_factory: Any,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    validate_every: int | None = None,
    accumulate: int = 1,
    ema: Any = None,
    scaler: LossScaler | None = None,
    monitor: Any = None,
    policy: Any = None,
    early_stopping: EarlyStopping | None = None,
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
    callbacks: Iterable[Callable[[Run], object]] = (),
    progress: Any = "auto",
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
        end of the run.
    accumulate : int
        How many batches make one step.
    ema : EMA or float, optional
        An average of the weights, or its decay. Validations are of the average then.
    scaler : LossScaler, optional
        ``loss_and_grad`` is then called with ``loss_scale=scaler.scale`` too, and returns gradients multiplied by it.
    monitor : Monitor, callable or True, optional
        What watches the run: a `Monitor` of the optimizer, a function that makes one of it, or True for the default.
    policy : optional
        An object with ``act(batch)``, which is called after each step and returns what it did. It may end the run by
        ``policy.stopped``.
    early_stopping : EarlyStopping, optional
        It sees "val_loss" of each validation, or else the first metric. However the run ends, the parameters are those
        of the best validation then.
    checkpoints : Checkpoints or path, optional
        Where checkpoints are saved: at validations, or in every ``checkpoints.every``-th step; and at the end. If there
        is one, the run goes on from it.
    callbacks : iterable of callables
        Each is called with the run after every step. If one returns True, the run ends.
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
    Ctrl-C ends the run after the present step: the checkpoint is saved, and the run is returned. A second one ends it
    within the step. The run is returned then too, but no checkpoint is saved if the update had begun.

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
    if steps is None and epochs is None:
        raise ValueError("fit: pass steps or epochs")
    limits = Limits(
        steps=None if steps is None else _count(steps, "steps", 0),
        epochs=None if epochs is None else _count(epochs, "epochs", 0),
        validate_every=None if validate_every is None else _count(validate_every, "validate_every", 1),
    )
    trainer = Trainer(
        problem,
        opt_or_factory,
        seed=_count(seed, "seed", 0),
        owner="fit",
        accumulate=_count(accumulate, "accumulate", 1),
        scaler=scaler,
    )
    loop = Loop(
        trainer, ema=ema, monitor=monitor, policy=policy, early_stopping=early_stopping, checkpoints=checkpoints
    )
    return loop.run_all(limits, tuple(callbacks), make_progress(progress, "fit"))


def _count(value: Any, name: str, least: int) -> int:
    return as_int(value, f"fit: {name}", f"an int >= {least}", least)
