"""Adafactor: second moments of matrices as products of averages over rows and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._parts.options import Options
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Adafactor", "adafactor"]


@declare
class Adafactor(Optimizer):
    r"""Adafactor, as in PyTorch: its state for a matrix is one number for each row and one for each column.

    .. math::
        r_t &= \beta_t r_{t-1} + (1-\beta_t) \operatorname{mean}_{columns} g_t^2, \quad
        c_t = \beta_t c_{t-1} + (1-\beta_t) \operatorname{mean}_{rows} g_t^2, \quad
        \beta_t = 1 - t^\gamma \\
        v_t &= \frac{r_t c_t}{\max(\operatorname{mean} r_t, \epsilon_1)}, \quad
        u_t = \frac{g_t}{\sqrt{\max(v_t, \epsilon_1^2)}} \\
        \theta_t &= \theta_{t-1} - \eta\lambda\theta_{t-1} - \frac{\alpha_t}{\max(1, \operatorname{RMS}(u_t)/d)} u_t,
        \quad \alpha_t = \max(\epsilon_2, \operatorname{RMS}(\theta_{t-1})) \min(\eta, 1/\sqrt t)

    An array with more than two axes is a stack of matrices, which are its last two axes. For arrays with fewer than two
    axes, :math:`v_t` is the running average of :math:`g_t^2` itself. Parameters are real.

    Parameters
    ----------
    lr : float or callable
        Limit :math:`\eta` >= 0 of the learning rate relative to the size of the parameter, or a schedule. Every other
        number can be a schedule too, as described in `Optimizer`.
    beta2_decay : float
        The exponent :math:`\gamma` <= 0, by which the decay rate of second moments grows.
    eps : tuple of a float or None, and a float
        Least values :math:`\epsilon_1` of second moments and :math:`\epsilon_2` of the size of the parameter, both
        >= 0. If :math:`\epsilon_1` is None, it is the machine epsilon of float64 for float64 parameters and otherwise
        that of float32. (:math:`\epsilon_1` limits averages of squares: in float32, gradients below 3e-4 come close to
        it.)
    d : float
        The largest root mean square of an update :math:`u_t`, >= 1.
    weight_decay : float
        Decoupled weight decay :math:`\lambda` >= 0, which is multiplied by `lr`.
    maximize : bool
        Maximize the objective instead of minimizing it. Weights decay all the same.

    References
    ----------
    Shazeer & Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = {"kernel": np.ones((1000, 500), np.float32), "bias": np.zeros(500, np.float32)}
    >>> opt = ac.Adafactor(w)
    >>> {name: {slot: a.shape for slot, a in state.items()} for name, state in opt.state.items()}
    {'kernel': {'row_var': (1000, 1), 'col_var': (1, 500)}, 'bias': {'variance': (500,)}}
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        beta2_decay: Number = -0.8,
        eps: tuple[Number | None, Number] = (None, 1e-3),
        d: Number = 1.0,
        weight_decay: Number = 0.0,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            params,
            dict(lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay, maximize=maximize),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:  # noqa: ARG004
        return "adafactor"


_update_adafactor = update_function(
    "adafactor",
    Adafactor._rule,
    Adafactor._variant_keys,
    ("lr", "beta2_decay", "eps", "d", "weight_decay", "maximize"),
    ("row_var", "col_var", "variance"),
)


def adafactor(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-2,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
    maximize: bool = False,
    row_var: Arrays | None = None,
    col_var: Arrays | None = None,
    variance: Arrays | None = None,
) -> None:
    """Do one `Adafactor` update of plain arrays, in place: of matrices, or of arrays with fewer than two axes.

    State of matrices: ``row_var``, which has the parameter's shape with a last axis of length 1, and ``col_var``, with
    a last but one axis of length 1. State of other arrays: ``variance``. All of it is float64 if the parameter is, and
    ``row_var`` and ``col_var`` are otherwise float32.
    `adamcore.functional` describes the arguments.
    """
    _update_adafactor(p, g, state, t, lr, beta2_decay, eps, d, weight_decay, maximize, row_var, col_var, variance)
