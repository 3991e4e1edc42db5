"""Schedules: numbers that depend on the clock, such as learning rates.

Every numeric hyper-parameter of an optimizer takes one. A schedule is an immutable object; ``s(t)`` is the value that
the update after `t` completed ones uses, so the first step uses ``s(0)``. `Schedule` describes what all of them have.

====================  ====================================================================
`Constant`            the same value
`StepDecay`           multiplied by a factor every so many steps
`MultiStep`           multiplied by a factor at given steps
`Exponential`         exponential decay
`InverseSqrt`         decay by the square root of time
`InverseTime`         decay by time
`Piecewise`           one value after the other
`Linear`              a straight line
`Polynomial`          a polynomial
`Cosine`              half a cosine
`Interpolate`         through given points
`CosineRestarts`      half a cosine in each period
`Cyclic`              triangles
`OneCycle`            up and down once
`Warmup`              a warm-up before another schedule
`WSD`                 warm-up, stable phase, decay
`Cooldown`            another schedule, which falls at last
`Join`                one schedule after the other
`ReduceOnPlateau`     lowered by a validation metric; `Plateau` is a robust test for it
`Product`, `Sum`      ``a * b``, ``a + b``
`Clip`                ``s.clip(low, high)``
`Shift`               ``s.shift(n)``: later
`Stretch`             ``s.stretch(k)``: longer
`Every`               ``s.every(n)``: a new value every n steps
====================  ====================================================================
"""

from __future__ import annotations

from adamcore.schedules._base import Schedule as Schedule
from adamcore.schedules._base import register as register
from adamcore.schedules._combinations import Clip as Clip
from adamcore.schedules._combinations import Every as Every
from adamcore.schedules._combinations import Product as Product
from adamcore.schedules._combinations import Shift as Shift
from adamcore.schedules._combinations import Stretch as Stretch
from adamcore.schedules._combinations import Sum as Sum
from adamcore.schedules._cycles import CosineRestarts as CosineRestarts
from adamcore.schedules._cycles import Cyclic as Cyclic
from adamcore.schedules._cycles import OneCycle as OneCycle
from adamcore.schedules._decays import Constant as Constant
from adamcore.schedules._decays import Exponential as Exponential
from adamcore.schedules._decays import InverseSqrt as InverseSqrt
from adamcore.schedules._decays import InverseTime as InverseTime
from adamcore.schedules._decays import MultiStep as MultiStep
from adamcore.schedules._decays import Piecewise as Piecewise
from adamcore.schedules._decays import StepDecay as StepDecay
from adamcore.schedules._detector import Plateau as Plateau
from adamcore.schedules._phases import WSD as WSD
from adamcore.schedules._phases import Cooldown as Cooldown
from adamcore.schedules._phases import Join as Join
from adamcore.schedules._phases import Warmup as Warmup
from adamcore.schedules._plateau import ReduceOnPlateau as ReduceOnPlateau
from adamcore.schedules._ramps import Cosine as Cosine
from adamcore.schedules._ramps import Interpolate as Interpolate
from adamcore.schedules._ramps import Linear as Linear
from adamcore.schedules._ramps import Polynomial as Polynomial

__all__ = [
    "WSD",
    "Clip",
    "Constant",
    "Cooldown",
    "Cosine",
    "CosineRestarts",
    "Cyclic",
    "Every",
    "Exponential",
    "Interpolate",
    "InverseSqrt",
    "InverseTime",
    "Join",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Piecewise",
    "Plateau",
    "Polynomial",
    "Product",
    "ReduceOnPlateau",
    "Schedule",
    "Shift",
    "StepDecay",
    "Stretch",
    "Sum",
    "Warmup",
    "register",
]
