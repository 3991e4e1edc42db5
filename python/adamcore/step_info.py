"""The result of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from adamcore.step_stats import StepStats

if TYPE_CHECKING:
    # Type checkers see a tuple, so that unpacking works. It is not a tuple, because it waits for a device when read.
    from typing_extensions import Self

    _Pair = tuple[bool, float | None]
    _Values = tuple[bool, float | None, bool]
else:
    _Pair = object


class StepInfo(_Pair):
    """The result of a step. It can be unpacked: ``skipped, grad_norm = opt.step(grads)``.

    On a CUDA device a step is only queued, and reading either attribute waits until the step is done.

    Attributes
    ----------
    skipped : bool
        Whether the step was skipped because a gradient was not finite, or because a `SpikeGuard` skips the norm as a
        spike. Nothing was updated then.
    grad_norm : float or None
        The global L2 norm of the gradients, after unscaling and before clipping, or None if it was not computed. It is
        computed if there is a loss scale, if ``nonfinite`` is not "propagate", if norms are clipped, and with
        statistics. It is inf or NaN if a gradient is not finite.
    spike : bool
        Whether a `SpikeGuard` found `grad_norm` to be a spike. The step was then skipped, or its gradients clipped. It
        is not unpacked.
    stats : StepStats or None
        Statistics of each parameter, if the step was asked for them. They are not unpacked, and not compared by ``==``.
    """

    __slots__ = ("_known", "_read", "stats")

    stats: StepStats | None

    if TYPE_CHECKING:

        def __new__(  # noqa: D102
            cls,
            skipped: bool = False,  # noqa: FBT001, FBT002
            grad_norm: float | None = None,
            *,
            spike: bool = False,
            stats: StepStats | None = None,
            read: Callable[[], _Values] | None = None,
        ) -> Self: ...

    def __init__(
        self,
        skipped: bool = False,  # noqa: FBT001, FBT002  (in the order of unpacking)
        grad_norm: float | None = None,
        *,
        spike: bool = False,
        stats: StepStats | None = None,
        read: Callable[[], _Values] | None = None,
    ) -> None:
        self._known = (skipped, grad_norm, spike)
        self._read = read
        self.stats = stats

    def _values(self) -> _Values:
        if self._read is not None:
            self._known = self._read()
        return self._known

    @property
    def skipped(self) -> bool:
        """Whether the step was skipped."""
        return self._values()[0]

    @property
    def grad_norm(self) -> float | None:
        """The global norm of the gradients, or None."""
        return self._values()[1]

    @property
    def spike(self) -> bool:
        """Whether a `SpikeGuard` found the norm to be a spike."""
        return self._values()[2]

    def _pair(self) -> tuple[bool, float | None]:
        return self._values()[:2]

    if not TYPE_CHECKING:

        def __iter__(self) -> Iterator[bool | float | None]:
            return iter(self._pair())

        def __len__(self) -> int:
            return 2

        def __getitem__(self, place: int) -> bool | float | None:
            return self._pair()[place]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StepInfo):
            return self._values() == other._values()
        return isinstance(other, tuple) and self._pair() == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        skipped, grad_norm, spike = self._values()
        return f"StepInfo(skipped={skipped}, grad_norm={grad_norm}{', spike=True' if spike else ''})"
