"""What the benchmark asks of a peer."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from problem import Array, Arrays
from shapes import Case


class UnavailableError(Exception):
    """A peer cannot run here; the message says why."""


def explain(error: Exception) -> str:
    """Return an error's first line for a record, which names no folders of the machine that it was taken on."""
    first_line = str(error).strip().split("\n")[0]
    return re.sub(r"(/[^/\s:'\"]+)+/", "", first_line)


class Peer(ABC):
    """One way of doing AdamW on float32 arrays.

    A peer copies the parameters that it gets into memory as its users would hold them, only reads the gradients, and
    has finished its work when `step` returns.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    """The distributions whose versions a record names."""
    bytes_per_element: ClassVar[int] = 12
    """What it allocates beside the shared gradients: parameter and two moments."""
    scratch_per_element: ClassVar[int] = 0
    """What it allocates for each element of the largest tensor."""
    is_yardstick: ClassVar[bool] = False
    """Whether it moves AdamW's bytes without computing AdamW."""
    dtype: ClassVar[Any] = np.float32
    """Of its parameters and gradients."""
    step_bytes: ClassVar[float] = 28
    """What its step moves for each element: p, g, m and v read; p, m and v written."""
    max_norm: ClassVar[float | None] = None
    """What it clips gradients to."""
    slow_start_above: ClassVar[int | None] = None
    """The number of tensors above which a quick run leaves it out."""

    @classmethod
    @abstractmethod
    def prepare(cls, threads: int) -> None:
        """Import what it needs and set its number of threads."""

    @abstractmethod
    def __init__(self, params: Iterable[Array], threads: int) -> None: ...

    @abstractmethod
    def use(self, grads: Arrays) -> None:
        """Take the gradients of the steps to come."""

    def renew(self) -> None:  # noqa: B027  (most peers have nothing to make)
        """Make what its step takes anew; where the host's time is measured, this is not part of it."""

    @abstractmethod
    def step(self) -> None: ...

    @abstractmethod
    def result(self) -> Arrays: ...

    @classmethod
    def memory(cls, case: Case) -> int:
        return cls.bytes_per_element * case.elements + cls.scratch_per_element * case.largest
