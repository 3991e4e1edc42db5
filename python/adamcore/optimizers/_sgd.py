"""Stochastic gradient descent, with and without momentum."""

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

__all__ = ["SGD", "sgd"]


@declare
class SGD(Optimizer):
    r"""Stochastic gradient descent, optionally with momentum or Nesterov momentum.

    .. math::
        b_t = \mu b_{t-1} + (1-\tau) g_t, \quad \theta_t = \theta_{t-1} - \eta d_t

    where :math:`d_t` is :math:`g_t` without momentum, :math:`b_t` with momentum, and :math:`g_t + \mu b_t` with
    Nesterov momentum. The first update with momentum sets the buffer to the gradient, without dampening.

    Parameters
    ----------
    momentum : float
        Momentum :math:`\mu` >= 0. The buffer begins with the first gradient for which this is not 0. While it is 0, a
        buffer that exists is kept and not used, as in PyTorch.
    dampening : float
        Dampening :math:`\tau` of the momentum.
    nesterov : bool
        Use Nesterov momentum. It needs ``momentum > 0`` and ``dampening=0``. A schedule may set `momentum` to 0
        later.

    References
    ----------
    Sutskever, Martens, Dahl & Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(2)
    >>> opt = ac.SGD(w, lr=1.0, momentum=0.5)
    >>> for _ in range(2):
    ...     info = opt.step(np.ones(2))
    >>> w, opt.state["0"]["momentum_buffer"]
    (array([-2.5, -2.5]), array([1.5, 1.5]))
    """

    _variant_keys = MOMENTUM_KEYS

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        momentum: Number = 0.0,
        dampening: Number = 0.0,
        weight_decay: Number = 0.0,
        nesterov: bool = False,  # noqa: FBT001, FBT002  (PyTorch's signature)
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
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return rule_with_momentum("SGD", "sgd", group)

    @staticmethod
    def _check_new(group: Group) -> None:
        require_momentum("SGD", group)


_update_sgd = update_function(
    "sgd",
    rule_of_function("SGD", "sgd"),
    SGD._variant_keys,
    ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"),
    ("momentum_buffer",),
)


def sgd(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    momentum_buffer: Arrays | None = None,
) -> None:
    """Do one `SGD` update of plain arrays, in place.

    State: ``momentum_buffer`` if `momentum` is not 0, otherwise none.
    `adamcore.functional` describes the arguments.
    """
    _update_sgd(p, g, state, t, lr, momentum, dampening, weight_decay, nesterov, maximize, momentum_buffer)
