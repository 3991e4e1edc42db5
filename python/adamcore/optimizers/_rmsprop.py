"""RMSprop: gradients divided by the root of a running average of their squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["RMSprop", "rmsprop"]


@declare
class RMSprop(Optimizer):
    r"""RMSprop, optionally centered or with momentum.

    .. math::
        s_t = \alpha s_{t-1} + (1-\alpha) g_t^2, \quad
        \theta_t = \theta_{t-1} - \eta \frac{g_t}{\sqrt{s_t} + \epsilon}

    If `centered` is true, :math:`s_t` is replaced by the variance :math:`s_t - \bar g_t^2`, where :math:`\bar g_t` is
    the running average of the gradients. With momentum, the fraction is accumulated in a buffer, and the buffer is
    subtracted.

    Parameters
    ----------
    alpha : float
        Decay rate of the running averages, in [0, 1].
    momentum : float
        Momentum >= 0. The buffer begins as zero with the first step for which this is not 0. While it is 0, a buffer
        that exists is kept and not used.
    centered : bool
        Divide by the standard deviation of the gradient instead of its root mean square (Graves 2013).

    References
    ----------
    Tieleman & Hinton, "Lecture 6.5: rmsprop", COURSERA 2012. Graves, "Generating Sequences With Recurrent Neural
    Networks", arXiv:1308.0850, 2013.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.array([1.0, -2.0])
    >>> opt = ac.RMSprop(w, lr=0.01, centered=True)
    >>> for _ in range(500):
    ...     info = opt.step(2 * w)
    >>> bool(abs(w).max() < 0.05)
    True
    """

    _variant_keys = ("momentum", "centered")

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        momentum: Number = 0.0,
        centered: bool = False,  # noqa: FBT001, FBT002  (PyTorch's signature)
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                alpha=alpha,
                eps=eps,
                weight_decay=weight_decay,
                momentum=momentum,
                centered=centered,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return "rmsprop" + ("_centered" if group["centered"] else "") + ("_momentum" if group["momentum"] != 0 else "")


_update_rmsprop = update_function(
    "rmsprop",
    RMSprop._rule,
    RMSprop._variant_keys,
    ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize"),
    ("square_avg", "momentum_buffer", "grad_avg"),
)


def rmsprop(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
    square_avg: Arrays | None = None,
    momentum_buffer: Arrays | None = None,
    grad_avg: Arrays | None = None,
) -> None:
    """Do one `RMSprop` update of plain arrays, in place.

    State: ``square_avg``, then ``momentum_buffer`` if `momentum` is not 0, then ``grad_avg`` if `centered` is true.
    `adamcore.functional` describes the arguments.
    """
    _update_rmsprop(
        p,
        g,
        state,
        t,
        lr,
        alpha,
        eps,
        weight_decay,
        momentum,
        centered,
        maximize,
        square_avg,
        momentum_buffer,
        grad_avg,
    )
