"""Accumulation of gradients, for the base class of optimizers."""

from __future__ import annotations

from typing import Any

from adamcore._arrays.structures import Group


class Accumulating:
    """What optimizers have for gradients of several calls."""

    param_groups: list[Group]
    _native: Any

    def accumulate(self, grads: Any, *, weight: float = 1.0) -> None:
        """Add gradients to those of the next step, which uses their weighted mean. No parameter is updated.

        The step divides the sum of ``weight * grads`` by the sum of all weights, whose number need not be known before:
        the last step of an epoch may have fewer. If `grads` are means over rows or tokens, pass their number as the
        weight, so that all rows count alike. Schedules and step counts advance once, with the step.

        The first call makes one array for each parameter, float32, or float64 for float64 parameters. Later calls add
        to it, and later steps use it again. Results do not depend on whether the last gradients are passed here or to
        `step`.

        Parameters
        ----------
        grads : array, sequence or mapping
            As those of `step`. They may be overwritten once this returns. None, in the place of an array, adds nothing;
            a parameter for which all calls pass None is left alone by the step.
        weight : float
            A finite number > 0.

        Raises
        ------
        TypeError, ValueError
            If a gradient, a parameter or the weight is invalid. Nothing has been added then.

        Notes
        -----
        - With a loss scale, all gradients are those of the loss times the scale that `step` is told. A `LossScaler`
          changes it only in a step.
        - A gradient that is not finite makes the sum not finite, and the step finds it.
        - ``state_dict()`` contains what has been accumulated, and ``load_state_dict()`` replaces it. Until the step,
          parameters cannot be added or replaced.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> w = np.zeros(2)
        >>> opt = ac.SGD(w, lr=1.0)
        >>> opt.accumulate(np.array([1.0, 0.0]), weight=3)
        >>> opt.accumulate(np.array([0.0, 1.0]), weight=1)
        >>> opt.accumulated, opt.step().skipped, opt.accumulated
        (2, False, 0)
        >>> w
        array([-0.75, -0.25])
        """
        self._native.accumulate(grads, self.param_groups, weight)

    @property
    def accumulated(self) -> int:
        """The number of calls of `accumulate` since the latest step."""
        accumulated: int = self._native.accumulated
        return accumulated
