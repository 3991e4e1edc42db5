"""Adam and AdamW: running averages of gradients and of their squares."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Adam", "AdamW", "adam", "adamw"]


@declare
class Adam(Optimizer):
    r"""Adam. Weight decay is an L2 penalty, added to the gradient.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2 \\
        \theta_t &= \theta_{t-1}
            - \frac{\eta}{1-\beta_1^t} \frac{m_t}{\sqrt{v_t}/\sqrt{1-\beta_2^t} + \epsilon}

    Parameters
    ----------
    amsgrad : bool
        Divide by the root of the largest second moment so far (Reddi et al. 2018). If it is set between steps, the
        largest is that since then.

    References
    ----------
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015. Reddi, Kale & Kumar, "On the Convergence of
    Adam and Beyond", ICLR 2018.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.array([1.0, -2.0])
    >>> opt = ac.Adam(w, lr=0.1)
    >>> for _ in range(300):
    ...     info = opt.step(2 * w)  # the gradient of w @ w
    >>> bool(abs(w).max() < 1e-3)
    True
    """

    _variant_keys = ("amsgrad",)

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        amsgrad: bool = False,  # noqa: FBT001, FBT002  (PyTorch's signature)
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return "adam_amsgrad" if group["amsgrad"] else "adam"


_update_adam = update_function(
    "adam",
    Adam._rule,
    Adam._variant_keys,
    ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize"),
    ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
)


def adam(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
    max_exp_avg_sq: Arrays | None = None,
) -> None:
    """Do one `Adam` update of plain arrays, in place.

    State: ``exp_avg`` and ``exp_avg_sq``; with ``amsgrad=True``, also ``max_exp_avg_sq``.
    `adamcore.functional` describes the arguments.
    """
    _update_adam(p, g, state, t, lr, betas, eps, weight_decay, amsgrad, maximize, exp_avg, exp_avg_sq, max_exp_avg_sq)


@declare
class AdamW(Optimizer):
    r"""Adam with decoupled weight decay.

    .. math::
        \theta_t = \theta_{t-1} - \eta\lambda\theta_{t-1}
            - \frac{\eta}{1-\beta_1^t} \frac{m_t}{\sqrt{v_t}/\sqrt{1-\beta_2^t} + \epsilon}

    with Adam's moments :math:`m_t` and :math:`v_t`.

    Parameters
    ----------
    weight_decay : float
        Decoupled weight decay :math:`\lambda` >= 0, which is multiplied by the learning rate.
    amsgrad : bool
        Divide by the root of the largest second moment so far (Reddi et al. 2018). If it is set between steps, the
        largest is that since then.
    maximize : bool
        Maximize the objective instead of minimizing it. Weights decay all the same.
    cautious : bool
        Move only weights whose direction agrees with the sign of the gradient, and divide the learning rate by their
        share of the array, or by 0.001 if it is less (Liang et al. 2024). Weight decay stays as it is.

    References
    ----------
    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. Liang et al., "Cautious Optimizers:
    Improving Training with One Line of Code", arXiv:2411.16085, 2024.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}
    >>> opt = ac.AdamW(w, lr=0.1, weight_decay=0.5)
    >>> info = opt.step({"kernel": np.zeros((2, 3), np.float32), "bias": None})
    >>> w["kernel"][0]
    array([0.95, 0.95, 0.95], dtype=float32)
    """

    _variant_keys = ("amsgrad", "cautious")
    _later_options = MappingProxyType({"cautious": False})

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 1e-2,
        amsgrad: bool = False,  # noqa: FBT001, FBT002  (PyTorch's signature)
        *,
        cautious: bool = False,
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
                amsgrad=amsgrad,
                cautious=cautious,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return "adamw" + "_amsgrad" * bool(group["amsgrad"]) + "_cautious" * bool(group["cautious"])


_update_adamw = update_function(
    "adamw",
    AdamW._rule,
    AdamW._variant_keys,
    ("lr", "betas", "eps", "weight_decay", "amsgrad", "cautious", "maximize"),
    ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
)


def adamw(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    cautious: bool = False,
    maximize: bool = False,
    exp_avg: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
    max_exp_avg_sq: Arrays | None = None,
) -> None:
    """Do one `AdamW` update of plain arrays, in place.

    State: ``exp_avg`` and ``exp_avg_sq``; with ``amsgrad=True``, also ``max_exp_avg_sq``.
    `adamcore.functional` describes the arguments.
    """
    _update_adamw(
        p,
        g,
        state,
        t,
        lr,
        betas,
        eps,
        weight_decay,
        amsgrad,
        cautious,
        maximize,
        exp_avg,
        exp_avg_sq,
        max_exp_avg_sq,
    )
