"""StableAdamW: AdamW with a limited update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["StableAdamW", "stableadamw"]


@declare
class StableAdamW(Optimizer):
    r"""AdamW whose learning rate is reduced for arrays whose gradients are larger than their second moments.

    .. math::
        \hat m_t &= \frac{m_t}{1-\beta_1^t}, \quad \hat v_t = \frac{v_t}{1-\beta_2^t}, \quad
        \eta_t = \frac{\eta}{\max(1, \sqrt{\operatorname{mean}(g_t^2 / \max(\hat v_t, \epsilon^2))})} \\
        \theta_t &= \theta_{t-1} - \eta_t\lambda\theta_{t-1} - \eta_t \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon}

    with Adam's moments :math:`m_t` and :math:`v_t`. This takes the place of clipping: a burst of gradients does not
    become a long step.

    Parameters
    ----------
    weight_decay : float
        Decoupled weight decay :math:`\lambda` >= 0, which is multiplied by the reduced learning rate.

    References
    ----------
    Wortsman et al., "Stable and Low-Precision Training for Large-Scale Vision-Language Models", NeurIPS 2023.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(2)
    >>> opt = ac.StableAdamW(w, lr=0.1, weight_decay=0.0)
    >>> info = opt.step(np.array([1.0, -1.0]))
    >>> w.round(5)
    array([-0.1,  0.1])
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.99),
        weight_decay: Number = 1e-2,
        eps: Number = 1e-6,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(lr=lr, betas=betas, weight_decay=weight_decay, eps=eps, maximize=maximize),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:  # noqa: ARG004
        return "stableadamw"


_update_stableadamw = update_function(
    "stableadamw",
    StableAdamW._rule,
    StableAdamW._variant_keys,
    ("lr", "betas", "weight_decay", "eps", "maximize"),
    ("exp_avg", "exp_avg_sq"),
)


def stableadamw(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 1e-2,
    eps: float = 1e-6,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
) -> None:
    """Do one `StableAdamW` update of plain arrays, in place.

    State: ``exp_avg`` and ``exp_avg_sq``.
    `adamcore.functional` describes the arguments.
    """
    _update_stableadamw(p, g, state, t, lr, betas, weight_decay, eps, maximize, exp_avg, exp_avg_sq)
