"""Prodigy: Adam whose learning rate follows from an estimate of the distance to the solution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Prodigy"]


@declare
class Prodigy(Optimizer):
    r"""Prodigy: Adam whose learning rate grows with an estimate of the distance from the start to the solution.

    .. math::
        r_t &= \beta_3 r_{t-1} + \frac{d_t}{d_0} \eta d_t \langle g_t, \theta_0 - \theta_{t-1} \rangle, \quad
        s_t = \beta_3 s_{t-1} + \frac{d_t}{d_0} \eta d_t g_t \\
        m_t &= \beta_1 m_{t-1} + (1-\beta_1) d_t g_t, \quad v_t = \beta_2 v_{t-1} + (1-\beta_2) d_t^2 g_t^2 \\
        d_{t+1} &= \max(d_t, c\, r_t / \|s_t\|_1), \quad
        \theta_t = \theta_{t-1} - \eta d_t \lambda \theta_{t-1}
            - \eta d_t \frac{m_t}{\sqrt{v_t} + d_{t+1}\epsilon}

    All parameters share the estimate :math:`d`, which is ``opt.numbers["d"]``. So groups share the decay rates and all
    that `d` depends on, and their learning rates are equal or 0. A group whose learning rate is 0 rests: nothing of it
    changes.

    The first steps are tiny. Half-precision parameters need the master weights that they have by default, because the
    estimate depends on what has been added to them so far.

    Parameters
    ----------
    lr : float or callable
        Factor :math:`\eta` >= 0 of the learning rate, usually 1, or a schedule. Every other number can be a schedule
        too, as described in `Optimizer`.
    beta3 : float or None
        Decay rate of the averages for the estimate, in [0, 1). None stands for the root of the second of `betas`.
    weight_decay : float
        Weight decay :math:`\lambda` >= 0.
    decouple : bool
        Use decoupled weight decay, which is multiplied by the learning rate. Otherwise it is an L2 penalty: the
        multiple of the parameter is added to its gradient.
    use_bias_correction : bool
        Correct the bias of Adam's moments.
    safeguard_warmup : bool
        Weight gradients in :math:`s_t` by :math:`d_t` and not by :math:`\eta d_t`. Use it if the learning rate warms
        up.
    d0 : float
        First value of the estimate, > 0, which is less than any sensible one.
    d_coef : float
        Factor :math:`c` > 0 of the estimate. If steps are too long or too short, change this rather than `lr`.
    growth_rate : float
        Largest factor >= 1 by which the estimate grows in a step, which may be ``math.inf``.

    References
    ----------
    Mishchenko & Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", ICML 2024.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.array([1.0, -2.0])
    >>> opt = ac.Prodigy(w)
    >>> for _ in range(300):
    ...     info = opt.step(2 * w)  # the gradient of w @ w
    >>> bool(abs(w).max() < 1e-2), bool(0.1 < opt.numbers["d"] < 3)
    (True, True)
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1.0,
        betas: tuple[Number, Number] = (0.9, 0.999),
        beta3: Number | None = None,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        decouple: bool = True,  # noqa: FBT001, FBT002  (prodigyopt's signature)
        use_bias_correction: bool = False,  # noqa: FBT001, FBT002
        safeguard_warmup: bool = False,  # noqa: FBT001, FBT002
        d0: Number = 1e-6,
        d_coef: Number = 1.0,
        growth_rate: Number = math.inf,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                beta3=beta3,
                eps=eps,
                weight_decay=weight_decay,
                decouple=decouple,
                use_bias_correction=use_bias_correction,
                safeguard_warmup=safeguard_warmup,
                d0=d0,
                d_coef=d_coef,
                growth_rate=growth_rate,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:  # noqa: ARG004
        return "prodigy"
