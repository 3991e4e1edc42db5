"""Adan: Nesterov momentum from differences of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Adan", "adan"]


@declare
class Adan(Optimizer):
    r"""Adan: Adam with Nesterov momentum, which is estimated from differences of successive gradients.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad
        d_t = \beta_2 d_{t-1} + (1-\beta_2) (g_t - g_{t-1}) \\
        v_t &= \beta_3 v_{t-1} + (1-\beta_3) (g_t + \beta_2 (g_t - g_{t-1}))^2 \\
        \theta_t &= \frac{1}{1+\eta\lambda} \left(\theta_{t-1} - \eta \frac{m_t/(1-\beta_1^t)
            + \beta_2 d_t/(1-\beta_2^t)}{\sqrt{v_t}/\sqrt{1-\beta_3^t} + \epsilon}\right)

    The first difference is 0. The former gradient is kept in the precision in which steps are computed, even if other
    state is kept in half precision: rounding would be most of a small difference.

    Parameters
    ----------
    betas : tuple of three floats
        Decay rates of the averages of gradients, of differences and of squares, each in [0, 1). (The paper calls what
        is left of 1 by the same names.)
    weight_decay : float
        Weight decay :math:`\lambda` >= 0, which is multiplied by the learning rate.
    no_prox : bool
        Decay as AdamW does, :math:`(1-\eta\lambda)\theta_{t-1}`, and do not divide by :math:`1+\eta\lambda`.

    References
    ----------
    Xie et al., "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models", TPAMI 2024.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(2)
    >>> opt = ac.Adan(w, lr=0.1)
    >>> info = opt.step(np.array([1.0, -4.0]))
    >>> w.round(5), opt.state["0"]["pre_grad"]
    (array([-0.1,  0.1]), array([ 1., -4.]))
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number, Number] = (0.98, 0.92, 0.99),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        no_prox: bool = False,  # noqa: FBT001, FBT002  (the authors' signature)
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, no_prox=no_prox, maximize=maximize),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:  # noqa: ARG004
        return "adan"


_update_adan = update_function(
    "adan",
    Adan._rule,
    Adan._variant_keys,
    ("lr", "betas", "eps", "weight_decay", "no_prox", "maximize"),
    ("exp_avg", "exp_avg_diff", "exp_avg_sq", "pre_grad"),
)


def adan(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    no_prox: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_diff: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
    pre_grad: Arrays | None = None,
) -> None:
    """Do one `Adan` update of plain arrays, in place.

    State: ``exp_avg``, ``exp_avg_diff``, ``exp_avg_sq`` and ``pre_grad``. The last one is float32, or float64 if
    the parameter is.
    `adamcore.functional` describes the arguments.
    """
    _update_adan(
        p, g, state, t, lr, betas, eps, weight_decay, no_prox, maximize, exp_avg, exp_avg_diff, exp_avg_sq, pre_grad
    )
