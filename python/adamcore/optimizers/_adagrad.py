"""Adagrad: gradients divided by the root of the sum of their squares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Adagrad", "adagrad"]


@declare
class Adagrad(Optimizer):
    r"""Adagrad: each element's step shrinks with the sum of its squared gradients.

    .. math::
        s_t = s_{t-1} + g_t^2, \quad
        \theta_t = \theta_{t-1} - \frac{\eta}{1 + (t-1)\gamma} \frac{g_t}{\sqrt{s_t} + \epsilon}

    Parameters
    ----------
    lr_decay : float
        Decay :math:`\gamma` of the learning rate, >= 0.
    initial_accumulator_value : float
        Initial value of the sum of squares, >= 0.

    References
    ----------
    Duchi, Hazan & Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 12,
    2011.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(2)
    >>> opt = ac.Adagrad(w, lr=1.0)
    >>> info = opt.step(np.array([3.0, -4.0]))
    >>> w.round(6), opt.state["0"]["sum"]
    (array([-1.,  1.]), array([ 9., 16.]))
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        lr_decay: Number = 0.0,
        weight_decay: Number = 0.0,
        initial_accumulator_value: Number = 0.0,
        eps: Number = 1e-10,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                lr_decay=lr_decay,
                weight_decay=weight_decay,
                initial_accumulator_value=initial_accumulator_value,
                eps=eps,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:  # noqa: ARG004
        return "adagrad"


_update_adagrad = update_function(
    "adagrad",
    Adagrad._rule,
    Adagrad._variant_keys,
    ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps", "maximize"),
    ("sum",),
)


def adagrad(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
    sum: Arrays | None = None,  # noqa: A002
) -> None:
    """Do one `Adagrad` update of plain arrays, in place.

    State: ``sum``, which the caller fills with `initial_accumulator_value` before the first update.
    `adamcore.functional` describes the arguments.
    """
    _update_adagrad(p, g, state, t, lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize, sum)
