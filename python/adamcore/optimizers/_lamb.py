"""LAMB: Adam's direction, scaled to the norm of each parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["LAMB", "lamb"]


@declare
class LAMB(Optimizer):
    r"""LAMB: Adam's direction plus weight decay, scaled to the norm of the parameter, for large batches.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2 \\
        u_t &= \frac{1}{1-\beta_1^t} \frac{m_t}{\sqrt{v_t}/\sqrt{1-\beta_2^t} + \epsilon} + \lambda\theta_{t-1} \\
        \theta_t &= \theta_{t-1} - \eta \frac{\|\theta_{t-1}\|}{\|u_t\|} u_t

    The ratio of norms belongs to each array. It is 1 if either norm is 0.

    apex's FusedLAMB and timm's Lamb also clip gradients, to a norm of 1 by default (``max_grad_norm``). Here this is an
    option as for every optimizer: pass ``clip_norm=1.0`` when you port such code.

    Parameters
    ----------
    bias_correction : bool
        Correct the bias of the moments, which begin as zero.
    weight_decay : float
        Weight decay :math:`\lambda` >= 0, which is added to the direction and not to the gradient.
    grad_averaging : bool
        Multiply gradients by :math:`1-\beta_1` in the first moment. Otherwise they are added as they are.
    trust_clip : bool
        Limit the ratio of norms to 1.
    always_adapt : bool
        Scale steps without weight decay too. Otherwise their ratio is 1, as usual for biases and normalization. (apex
        calls this ``use_nvlamb``.)

    References
    ----------
    You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes", ICLR 2020.

    Examples
    --------
    A step is `lr` times as long as the weights:

    >>> import adamcore as ac, numpy as np
    >>> w = np.array([3.0, 4.0])
    >>> opt = ac.LAMB(w, lr=0.1, weight_decay=0.0, always_adapt=True, clip_norm=1.0)
    >>> info = opt.step(np.array([1e-3, -1e-2]))
    >>> w.round(2)
    array([2.65, 4.35])
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        bias_correction: bool = True,  # noqa: FBT001, FBT002  (apex's signature)
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-6,
        weight_decay: Number = 0.01,
        grad_averaging: bool = True,  # noqa: FBT001, FBT002
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
                bias_correction=bias_correction,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                grad_averaging=grad_averaging,
                trust_clip=trust_clip,
                always_adapt=always_adapt,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:  # noqa: ARG004
        return "lamb"


_update_lamb = update_function(
    "lamb",
    LAMB._rule,
    LAMB._variant_keys,
    (
        "lr",
        "bias_correction",
        "betas",
        "eps",
        "weight_decay",
        "grad_averaging",
        "trust_clip",
        "always_adapt",
        "maximize",
    ),
    ("exp_avg", "exp_avg_sq"),
)


def lamb(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    bias_correction: bool = True,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    grad_averaging: bool = True,
    trust_clip: bool = False,
    always_adapt: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
) -> None:
    """Do one `LAMB` update of plain arrays, in place.

    State: ``exp_avg`` and ``exp_avg_sq``.
    `adamcore.functional` describes the arguments.
    """
    _update_lamb(
        p,
        g,
        state,
        t,
        lr,
        bias_correction,
        betas,
        eps,
        weight_decay,
        grad_averaging,
        trust_clip,
        always_adapt,
        maximize,
        exp_avg,
        exp_avg_sq,
    )
