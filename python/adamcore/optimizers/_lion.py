"""Lion: the sign of an average of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Lion", "lion"]


@declare
class Lion(Optimizer):
    r"""Lion: every weight moves by the learning rate, along the sign of an average of gradients.

    .. math::
        u_t &= \operatorname{sign}(\beta_1 m_{t-1} + (1-\beta_1) g_t) \\
        \theta_t &= \theta_{t-1} - \eta\lambda\theta_{t-1} - \eta u_t, \quad
            m_t = \beta_2 m_{t-1} + (1-\beta_2) g_t

    It keeps one state array where Adam keeps two. Its learning rate is usually a third to a tenth of AdamW's, and its
    weight decay is larger by the same factor.

    Parameters
    ----------
    betas : tuple of two floats
        The weights of the average in the direction, and of the average that is kept, each in [0, 1).
    weight_decay : float
        Decoupled weight decay :math:`\lambda` >= 0, which is multiplied by the learning rate.
    cautious : bool
        Move only weights whose direction agrees with the sign of the gradient, and divide the learning rate by their
        share of the array, or by 0.001 if it is less (Liang et al. 2024). Weight decay stays as it is.

    References
    ----------
    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023. Liang et al., "Cautious Optimizers:
    Improving Training with One Line of Code", arXiv:2411.16085, 2024.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(3)
    >>> opt = ac.Lion(w, lr=0.01)
    >>> info = opt.step(np.array([3.0, -0.2, 0.0]))
    >>> w
    array([-0.01,  0.01,  0.  ])
    """

    _variant_keys = ("cautious",)

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-4,
        betas: tuple[Number, Number] = (0.9, 0.99),
        weight_decay: Number = 0.0,
        *,
        cautious: bool = False,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(lr=lr, betas=betas, weight_decay=weight_decay, cautious=cautious, maximize=maximize),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return "lion_cautious" if group["cautious"] else "lion"


_update_lion = update_function(
    "lion",
    Lion._rule,
    Lion._variant_keys,
    ("lr", "betas", "weight_decay", "cautious", "maximize"),
    ("exp_avg",),
)


def lion(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    cautious: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
) -> None:
    """Do one `Lion` update of plain arrays, in place.

    State: ``exp_avg``.
    `adamcore.functional` describes the arguments.
    """
    _update_lion(p, g, state, t, lr, betas, weight_decay, cautious, maximize, exp_avg)
