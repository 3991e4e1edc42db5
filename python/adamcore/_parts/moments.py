"""Resetting and rescaling the moments of an optimizer between steps, for the base class of optimizers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adamcore._checks.numbers import as_positive
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import short_repr
from adamcore._parts.switched import Switched


class WithMoments:
    """What optimizers have for moments: averages of gradients and of their squares."""

    _native: Any

    switched: Switched | None = None
    """What the optimizer has from the one before it, if `switch` made it."""

    def reset_state(self, names: str | Iterable[str] | None = None) -> None:
        """Make the averages of gradients and of their squares what they were at first.

        The counts of updates in `steps` become 0, so bias correction begins anew too: the next step of Adam is bounded
        by the learning rate. Both moments are always reset together. If only the second one were, the next step would
        divide the first moment by a root that is far too small. `completed`, which is what schedules see, does not
        change. Neither do masters, remainders and compensations of half-precision weights, averages of weights, or
        `numbers`.

        Parameters
        ----------
        names : str or iterable of str, optional
            The names of parameters, as in `state`. The default is all of them.

        Raises
        ------
        TypeError, ValueError
            If `names` has something that is not the name of a parameter. Nothing has changed then.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.AdamW({"w": np.ones(2)}, lr=0.1)
        >>> opt.step({"w": np.ones(2)}).skipped
        False
        >>> opt.reset_state("w")
        >>> opt.state["w"]["exp_avg"], opt.steps["w"], opt.completed
        (array([0., 0.]), 0, 1)
        """
        self._native.reset_state(self._chosen("reset_state", names))

    def rescale_state(self, c: float, names: str | Iterable[str] | None = None) -> None:
        """Multiply averages of squared gradients by `c`, and averages of gradients by its root.

        The next steps then have the directions and sizes that gradients of another scale would have given them. Use it
        if the gradients have become much smaller (or larger) than the second moment says, for example after a burst
        of large ones: `c` is the mean of the present squared gradients, divided by the mean of the second moment. The
        counts in `steps` and what `reset_state` leaves alone do not change.

        Parameters
        ----------
        c : float
            A finite number above 0.
        names : str or iterable of str, optional
            The names of parameters, as in `state`. The default is all of them.

        Raises
        ------
        TypeError, ValueError
            If `c` is not such a number, or `names` has something that is not the name of a parameter. Nothing has
            changed then.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.AdamW({"w": np.ones(2)}, betas=(0.5, 0.5))
        >>> opt.step({"w": np.full(2, 4.0)}).skipped
        False
        >>> opt.rescale_state(1 / 4)
        >>> opt.state["w"]["exp_avg"], opt.state["w"]["exp_avg_sq"]
        (array([1., 1.]), array([2., 2.]))
        """
        factor = as_positive(c, f"{type(self).__name__}.rescale_state: c")
        self._native.rescale_state(self._chosen("rescale_state", names), factor)

    def _chosen(self, call: str, names: str | Iterable[str] | None) -> list[int]:
        """Return the indices of the parameters with these names, each once."""
        places: dict[str, int] = self._native.places
        if names is None:
            return list(places.values())
        label = f"{type(self).__name__}.{call}: names"
        chosen = [names] if isinstance(names, str) else names
        if not isinstance(chosen, Iterable):
            raise TypeError(f"{label} must be the name of a parameter or several of them, got {short_repr(names)}")
        found: dict[int, None] = {}
        for name in chosen:
            if not isinstance(name, str):
                raise TypeError(f"{label} must be names of parameters, got {short_repr(name)}")
            if name not in places:
                raise ValueError(f"{label}: there is no parameter {short_repr(name)}{did_you_mean(name, places)}")
            found[places[name]] = None
        return list(found)
