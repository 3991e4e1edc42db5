"""Schedule-free AdamW: an average of points in place of a schedule of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from adamcore._arrays.structures import Group
from adamcore._arrays.update import Arrays, Counts, update_function
from adamcore._core import call_all, short_repr
from adamcore._parts.options import Options
from adamcore._state_dicts.serializer import Memory, Unmatched
from adamcore.loss_scaler import LossScaler
from adamcore.optimizer import Number, Optimizer
from adamcore.optimizers._declare import declare
from adamcore.step_info import StepInfo
from adamcore.step_stats import Columns

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ScheduleFreeAdamW", "schedulefreeadamw"]

_MODES = ("train", "eval")


@declare
class ScheduleFreeAdamW(Optimizer):
    r"""AdamW that needs no schedule of the learning rate, because an average of its points takes its place.

    .. math::
        u_t &= \frac{g_t}{\sqrt{\hat v_t} + \epsilon} + \lambda y_{t-1}, \quad
        z_t = z_{t-1} - \eta_t u_t, \quad
        x_t = (1-c_t) x_{t-1} + c_t z_t, \quad y_t = (1-\beta_1) z_t + \beta_1 x_t \\
        c_t &= \frac{w_t}{\sum_{i \le t} w_i}, \quad w_t = t^r \max_{i \le t} \eta_i^p, \quad
        \eta_t = \eta \min(1, t / T)

    with Adam's second moment :math:`\hat v_t`, corrected for its bias. Gradients are those at :math:`y`, and the
    result is the average :math:`x`. The parameters hold :math:`y` between steps. `eval` makes them :math:`x`, for
    validation and for saving the model, and `train` makes them :math:`y` again, up to rounding. Parameters of half
    precision should have a master weight, which is the default, or a remainder: what `eval` rounds away is lost else.
    Networks with batch normalisation need their statistics computed anew at :math:`x`.

    Parameters
    ----------
    lr : float or schedule
        Learning rate >= 0. Larger ones than AdamW's are usual.
    betas : tuple of two floats
        :math:`\beta_1` in (0, 1) says how near to the average gradients are computed; :math:`\beta_2` in [0, 1) is the
        decay rate of the second moment.
    weight_decay : float
        Decoupled weight decay :math:`\lambda` >= 0, at :math:`y`.
    warmup_steps : float
        The number of steps :math:`T` >= 0 in which the learning rate rises to `lr`.
    r : float
        The exponent :math:`r` >= 0 of the step in the weights of points.
    weight_lr_power : float
        The exponent :math:`p` >= 0 of the largest learning rate so far in them.

    References
    ----------
    Defazio et al., "The Road Less Scheduled", NeurIPS 2024.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(2)
    >>> opt = ac.ScheduleFreeAdamW(w, lr=0.1)
    >>> for _ in range(200):
    ...     info = opt.step(w - np.array([1.0, -2.0]))
    >>> opt.eval()
    >>> w.round(2)
    array([ 1.  , -1.96])
    >>> opt.train()
    """

    _mode = "train"

    def __init__(
        self,
        params: Any,
        lr: Number = 0.0025,
        betas: tuple[Number, Number] = (0.9, 0.999),
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        warmup_steps: Number = 0,
        r: Number = 0.0,
        weight_lr_power: Number = 2.0,
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
                warmup_steps=warmup_steps,
                r=r,
                weight_lr_power=weight_lr_power,
                maximize=maximize,
            ),
            options,
        )

    @staticmethod
    def _rule(group: Group) -> str:  # noqa: ARG004
        return "schedulefreeadamw"

    @property
    def mode(self) -> str:
        """What the parameters hold: "train" (the points of gradients) or "eval" (their averages)."""
        return self._mode

    def eval(self) -> None:
        """Make the parameters the averages, for evaluation. Steps raise an error until `train` is called.

        If they are already, nothing happens.
        """
        self._enter("eval", [1 - 1 / beta for beta in self._beta1()])

    def train(self) -> None:
        """Make the parameters the points at which gradients are computed, for further steps.

        If they are already, nothing happens. Between `eval` and this call, ``betas`` must not be changed.
        """
        self._enter("train", [1 - beta for beta in self._beta1()])

    def step(
        self, grads: Any = None, *, loss_scale: float | LossScaler = 1.0, weight: float = 1.0, stats: Columns = False
    ) -> StepInfo:
        """Update every parameter that has a gradient, in place. See `Optimizer.step`.

        Raises
        ------
        RuntimeError
            After `eval`, until `train` is called. Nothing has changed then.
        """
        self._require_train()
        return super().step(grads, loss_scale=loss_scale, weight=weight, stats=stats)

    def accumulate(self, grads: Any, *, weight: float = 1.0) -> None:
        """Add gradients to those of the next step. See `Optimizer.accumulate`.

        Raises
        ------
        RuntimeError
            After `eval`, until `train` is called, because such gradients are not those of the next step. Nothing has
            been added.
        """
        self._require_train()
        super().accumulate(grads, weight=weight)

    def _require_train(self) -> None:
        if self._mode == "eval":
            raise RuntimeError(
                f"{type(self).__name__}: the parameters hold their averages: call train() before the next step"
            )

    def _more_state(self) -> dict[str, Any]:
        return {"mode": self._mode}

    def _memories(self) -> list[Memory]:
        self._mode = self._mode  # an attribute of the object
        return [(self.__dict__, {"_mode": self._mode})]

    def _load(self, state_dict: Mapping[str, Any], **options: Any) -> Unmatched:
        """Load a state dict, also the mode: the parameters must be those that were saved at the same time."""
        if not isinstance(state_dict, Mapping):
            return super()._load(state_dict, **options)
        if "mode" not in state_dict:
            raise ValueError("state_dict: 'mode' is missing")
        mode = state_dict["mode"]
        if mode not in _MODES:
            raise ValueError(f"state_dict['mode']: expected 'train' or 'eval', got {short_repr(mode)}")
        if mode != self._mode and not options.get("strict", True):
            self._require_all(state_dict.get("state"), mode)
        others = {key: value for key, value in state_dict.items() if key != "mode"}
        self._mode = self._mode  # an attribute of the object, which is written together with the state
        memories = [*options.pop("memories", ()), (self.__dict__, {"_mode": mode})]
        return super()._load(others, memories=memories, **options)

    def _require_all(self, state: Any, mode: str) -> None:
        """Raise ValueError if a parameter would stay what it is in the other mode."""
        left_out = [name for name in self.steps if isinstance(state, Mapping) and name not in state]
        if left_out:
            raise ValueError(
                f"state_dict['mode']: it is {mode!r}, but {left_out[0]!r}, which is not in the state_dict, would stay "
                f"what it is with {self._mode!r}: call {mode}() before"
            )

    def _beta1(self) -> list[float]:
        return [self.current(group)["betas"][0] for group in range(len(self.param_groups))]

    def _enter(self, mode: str, shares: list[float]) -> None:
        if mode == self._mode:
            return
        self._mode = self._mode  # an attribute of the object
        note = partial(self.__dict__.__setitem__, "_mode", mode)
        call_all([partial(self._native.approach, "z", shares), note])


_update_schedulefreeadamw = update_function(
    "schedulefreeadamw",
    ScheduleFreeAdamW._rule,
    ScheduleFreeAdamW._variant_keys,
    ("lr", "betas", "eps", "weight_decay", "warmup_steps", "r", "weight_lr_power", "maximize"),
    ("z", "exp_avg_sq", "lr_max", "weight_sum"),
)


def schedulefreeadamw(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 0.0025,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    warmup_steps: float = 0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
    maximize: bool = False,
    z: Arrays | None = None,
    exp_avg_sq: Arrays | None = None,
    lr_max: Arrays | None = None,
    weight_sum: Arrays | None = None,
) -> None:
    """Do one `ScheduleFreeAdamW` update of plain arrays, in place.

    State: ``z``, which starts as a copy of ``p``, ``exp_avg_sq``, and the float64 arrays without axes ``lr_max``, which
    starts as -1, and ``weight_sum``.
    `adamcore.functional` describes the arguments.
    """
    _update_schedulefreeadamw(
        p,
        g,
        state,
        t,
        lr,
        betas,
        eps,
        weight_decay,
        warmup_steps,
        r,
        weight_lr_power,
        maximize,
        z,
        exp_avg_sq,
        lr_max,
        weight_sum,
    )
