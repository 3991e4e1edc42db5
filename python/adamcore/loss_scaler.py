"""Loss scaling: what keeps small gradients from vanishing in float16."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any, NoReturn

from adamcore._memory import DeviceMemory, cuda_module
from adamcore._numbers import as_float

_LARGEST = 2.0**126
"""Its inverse is a normal float32 number, and so is the inverse of that."""


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

    Multiply the loss, or the gradient that is propagated back from it, by ``scaler.scale``, and pass the scaler to
    ``step``, which divides gradients by it. If one is not finite the whole step is skipped and the scale shrinks; after
    `growth_interval` steps without that it grows. It behaves as PyTorch's ``GradScaler`` does, but for its floor.

    One scaler goes with one optimizer: each step may change the scale. Gradients are unscaled, in float32, before the
    rule sees them, so eps and the learning rate mean what they mean without a scaler.

    Parameters
    ----------
    init_scale : float
        The scale to begin with, > 0.
    growth_factor : float
        > 1.
    backoff_factor : float
        In (0, 1).
    growth_interval : int
        Steps without overflow before the scale grows, >= 1.
    min_scale : float
        The scale does not shrink below it, > 0; an overflow at it raises.

    Attributes
    ----------
    scale : float
        The factor for the next loss; ``float(scaler)`` too.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.

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

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        *,
        min_scale: float = 1.0,
    ) -> None:
        self.growth_factor = _number(growth_factor, "growth_factor")
        self.backoff_factor = _number(backoff_factor, "backoff_factor")
        self.growth_interval = operator.index(growth_interval)
        self.min_scale = _number(min_scale, "min_scale")
        if self.min_scale < 1 / _LARGEST:
            raise ValueError(f"LossScaler: min_scale must be at least 2**-126, got {min_scale!r}")
        if not self.growth_factor > 1:
            raise ValueError(f"LossScaler: growth_factor must be > 1, got {growth_factor!r}")
        if not self.backoff_factor < 1:
            raise ValueError(f"LossScaler: backoff_factor must be < 1, got {backoff_factor!r}")
        if self.growth_interval < 1:
            raise ValueError(f"LossScaler: growth_interval must be at least 1, got {growth_interval!r}")
        self._scale = self._checked_scale(init_scale, "init_scale")
        self._clean_steps = 0
        self._native: Any = None  # where steps on a device change the scale
        self._device_memory: Any = None

    @property
    def scale(self) -> float:
        """The factor for the next loss. With an optimizer on a CUDA device, looking at it waits for the device."""
        self.pull()
        return self._scale

    def get_scale(self) -> float:
        """Return `scale`, under PyTorch's name."""
        return self.scale

    def __float__(self) -> float:
        return self.scale

    def device_scale(self, optimizer: Any) -> Any:
        """Return the scale as an array on the device of `optimizer`, for losses to be multiplied by without waiting.

        Parameters
        ----------
        optimizer : Optimizer
            One whose parameters are CUDA arrays, which is going to be stepped with this scaler.

        Returns
        -------
        array
            Of the parameters' library, float32, without axes. Steps write to it, so it stays true.

        Raises
        ------
        TypeError
            If the optimizer's parameters are not on a device.
        """
        memory = optimizer._memory
        if not isinstance(memory, DeviceMemory):
            raise TypeError("LossScaler: device_scale is for optimizers of CUDA arrays; use scale")
        native = self.bind(memory, optimizer._core.device)
        return memory.view(native.memory, native.multiplier_offset, (), (), "float32")

    def bind(self, memory: DeviceMemory, device: int) -> Any:
        """Keep the scale on a device from now on; an optimizer's step does so."""
        if self._native is None or self._native.device != device:
            self.pull()
            module = cuda_module("LossScaler")
            native = module.Scaler(device, *memory.allocate(module.Scaler.size, device))
            self._write(native, memory)  # may be refused
            self._native, self._device_memory = native, memory
        return self._native

    def pull(self) -> None:
        """Read the scale back from the device, if steps change it there.

        Raises
        ------
        NonFiniteError
            If, since the last look, there was an overflow when the scale was at its floor.
        """
        if self._native is None:
            return
        self._scale, self._clean_steps, failed = self._native.read()
        if failed:
            self._raise_at_floor()

    def _push(self) -> None:
        if self._native is not None:
            self._write(self._native, self._device_memory)

    def _write(self, native: Any, memory: DeviceMemory) -> None:
        native.write({**self._numbers(), "largest": _LARGEST}, memory.stream(native.device))

    def update(self, *, overflow: bool) -> None:
        """Take note of a step, as ``step`` does: shrink after an overflow, grow after enough steps without.

        Parameters
        ----------
        overflow : bool
            Whether a gradient was not finite.

        Raises
        ------
        NonFiniteError
            At an overflow when the scale is at its floor.

        Examples
        --------
        >>> import adamcore as ac
        >>> scaler = ac.LossScaler(growth_interval=2)
        >>> for overflow in (True, False, False):
        ...     scaler.update(overflow=overflow)
        >>> scaler.scale
        65536.0
        """
        self.pull()
        self._update(overflow=overflow)
        self._push()

    def _update(self, *, overflow: bool) -> None:
        if not overflow:
            self._clean_steps += 1
            if self._clean_steps == self.growth_interval:
                self._clean_steps = 0
                self._scale = min(self._scale * self.growth_factor, _LARGEST)
            return
        self._clean_steps = 0
        if self._scale <= self.min_scale:
            self._raise_at_floor()
        self._scale = max(self._scale * self.backoff_factor, self.min_scale)

    def state_dict(self) -> dict[str, Any]:
        """Return what a later run needs to go on.

        Examples
        --------
        >>> import adamcore as ac
        >>> ac.LossScaler().state_dict()["scale"]
        65536.0
        """
        self.pull()
        return self._numbers()

    def _raise_at_floor(self) -> NoReturn:
        raise NonFiniteError(
            f"LossScaler: a gradient is not finite though the scale is at its floor, min_scale={self.min_scale!r}. "
            "It is not the scale that overflows: look at the loss and at the inputs of this step for NaN and inf, "
            "and at the learning rate; clip_norm bounds steps"
        )

    def _numbers(self) -> dict[str, Any]:
        return {
            "scale": self._scale,
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "min_scale": self.min_scale,
            "clean_steps": self._clean_steps,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict()`` returned.

        Examples
        --------
        >>> import adamcore as ac
        >>> old, new = ac.LossScaler(512.0), ac.LossScaler()
        >>> new.load_state_dict(old.state_dict())
        >>> new.scale
        512.0
        """
        known = self._numbers()
        if missing := [key for key in known if key not in state_dict]:
            raise ValueError(f"LossScaler: state_dict: {missing[0]!r} is missing")
        other = LossScaler(
            state_dict["scale"],
            state_dict["growth_factor"],
            state_dict["backoff_factor"],
            state_dict["growth_interval"],
            min_scale=state_dict["min_scale"],
        )
        other._clean_steps = operator.index(state_dict["clean_steps"])
        if not 0 <= other._clean_steps < other.growth_interval:
            raise ValueError(f"LossScaler: state_dict: clean_steps is out of range: {other._clean_steps}")
        self.__dict__.update({**other.__dict__, "_native": self._native, "_device_memory": self._device_memory})
        self._push()

    def __repr__(self) -> str:
        return f"LossScaler(scale={self.scale!r})"

    def _checked_scale(self, scale: float, name: str) -> float:
        checked = _number(scale, name)
        if checked > _LARGEST:
            raise ValueError(f"LossScaler: {name} must be at most 2**126, got {scale!r}")
        if checked < self.min_scale:
            raise ValueError(f"LossScaler: {name} must be at least min_scale={self.min_scale!r}, got {scale!r}")
        return checked


def _number(value: Any, name: str) -> float:
    number = as_float(value, f"LossScaler: {name}", "a number")
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"LossScaler: {name} must be a finite number > 0, got {value!r}")
    return number
