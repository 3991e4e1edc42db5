"""`lr_finder`: a sweep over learning rates that leaves no trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore import schedules
from adamcore._checks.numbers import as_float, as_int, as_positive
from adamcore._checks.signals import calls_for_signals
from adamcore._core import Paired, short_repr
from adamcore._parts.given import params_of
from adamcore._state_dicts.snapshot import Snapshot
from adamcore.norms import global_norm
from adamcore.optimizer import Optimizer
from adamcore.optimizers import Adafactor, Prodigy, ScheduleFreeAdamW
from adamcore.training.lr_range import Ended, LrRange
from adamcore.training.problem import ProblemError, number
from adamcore.training.random_states import generators_in, restorers

_MOST_SKIPPED = 4
"""So many steps in a row may be skipped, with nonfinite="skip"."""

_FEWEST = 20
_KEEP = 0.9
"""The share of the smoothed loss that a step keeps."""
_RISE = 4.0


def lr_finder(
    opt: Optimizer,
    loss_and_grad: Callable[[Any, Any], tuple[Any, Any]],
    batches: Iterable[Any],
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    rngs: Iterable[Any] = (),
) -> LrRange:
    """Try learning rates from low to high, one in each step, and put everything back.

    The sweep takes steps of the optimizer itself, on its own arrays. Afterwards, also if it is interrupted or a
    function raises, these are bit for bit what they were: parameters, state, step counts, ``opt.completed``,
    hyper-parameters with their schedules, averages of weights, what a `SpikeGuard` remembers, and random generators.

    Parameters
    ----------
    opt : Optimizer
        The optimizer. With several groups, the rate is that of the group whose present rate is the largest. The others
        get rates in the proportion that they have now, and where that is 0 they stay at 0.
    loss_and_grad : callable
        ``loss_and_grad(params, batch)`` returns the loss and the gradients. `params` are the optimizer's parameters in
        the structure in which they were passed to it.
    batches : iterable
        One batch for each step. They are consumed. If there are fewer than `steps`, the sweep ends there.
    low, high : float
        The first and the last rate, 0 < low < high. The rates between are spaced evenly in their logarithms.
    steps : int
        The number of rates, at least 20.
    rngs : iterable of generators
        Random generators of NumPy, PyTorch or Python whose states come back. Others come back anyway: those that the
        process shares (Python's `random`, ``numpy.random``, and, if PyTorch has been imported, those of its CPU and of
        its CUDA devices), and those of NumPy and Python that can be seen in `loss_and_grad` and `batches`: in closures,
        bound arguments, attributes and global names. Name those that are hidden, as in iterators that are written in C.

    Returns
    -------
    LrRange
        Rates, losses and suggestions. The sweep ends early if the smoothed loss rises above 4 times its minimum, or if
        a loss or a gradient is not finite. Where the minimum is not above 0, a rise by 3 times the largest size of a
        smoothed loss so far ends it.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or is not what it must be; if the optimizer has no rate to find; or if there
        are fewer than 20 batches. Everything is put back.
    RuntimeError
        If the optimizer is in use, has accumulated gradients, or holds averages (`ScheduleFreeAdamW` after ``eval()``).

    Notes
    -----
    `Prodigy` is refused: it estimates the rate itself, and ``lr`` is a factor of it. The warm-up that
    `ScheduleFreeAdamW` has itself, ``warmup_steps``, is left out of the sweep. `Adafactor` uses no rate above
    ``1 / sqrt(t)`` in step t, so the sweep ends there. There is no loss scaling.

    What belongs to the caller is not put back: gradients that PyTorch's tensors hold, running statistics of layers, and
    the place in `batches`. CuPy's random generators have no state that can be read.

    The copy takes as much memory as the parameters and the state.

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> class Line:
    ...     def batches(self, rng):
    ...         for _ in range(200):
    ...             yield rng.standard_normal((32, 3))
    ...     def loss_and_grad(self, params, x):
    ...         error = x @ params["w"] - x.sum(axis=1)
    ...         return float(np.square(error).mean()), {"w": 2 * x.T @ error / len(x)}
    >>> problem, rng = Line(), np.random.default_rng(0)
    >>> params = {"w": np.zeros(3)}
    >>> opt = ac.Adam(params)
    >>> found = ac.lr_finder(opt, problem.loss_and_grad, problem.batches(rng), rngs=[rng])
    >>> 0.01 < found.suggestion < 1, opt.completed, params["w"]
    (True, 0, array([0., 0., 0.]))
    """
    rates = _rates(low, high, steps)
    _require_optimizer(opt)
    if not callable(loss_and_grad):
        raise TypeError(
            f"lr_finder: loss_and_grad must be a function of params and batch, got {short_repr(loss_and_grad)}"
        )
    sweep = _Sweep(opt, loss_and_grad, rates)
    seen = restorers(generators_in(loss_and_grad, batches), "lr_finder")
    snapshot = Snapshot(opt)
    undo = [*(snapshot.restorer for _ in range(calls_for_signals())), *restorers(rngs, "lr_finder"), *seen]
    # What is called at both ends is written in C, so a signal's handler cannot raise before everything is put back.
    with Paired([(tuple, each) for each in undo]):
        ended = sweep.run(batches)
    if ended == "batches" and len(sweep.losses) < _FEWEST:
        raise ValueError(
            f"lr_finder: batches gave only {len(sweep.losses)}, but a sweep needs at least {_FEWEST}: pass more, for "
            "example those of several epochs"
        )
    return sweep.result(ended)


class _Sweep:
    """The steps of a sweep, and what they measure."""

    def __init__(self, opt: Optimizer, loss_and_grad: Callable[[Any, Any], Any], rates: NDArray[np.float64]) -> None:
        self.opt, self.loss_and_grad, self.rates = opt, loss_and_grad, rates
        self.shares = _shares(opt)
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.average = 0.0
        self.skipped = 0
        """How many of the last gradients were not finite, without one between that was."""
        self.least, self.largest = math.inf, 0.0

    def run(self, batches: Iterable[Any]) -> Ended:
        """Do the steps, and return why they ended."""
        try:
            iterator = iter(batches)
        except TypeError:
            raise TypeError(f"lr_finder: batches must be an iterable, got {short_repr(batches)}") from None
        params = params_of(self.opt)
        if isinstance(self.opt, ScheduleFreeAdamW):
            for group in self.opt.param_groups:
                group["warmup_steps"] = 0
        for rate, limit in zip(self.rates.tolist(), _largest_rates(self.opt, len(self.rates)), strict=True):
            if rate > limit:
                return "limit"
            try:
                batch = next(iterator)
            except StopIteration:
                return "batches"
            if ended := self._step(rate, params, batch):
                return ended
        return "high"

    def _step(self, rate: float, params: Any, batch: Any) -> Ended | None:
        """Do one step, and return why it is the last one, or None."""
        loss, grads = self._gradient(params, batch)
        if not math.isfinite(loss):
            return "nonfinite"
        self._note(loss)
        if self._has_risen():
            return "rise"
        self.skipped = 0 if math.isfinite(global_norm(grads)) else self.skipped + 1
        if self.skipped > (_MOST_SKIPPED if self.opt.options["nonfinite"] == "skip" else 0):
            return "nonfinite"
        for group, share in zip(self.opt.param_groups, self.shares, strict=True):
            group["lr"] = rate * share
        self.opt.step(grads)
        return None

    def _gradient(self, params: Any, batch: Any) -> tuple[float, Any]:
        found = self.loss_and_grad(params, batch)
        if not isinstance(found, tuple) or len(found) != 2 or found[1] is None:
            raise ProblemError(f"lr_finder: loss_and_grad must return (loss, grads), got {short_repr(found)}")
        return number(found[0], "lr_finder: the loss"), found[1]

    def _note(self, loss: float) -> None:
        self.losses.append(loss)
        self.average = _KEEP * self.average + (1 - _KEEP) * loss
        self.smoothed.append(self.average / (1 - _KEEP ** len(self.losses)))

    def _has_risen(self) -> bool:
        """Whether the last smoothed loss is much larger than those before, which it then joins."""
        last = self.smoothed[-1]
        limit = _RISE * self.least if self.least > 0 else self.least + (_RISE - 1) * self.largest
        self.least, self.largest = min(self.least, last), max(self.largest, abs(last))
        return last > limit

    def result(self, ended: Ended) -> LrRange:
        """Return what has been measured."""
        count = len(self.losses)
        return LrRange(self.rates[:count].copy(), np.array(self.losses), np.array(self.smoothed), ended)


def _rates(low: Any, high: Any, steps: Any) -> NDArray[np.float64]:
    least = as_positive(low, "lr_finder: low")
    most = as_float(high, "lr_finder: high", "a finite number > low")
    if not (math.isfinite(most) and most > least):
        raise ValueError(f"lr_finder: high must be a finite number > low, which is {least!r}, got {short_repr(high)}")
    count = as_int(steps, "lr_finder: steps", f"an int >= {_FEWEST}", _FEWEST)
    growth = math.exp((math.log(most) - math.log(least)) / (count - 1))
    sweep = schedules.Exponential(least, growth, end=most)
    return np.asarray(sweep(np.arange(count)), np.float64)


def _require_optimizer(opt: Any) -> None:
    """Raise an error unless this is an optimizer with a rate to find, and between two steps."""
    if not isinstance(opt, Optimizer):
        raise TypeError(f"lr_finder: opt must be an optimizer, got {short_repr(opt)}")
    owner = type(opt).__name__
    if isinstance(opt, Prodigy):
        raise TypeError("lr_finder: Prodigy estimates the rate itself, and its lr is a factor of that: leave it at 1")
    if "lr" not in opt.defaults:
        raise TypeError(f"lr_finder: {owner} has no hyper-parameter lr")
    if opt.accumulated:
        raise RuntimeError(f"lr_finder: {owner} has accumulated gradients for its next step: do this step before")
    if isinstance(opt, ScheduleFreeAdamW):
        opt._require_train()


def _shares(opt: Optimizer) -> list[float]:
    """Return the present rate of each group in proportion to the largest one."""
    rates = [float(opt.current(place)["lr"]) for place in range(len(opt.param_groups))]
    largest = max(rates)
    return [rate / largest if largest > 0 else 1.0 for rate in rates]


def _largest_rates(opt: Optimizer, steps: int) -> list[float]:
    """Return the largest rate that each of the next steps can use."""
    if not isinstance(opt, Adafactor):
        return [math.inf] * steps
    count = max(opt.steps.values())
    return [1 / math.sqrt(count + step) for step in range(1, steps + 1)]
