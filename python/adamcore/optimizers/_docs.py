"""Docstrings of optimizers: the paragraphs that most of them need, written once."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type[Any])

_PARAMETERS = r"""
params : arrays
    What to optimize, as `Optimizer` describes.
lr : float or callable
    Learning rate :math:`\eta` >= 0, or a schedule.
betas : tuple of two floats
    Decay of the moments, each in [0, 1).
eps : float
    Added to the denominator, >= 0.
weight_decay : float
    Multiple of the parameter that is added to its gradient, >= 0.
maximize : bool
    Ascend.
**options
    Precision, clipping and checks, as `Optimizer` describes.
"""

_RAISES = """\
Raises
------
TypeError, ValueError
    If an array or a hyper-parameter does not fit; the message names it.
"""

_HEADING = "Parameters\n----------\n"


def with_shared_paragraphs(optimizer: Class) -> Class:
    """Complete an optimizer's docstring, as a decorator.

    Each argument that the section "Parameters" does not describe gets its usual paragraph, in the signature's order;
    a paragraph of the class's own comes first. The section "Raises", the same for all, follows.
    """
    if optimizer.__doc__ is None:  # python -OO
        return optimizer
    before, heading, rest = inspect.cleandoc(optimizer.__doc__).partition(_HEADING)
    if not heading:
        raise TypeError(f"{optimizer.__name__}: its docstring has no section of parameters")
    own, _, after = rest.partition("\n\n")
    paragraphs = {**_USUAL, **_split(own)}
    code = optimizer.__init__.__code__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    parameters = "\n".join(paragraphs[name] for name in (*names, "**options"))
    optimizer.__doc__ = f"{before}{heading}{parameters}\n\n{_RAISES}\n{after}\n"
    return optimizer


def _split(section: str) -> dict[str, str]:
    """Return the paragraphs of a section of parameters by name."""
    paragraphs = re.split(r"\n(?=\S)", section.strip("\n"))
    return {paragraph.split(" : ")[0].partition("\n")[0]: paragraph for paragraph in paragraphs}


_USUAL = _split(_PARAMETERS)
