"""What is done once with each class of optimizers, so that its file says only what is its own."""

from __future__ import annotations

from typing import Any, TypeVar

from adamcore._checks.flags import add_flags
from adamcore.optimizers._docs import complete_docstring

Class = TypeVar("Class", bound=type[Any])


def declare(optimizer: Class) -> Class:
    """Complete an optimizer's docstring, and add its flags to those there are; a decorator."""
    complete_docstring(optimizer)
    add_flags(optimizer.__init__)
    return optimizer
