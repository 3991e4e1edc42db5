"""The optimizers: for each a signature, what it does, and the name of its rule in C++.

Names, defaults and conventions are PyTorch's. Every optimizer takes, besides its own hyper-parameters, ``params`` and
the options that `Optimizer` describes, and ``maximize``, which ascends instead of descending. ``lr`` may be a schedule:
a callable from the number of completed steps to a float, so that the first step uses ``lr(0)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._options import Options
from adamcore._params import Group
from adamcore.optimizer import Optimizer, Schedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"]


class Adam(Optimizer):
    r"""Adam, with weight decay as an L2 term in the gradient.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2 \\
        \theta_t &= \theta_{t-1}
            - \frac{\eta}{1-\beta_1^t} \frac{m_t}{\sqrt{v_t}/\sqrt{1-\beta_2^t} + \epsilon}

    Parameters
    ----------
    params : arrays
        What to optimize, as `Optimizer` describes.
    lr : float or callable
        Learning rate :math:`\eta` >= 0, or a schedule.
    betas : tuple of two floats
        Decay of the moments, each in [0, 1).
    eps : float
        Added to the denominator, >= 0.
    weight_decay : float
        Multiple of the parameter that is added to its gradient, >= 0.
    amsgrad : bool
        Divide by the root of the largest second moment so far (Reddi et al. 2018).
    maximize : bool
        Ascend.
    **options
        Precision, clipping and checks, as `Optimizer` describes.

    Raises
    ------
    TypeError, ValueError
        If an array or a hyper-parameter does not fit; the message names it.

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
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
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


class AdamW(Optimizer):
    r"""Adam with decoupled weight decay.

    .. math::
        \theta_t = \theta_{t-1} - \eta\lambda\theta_{t-1}
            - \frac{\eta}{1-\beta_1^t} \frac{m_t}{\sqrt{v_t}/\sqrt{1-\beta_2^t} + \epsilon}

    with Adam's moments :math:`m_t` and :math:`v_t`.

    Parameters
    ----------
    params : arrays
        What to optimize, as `Optimizer` describes.
    lr : float or callable
        Learning rate :math:`\eta` >= 0, or a schedule.
    betas : tuple of two floats
        Decay of the moments, each in [0, 1).
    eps : float
        Added to the denominator, >= 0.
    weight_decay : float
        Weight decay :math:`\lambda` >= 0, multiplied by the learning rate.
    amsgrad : bool
        Divide by the root of the largest second moment so far (Reddi et al. 2018).
    maximize : bool
        Ascend. Weights still decay.
    **options
        Precision, clipping and checks, as `Optimizer` describes.

    Raises
    ------
    TypeError, ValueError
        If an array or a hyper-parameter does not fit; the message names it.

    References
    ----------
    Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}
    >>> opt = ac.AdamW(w, lr=0.1, weight_decay=0.5)
    >>> info = opt.step({"kernel": np.zeros((2, 3), np.float32), "bias": None})
    >>> w["kernel"][0]
    array([0.95, 0.95, 0.95], dtype=float32)
    """

    _variant_keys = ("amsgrad",)

    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
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
        return "adamw_amsgrad" if group["amsgrad"] else "adamw"


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum and Nesterov's momentum.

    .. math::
        b_t = \mu b_{t-1} + (1-\tau) g_t, \quad \theta_t = \theta_{t-1} - \eta d_t

    where :math:`d_t` is :math:`g_t` without momentum, :math:`b_t` with it, and :math:`g_t + \mu b_t` with Nesterov's.
    The buffer starts as the first gradient, undamped.

    Parameters
    ----------
    params : arrays
        What to optimize, as `Optimizer` describes.
    lr : float or callable
        Learning rate :math:`\eta` >= 0, or a schedule.
    momentum : float
        :math:`\mu` >= 0. There is a buffer if it is not 0, so it cannot become 0 or cease to be 0 later.
    dampening : float
        :math:`\tau`.
    weight_decay : float
        Multiple of the parameter that is added to its gradient, >= 0.
    nesterov : bool
        Needs momentum > 0 and no dampening.
    maximize : bool
        Ascend.
    **options
        Precision, clipping and checks, as `Optimizer` describes.

    Raises
    ------
    TypeError, ValueError
        If an array or a hyper-parameter does not fit; the message names it.

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

    _variant_keys = ("momentum", "dampening", "nesterov")

    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
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
        if not group["nesterov"]:
            return "sgd_momentum" if group["momentum"] != 0 else "sgd"
        if group["momentum"] == 0 or group["dampening"] != 0:
            raise ValueError("SGD: nesterov needs momentum > 0 and dampening 0")
        return "sgd_nesterov"


class RMSprop(Optimizer):
    r"""RMSprop, also centered and with momentum.

    .. math::
        s_t = \alpha s_{t-1} + (1-\alpha) g_t^2, \quad
        \theta_t = \theta_{t-1} - \eta \frac{g_t}{\sqrt{s_t} + \epsilon}

    Centered, the variance :math:`s_t - \bar g_t^2` takes the place of :math:`s_t`, with :math:`\bar g` the average of
    gradients. With momentum the fraction goes into a buffer first.

    Parameters
    ----------
    params : arrays
        What to optimize, as `Optimizer` describes.
    lr : float or callable
        Learning rate :math:`\eta` >= 0, or a schedule.
    alpha : float
        Decay of the averages, in [0, 1].
    eps : float
        Added to the denominator, >= 0.
    weight_decay : float
        Multiple of the parameter that is added to its gradient, >= 0.
    momentum : float
        >= 0. There is a buffer if it is not 0, so it cannot become 0 or cease to be 0 later.
    centered : bool
        Divide by the gradient's deviation instead of its magnitude (Graves 2013).
    maximize : bool
        Ascend.
    **options
        Precision, clipping and checks, as `Optimizer` describes.

    Raises
    ------
    TypeError, ValueError
        If an array or a hyper-parameter does not fit; the message names it.

    References
    ----------
    Tieleman & Hinton, "Lecture 6.5: rmsprop", COURSERA 2012. Graves, "Generating Sequences With Recurrent Neural
    Networks", arXiv:1308.0850, 2013.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.array([1.0, -2.0])
    >>> opt = ac.RMSprop(w, lr=0.01, centered=True)
    >>> for _ in range(500):
    ...     info = opt.step(2 * w)
    >>> bool(abs(w).max() < 0.05)
    True
    """

    _variant_keys = ("momentum", "centered")

    def __init__(
        self,
        params: Any,
        lr: float | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,  # noqa: FBT001, FBT002  (PyTorch's signature)
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                alpha=alpha,
                eps=eps,
                weight_decay=weight_decay,
                momentum=momentum,
                centered=centered,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:
        return "rmsprop" + ("_centered" if group["centered"] else "") + ("_momentum" if group["momentum"] != 0 else "")


class Adagrad(Optimizer):
    r"""Adagrad: each element's step shrinks with the sum of its squared gradients.

    .. math::
        s_t = s_{t-1} + g_t^2, \quad
        \theta_t = \theta_{t-1} - \frac{\eta}{1 + (t-1)\gamma} \frac{g_t}{\sqrt{s_t} + \epsilon}

    Parameters
    ----------
    params : arrays
        What to optimize, as `Optimizer` describes.
    lr : float or callable
        Learning rate :math:`\eta` >= 0, or a schedule.
    lr_decay : float
        :math:`\gamma` >= 0.
    weight_decay : float
        Multiple of the parameter that is added to its gradient, >= 0.
    initial_accumulator_value : float
        What the sum starts from, >= 0.
    eps : float
        Added to the denominator, >= 0.
    maximize : bool
        Ascend.
    **options
        Precision, clipping and checks, as `Optimizer` describes.

    Raises
    ------
    TypeError, ValueError
        If an array or a hyper-parameter does not fit; the message names it.

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
        lr: float | Schedule = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
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
