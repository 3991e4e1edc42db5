"""What a step did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # What it unpacks to, for type checkers; it is no tuple, since it waits for a device only when it is looked at.
    from typing_extensions import Self

    _Pair = tuple[bool, float | None]
else:
    _Pair = object


class StepInfo(_Pair):
    """What a step did: ``skipped, grad_norm = opt.step(grads)``.

    On a CUDA device a step is only queued: looking at either attribute waits until it is done.

    Attributes
    ----------
    skipped : bool
        Whether nothing was updated, because a gradient was not finite.
    grad_norm : float or None
        The global L2 norm of the gradients, unscaled and before clipping, where it was computed: with a loss scale,
        with ``nonfinite`` other than "propagate", and where norms are clipped. inf or NaN if a gradient is not finite.
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
        skipped: bool = False,  # noqa: FBT001, FBT002  (as it unpacks)
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
        """Whether nothing was updated."""
        return self._values()[0]

    @property
    def grad_norm(self) -> float | None:
        """The gradients' norm, or None."""
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
