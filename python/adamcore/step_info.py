"""The result of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Type checkers see a tuple, so that unpacking works. It is not a tuple, because it waits for a device when read.
    from typing_extensions import Self

    _Pair = tuple[bool, float | None]
else:
    _Pair = object


class StepInfo(_Pair):
    """The result of a step. It can be unpacked: ``skipped, grad_norm = opt.step(grads)``.

    On a CUDA device a step is only queued, and reading either attribute waits until the step is done.

    Attributes
    ----------
    skipped : bool
        Whether the step was skipped because a gradient was not finite. Nothing was updated then.
    grad_norm : float or None
        The global L2 norm of the gradients, after unscaling and before clipping, or None if it was not computed. It is
        computed if there is a loss scale, if ``nonfinite`` is not "propagate", and if norms are clipped. It is inf or
        NaN if a gradient is not finite.
    """

    __slots__ = ("_known", "_read")

    if TYPE_CHECKING:

        def __new__(  # noqa: D102
            cls,
            skipped: bool = False,  # noqa: FBT001, FBT002
            grad_norm: float | None = None,
            *,
            read: Callable[[], tuple[bool, float | None]] | None = None,
        ) -> Self: ...

    def __init__(
        self,
        skipped: bool = False,  # noqa: FBT001, FBT002  (in the order of unpacking)
        grad_norm: float | None = None,
        *,
        read: Callable[[], tuple[bool, float | None]] | None = None,
    ) -> None:
        self._known = (skipped, grad_norm)
        self._read = read

    def _values(self) -> tuple[bool, float | None]:
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

    if not TYPE_CHECKING:

        def __iter__(self) -> Iterator[bool | float | None]:
            return iter(self._values())

        def __len__(self) -> int:
            return 2

        def __getitem__(self, place: int) -> bool | float | None:
            return self._values()[place]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StepInfo):
            return self._values() == other._values()
        return isinstance(other, tuple) and self._values() == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        skipped, grad_norm = self._values()
        return f"StepInfo(skipped={skipped}, grad_norm={grad_norm})"
