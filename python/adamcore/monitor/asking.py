"""What a monitor finds only if it is asked, since it costs gradients; and what is done then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from adamcore._checks.numbers import as_int
from adamcore._core import short_repr
from adamcore._curvature.curvature import Curvature
from adamcore._curvature.measure import measure
from adamcore.monitor.act import Act
from adamcore.monitor.detectors.signals import Signal
from adamcore.monitor.detectors.watches import Watches
from adamcore.optimizer import Optimizer

_LABEL = "Monitor.curvature"

_NONE: Any = object()
"""What stands for a batch that is left out."""


class Asking:
    """Measuring curvature, and a record of acts, for `Monitor`."""

    seed: int
    _opt: Optimizer
    _watches: Watches
    _seen: int

    def _drain(self) -> Any:
        """Take what has been waiting for a device."""
        raise NotImplementedError

    def curvature(
        self,
        loss_and_grad: Callable[..., tuple[Any, Any]],
        batch: Any = _NONE,
        *,
        iterations: int = 16,
        precondition: Optimizer | None = None,
        seed: int | None = None,
    ) -> Curvature:
        """Measure the curvature of the loss around the present weights, and report a saddle.

        Lanczos' method, on differences of gradients, finds the smallest and the largest eigenvalue of the Hessian. Then
        the loss is tried out along the direction of the smallest one, and along the gradient. All this takes 44 calls
        of `loss_and_grad` (76 with `precondition`, and more where the weights are nearly 0), in which the weights are
        moved. Then they are put back, bit for bit, also if a call raises. A saddle is reported as a finding ``saddle``.

        Parameters
        ----------
        loss_and_grad : callable
            ``loss_and_grad(params, batch)`` returns the loss and the gradients, in the structures of the optimizer. It
            must be a function of the weights: without dropout, for example.
        batch : optional
            What it gets besides the parameters; nothing if this is left out. Take 512 rows or more: the noise of
            smaller batches hides saddles.
        iterations : int
            How many products of the Hessian are computed, >= 2, with two gradients each.
        precondition : Optimizer, optional
            An optimizer of the same parameters: Adam, AdamW, RMSprop, Adagrad or SGD. `Curvature.sharpness` is then the
            largest eigenvalue as its steps see it.
        seed : int, optional
            The seed of the vector with which the method begins. The default is the monitor's.

        Returns
        -------
        Curvature

        Raises
        ------
        TypeError, ValueError
            If an argument is out of range, the loss or a gradient is not finite, or a parameter has half precision.

        Notes
        -----
        The vectors of the method take as much memory as `iterations` copies of the parameters. Networks with ReLUs have
        kinks, which blur differences of gradients: about half of their saddles are not seen.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> w = np.array([0.0, 1e-6])
        >>> mon = ac.Monitor(ac.SGD(w))
        >>> found = mon.curvature(lambda w: (1 + w[0]**2 - w[1]**2, np.array([2 * w[0], -2 * w[1]])))
        >>> round(found.min, 6), round(found.max, 6)
        (-2.0, 2.0)
        """
        count = as_int(iterations, f"{_LABEL}: iterations", "an int >= 2", 2)
        chosen = self.seed if seed is None else as_int(seed, f"{_LABEL}: seed", "an int >= 0", 0)
        if precondition is not None and not isinstance(precondition, Optimizer):
            raise TypeError(f"{_LABEL}: precondition must be an optimizer or None, got {short_repr(precondition)}")
        batches = [() if batch is _NONE else (batch,)]
        return self._measured(loss_and_grad, batches, seed=chosen, iterations=count, precondition=precondition)

    def _measured(
        self, loss_and_grad: Callable[..., Any], batches: Sequence[tuple[Any, ...]], owner: str = _LABEL, **options: Any
    ) -> Curvature:
        """Measure the curvature of the mean of batches, and report a saddle."""
        self._drain()
        found = measure(self._opt, loss_and_grad, batches, owner=owner, **options)
        signal = Signal("saddle", None, "warning" if found.is_saddle else None, found.evidence())
        self._watches.report([signal], self._seen)
        return found

    @property
    def acts(self) -> list[Act]:
        """What has been done to the run, the latest last."""
        return self._watches.acts.all()

    def note(self, act: Act) -> None:
        """Write down what was done to the run. The functions of `adamcore.escape` do this."""
        self._drain()
        self._watches.note(act)
