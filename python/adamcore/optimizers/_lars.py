"""LARS: SGD on gradients that are scaled to the norm of each parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare
from adamcore.optimizers._momentum import MOMENTUM_KEYS, require_momentum, rule_of_function, rule_with_momentum

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["LARS", "lars"]


@declare
class LARS(Optimizer):
    r"""LARS: SGD on gradients, weight decay included, that are scaled to the norm of the parameter, for large batches.

    .. math::
        \hat g_t = \frac{c \|\theta_{t-1}\|}{\|g_t\| + \lambda\|\theta_{t-1}\| + \epsilon}
            \left(g_t + \lambda\theta_{t-1}\right)

    and then `SGD`'s step with :math:`\hat g_t`. The factor belongs to each array. It is 1 if either norm is 0, and for
    groups without weight decay, unless `always_adapt` is true.

    Parameters
    ----------
    lr : float or callable
        Learning rate :math:`\eta` >= 0, or a schedule. Every other number can be a schedule too, as described in
        `Optimizer`.
    momentum : float
        Momentum >= 0. The buffer begins with the first gradient for which this is not 0. While it is 0, a buffer that
        exists is kept and not used.
    dampening : float
        Dampening of the momentum.
    weight_decay : float
        Weight decay :math:`\lambda` >= 0: this multiple of the parameter is added to its gradient, before both are
        scaled.
    nesterov : bool
        Use Nesterov momentum. It needs ``momentum > 0`` and ``dampening=0``. A schedule may set `momentum` to 0
        later.
    trust_coeff : float
        The trust coefficient :math:`c` >= 0: the length of a step with ``lr=1``, in norms of the parameter.
    eps : float
        Term added to the denominator, >= 0.
    trust_clip : bool
        Divide the factor by the learning rate, and limit it to 1. So `lr` is the largest learning rate (known as LARC).
    always_adapt : bool
        Scale gradients without weight decay too.

    References
    ----------
    You, Gitman & Ginsburg, "Large Batch Training of Convolutional Networks", arXiv:1708.03888, 2017.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.array([3.0, 4.0])
    >>> opt = ac.LARS(w, lr=1.0, trust_coeff=0.1, always_adapt=True)
    >>> info = opt.step(np.array([60.0, 80.0]))  # the step is a tenth as long as w
    >>> w.round(6)
    array([2.7, 3.6])
    """

    _variant_keys = MOMENTUM_KEYS

    def __init__(
        self,
        params: Any,
        lr: Number = 1.0,
        momentum: Number = 0.0,
        dampening: Number = 0.0,
        weight_decay: Number = 0.0,
        nesterov: bool = False,  # noqa: FBT001, FBT002  (timm's signature)
        trust_coeff: Number = 0.001,
        eps: Number = 1e-8,
        trust_clip: bool = False,  # noqa: FBT001, FBT002
        always_adapt: bool = False,  # noqa: FBT001, FBT002
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                momentum=momentum,
                dampening=dampening,
                weight_decay=weight_decay,
                nesterov=nesterov,
                trust_coeff=trust_coeff,
                eps=eps,
                trust_clip=trust_clip,
                always_adapt=always_adapt,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return rule_with_momentum("LARS", "lars", group)

    @staticmethod
    def _check_new(group: Group) -> None:
        require_momentum("LARS", group)


_update_lars = update_function(
    "lars",
    rule_of_function("LARS", "lars"),
    LARS._variant_keys,
    (
        "lr",
        "momentum",
        "dampening",
        "weight_decay",
        "nesterov",
        "trust_coeff",
        "eps",
        "trust_clip",
        "always_adapt",
        "maximize",
    ),
    ("momentum_buffer",),
)


def lars(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1.0,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    trust_coeff: float = 0.001,
    eps: float = 1e-8,
    trust_clip: bool = False,
    always_adapt: bool = False,
    maximize: bool = False,
    momentum_buffer: Arrays | None = None,
) -> None:
    """Do one `LARS` update of plain arrays, in place.

    State: ``momentum_buffer`` if `momentum` is not 0, otherwise none.
    `adamcore.functional` describes the arguments.
    """
    _update_lars(
        p,
        g,
        state,
        t,
        lr,
        momentum,
        dampening,
        weight_decay,
        nesterov,
        trust_coeff,
        eps,
        trust_clip,
        always_adapt,
        maximize,
        momentum_buffer,
    )
