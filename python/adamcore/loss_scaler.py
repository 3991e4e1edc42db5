"""Loss scaling, which keeps small gradients from underflowing in float16."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from adamcore._arrays.memory import DeviceMemory
from adamcore._checks.successors import latest
from adamcore._checks.suggestions import did_you_mean, is_like_one_of
from adamcore._scaling.device import DeviceScale
from adamcore._scaling.settings import SETTINGS, STATE, Setting, checked, checked_overflow, checked_state, count_step


class NonFiniteError(FloatingPointError, RuntimeError):
    """A gradient is infinite or NaN. Nothing has changed.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> opt = ac.SGD({"w": np.ones(2)}, nonfinite="raise")
    >>> opt.step({"w": np.array([1.0, np.nan])})
    Traceback (most recent call last):
    adamcore.loss_scaler.NonFiniteError: grads['w']: there are values that are not finite; nothing has changed
    """


class LossScaler:
    """A factor for the loss that grows while gradients are finite, and shrinks when they are not.

    Multiply the loss, or its gradient before backpropagation, by ``scaler.scale``, and pass the scaler to ``step``,
    which divides the gradients by the scale. If a gradient is not finite, the whole step is skipped and the scale
    shrinks. After `growth_interval` steps without overflow the scale grows. This is how PyTorch's ``GradScaler`` works;
    in addition, the scale has a lower limit.

    A scaler belongs to one optimizer, because each step may change the scale. Passing it to a second optimizer raises
    ValueError. If several optimizers use gradients of one scaled loss, pass the number to each of them, and update the
    scaler once::

        infos = [opt.step(g, loss_scale=scaler.scale) for opt, g in ...]
        scaler.update(overflow=any(info.skipped for info in infos))

    Use ``nonfinite="skip"`` in this case if the scale may be 1. Gradients are unscaled in float32 before the rule uses
    them, so eps and the learning rate have the same meaning as without a scaler.

    Parameters
    ----------
    init_scale : float
        Initial scale, > 0.
    growth_factor : float
        Factor by which the scale grows, > 1.
    backoff_factor : float
        Factor by which the scale shrinks after an overflow, in (0, 1).
    growth_interval : int
        Number of steps without overflow before the scale grows, >= 1.
    min_scale : float
        Lower limit of the scale, > 0. An overflow at this scale raises `NonFiniteError`.

    Attributes
    ----------
    scale : float
        The factor for the next loss, also returned by ``float(scaler)``. It can be assigned.
    growth_factor, backoff_factor, growth_interval, min_scale
        The parameters above. They can be assigned.

    Raises
    ------
    TypeError, ValueError
        If an argument, or a value assigned to an attribute, is out of range.

    References
    ----------
    Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.ones(2, np.float16)
    >>> opt, scaler = ac.SGD(w, lr=0.5), ac.LossScaler(init_scale=1024.0)
    >>> opt.step(np.array([1.0, np.inf], np.float16), loss_scale=scaler).skipped, scaler.scale
    (True, 512.0)
    >>> opt.step(np.array([1.0, 0.0], np.float16) * scaler.scale, loss_scale=scaler).skipped
    False
    >>> w
    array([0.5, 1. ], dtype=float16)
    """

    growth_factor = Setting[float]("The factor by which the scale grows.")
    backoff_factor = Setting[float]("The factor by which the scale shrinks after an overflow.")
    growth_interval = Setting[int](
        "The number of steps without overflow before the scale grows. If it is set to no more than the number of such "
        "steps so far, the next step without overflow grows the scale."
    )
    min_scale = Setting[float]("The lower limit of the scale.")

    __slots__ = ("__weakref__", "_now", "_on_device", "_optimizer")

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        *,
        min_scale: float = 1.0,
    ) -> None:
        settings = checked(
            {
                "scale": init_scale,
                "growth_factor": growth_factor,
                "backoff_factor": backoff_factor,
                "growth_interval": growth_interval,
                "min_scale": min_scale,
            },
            {"scale": "init_scale"},
        )
        self._now: dict[str, Any] = {**settings, "clean_steps": 0}  # a dict, so that steps do not assign attributes
        self._on_device: DeviceScale | None = None  # set if steps on a device change the scale
        self._optimizer: Callable[[], object] = lambda: None  # the optimizer whose steps change the scale

    @property
    def scale(self) -> float:
        """The factor for the next loss. With an optimizer on a CUDA device, reading it waits for the device."""
        self.pull()
        return float(self._now["scale"])

    @scale.setter
    def scale(self, value: float) -> None:
        self._change(scale=value)

    def _change(self, **changed: Any) -> None:
        self.pull()
        settings = checked({**{key: self._now[key] for key in SETTINGS}, **changed})
        self._replace({**settings, "clean_steps": self._now["clean_steps"]})

    def _replace(self, numbers: dict[str, Any]) -> None:
        """Take over checked numbers on the host and on the device, or on neither of them."""
        before = self._now
        self._now = numbers
        try:
            self._push()
        except BaseException:
            self._now = before
            raise

    if not TYPE_CHECKING:  # type checkers find wrong attributes without this

        def __setattr__(self, name: str, value: Any) -> None:
            if not hasattr(type(self), name) and (not hasattr(self, "__dict__") or is_like_one_of(name, STATE)):
                raise AttributeError(
                    f"LossScaler has no attribute {name!r}; it has {', '.join(STATE)}" + did_you_mean(name, STATE)
                )
            object.__setattr__(self, name, value)

    @property
    def is_at_floor(self) -> bool:
        """Whether an overflow raises an error, because the scale cannot shrink any more."""
        return self.scale <= self.min_scale

    def get_scale(self) -> float:
        """Return `scale`. This is PyTorch's name for it."""
        return self.scale

    def __float__(self) -> float:
        return self.scale

    def device_scale(self, optimizer: Any) -> Any:
        """Return the scale as an array on the device of `optimizer`, to multiply a loss by it without waiting.

        Parameters
        ----------
        optimizer : Optimizer
            An optimizer of CUDA arrays, whose steps will use this scaler.

        Returns
        -------
        array
            A float32 array of shape (), of the parameters' library. Steps update it, so it always has the current
            scale.

        Raises
        ------
        TypeError
            If the optimizer's parameters are not on a device.
        """
        memory = optimizer._memory
        if not isinstance(memory, DeviceMemory):
            raise TypeError("LossScaler: device_scale is for optimizers of CUDA arrays; use scale")
        return self._bind(memory, optimizer._native.device).as_array()

    def bind(self, memory: DeviceMemory, device: int) -> Any:
        """Keep the scale on a device from now on, and return the native scaler, which a step passes on."""
        return self._bind(memory, device).native

    def _bind(self, memory: DeviceMemory, device: int) -> DeviceScale:
        if self._on_device is None or self._on_device.device != device:
            self.pull()
            self._on_device = DeviceScale(memory, device, dict(self._now))
        return self._on_device

    def pull(self) -> None:
        """Read the scale back from the device, if steps change it there.

        Raises
        ------
        NonFiniteError
            If an overflow has occurred at the floor of the scale since the last call.
        """
        if self._on_device is None:
            return
        self._now["scale"], self._now["clean_steps"], failed = self._on_device.read()
        if failed:
            self._raise_at_floor()

    def _push(self) -> None:
        if self._on_device is not None:
            self._on_device.write(dict(self._now))

    def update(self, *, overflow: bool) -> None:
        """Update the scale after a step, as ``step`` does: shrink after an overflow, grow after enough clean steps.

        Parameters
        ----------
        overflow : bool
            Whether a gradient was not finite.

        Raises
        ------
        NonFiniteError
            If there was an overflow and the scale is at its floor.

        Examples
        --------
        >>> import adamcore as ac
        >>> scaler = ac.LossScaler(growth_interval=2)
        >>> for overflow in (True, False, False):
        ...     scaler.update(overflow=overflow)
        >>> scaler.scale
        65536.0
        """
        overflow = checked_overflow(overflow)
        self.pull()
        if not count_step(self._now, overflow=overflow):
            self._raise_at_floor()
        self._push()

    def require_free_for(self, optimizer: object) -> None:
        """Raise ValueError if another optimizer that is still alive has used this scaler in a step."""
        other = latest(self._optimizer())
        if other is None or other is optimizer:
            return
        raise ValueError(
            f"loss_scale: another {type(other).__name__} has been stepped with this LossScaler, and its steps change "
            "the scale. Make a LossScaler for each loss, or pass the number to the optimizers and update the scaler "
            "once: "
            "infos = [o.step(g, loss_scale=scaler.scale) for o, g in zip(optimizers, grads)]; "
            "scaler.update(overflow=any(i.skipped for i in infos)), with nonfinite='skip' where the scale may be 1"
        )

    def belong_to(self, optimizer: object) -> None:
        """Remember the optimizer whose steps change the scale."""
        if self._optimizer() is not optimizer:
            self._optimizer = weakref.ref(optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to resume.

        Examples
        --------
        >>> import adamcore as ac
        >>> ac.LossScaler().state_dict()["scale"]
        65536.0
        """
        self.pull()
        return dict(self._now)

    def _raise_at_floor(self) -> NoReturn:
        raise NonFiniteError(
            f"LossScaler: a gradient is not finite although the scale is at its floor, min_scale={self.min_scale!r}. "
            "The scale is not the cause: look at the loss and at the inputs of this step for NaN and inf, and at the "
            "learning rate; clip_norm limits large gradients"
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load what ``state_dict()`` returned.

        Examples
        --------
        >>> import adamcore as ac
        >>> old, new = ac.LossScaler(512.0), ac.LossScaler()
        >>> new.load_state_dict(old.state_dict())
        >>> new.scale
        512.0
        """
        self._replace(checked_state(state_dict))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle only the numbers, so that a copy belongs to no optimizer."""
        return type(self), (), self.state_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.load_state_dict(state)

    def __repr__(self) -> str:
        return f"LossScaler(scale={self.scale!r})"
