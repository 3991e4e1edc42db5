"""NovoGrad: gradients divided by the root of one second moment for each parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["NovoGrad", "novograd"]


@declare
class NovoGrad(Optimizer):
    r"""NovoGrad: momentum of gradients that are divided by a running average of their norm.

    .. math::
        v_t &= \beta_2 v_{t-1} + (1-\beta_2) \|g_t\|^2 \\
        m_t &= \beta_1 m_{t-1} + \frac{g_t}{\sqrt{v_t} + \epsilon} + \lambda\theta_{t-1}, \quad
        \theta_t = \theta_{t-1} - \eta m_t

    where :math:`v_t`, one number for each array, begins with the first :math:`\|g_t\|^2` that is not 0. So the state
    has half the size of Adam's.

    Parameters
    ----------
    betas : tuple of two floats
        Decay rates of the momentum and of the squared norm, each in [0, 1).
    weight_decay : float
        Weight decay :math:`\lambda` >= 0, which is part of the momentum.
    grad_averaging : bool
        Multiply what is added to the momentum by :math:`1-\beta_1`.
    amsgrad : bool
        Divide by the root of the largest :math:`v` so far. If it is set between steps, the largest is that since then.

    References
    ----------
    Ginsburg et al., "Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep Networks",
    arXiv:1905.11286, 2019.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(2)
    >>> opt = ac.NovoGrad(w, lr=1.0)
    >>> info = opt.step(np.array([3.0, -4.0]))
    >>> w.round(6), opt.state["0"]["exp_avg_sq"]
    (array([-0.6,  0.8]), array(25.))
    """

    _variant_keys = ("amsgrad",)

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.95, 0.98),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        grad_averaging: bool = False,  # noqa: FBT001, FBT002  (apex's signature)
        amsgrad: bool = False,  # noqa: FBT001, FBT002
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                grad_averaging=grad_averaging,
                amsgrad=amsgrad,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return "novograd_amsgrad" if group["amsgrad"] else "novograd"


_update_novograd = update_function(
    "novograd",
    NovoGrad._rule,
    NovoGrad._variant_keys,
    ("lr", "betas", "eps", "weight_decay", "grad_averaging", "amsgrad", "maximize"),
    ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
)


def novograd(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.95, 0.98),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    grad_averaging: bool = False,
    amsgrad: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
    max_exp_avg_sq: Arrays | None = None,
) -> None:
    """Do one `NovoGrad` update of plain arrays, in place.

    State: ``exp_avg`` and ``exp_avg_sq``; with ``amsgrad=True``, also ``max_exp_avg_sq``. The latter two are float64
    arrays without axes.
    `adamcore.functional` describes the arguments.
    """
    _update_novograd(
        p,
        g,
        state,
        t,
        lr,
        betas,
        eps,
        weight_decay,
        grad_averaging,
        amsgrad,
        maximize,
        exp_avg,
        exp_avg_sq,
        max_exp_avg_sq,
    )
