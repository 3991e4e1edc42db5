"""Docstrings of optimizers: the paragraphs that most of them need, written once."""

from __future__ import annotations

import inspect
import re
from typing import Any

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
_NEXT_SECTION = re.compile(r"^\w+\n-+$", re.MULTILINE)


def complete_docstring(optimizer: type[Any]) -> None:
    """Complete an optimizer's docstring.

    The section "Parameters" gets a paragraph for each argument in the signature's order: the class's own where there is
    one, else the usual one. The section "Raises", which is the same for all, follows. A class whose arguments are all
    usual has no section "Parameters" of its own.
    """
    if optimizer.__doc__ is None:  # python -OO
        return
    before, own, after = _sections(inspect.cleandoc(optimizer.__doc__))
    paragraphs = {**_USUAL, **_split(own)}
    code = optimizer.__init__.__code__
    arguments = [*code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount], "**options"]
    if missing := [name for name in arguments if name not in paragraphs]:
        raise TypeError(f"{optimizer.__name__}: its docstring does not describe {missing[0]!r}")
    parameters = "\n".join(paragraphs[name] for name in arguments)
    optimizer.__doc__ = f"{before}{_HEADING}{parameters}\n\n{_RAISES}\n{after}\n"


def _sections(text: str) -> tuple[str, str, str]:
    """Return what comes before the section "Parameters", its paragraphs, and what comes after it."""
    before, heading, rest = text.partition(_HEADING)
    if not heading:
        before, rest = "", text
    found = _NEXT_SECTION.search(rest)
    place = found.start() if found else len(rest)
    own, after = rest[:place].rstrip(), rest[place:]
    return (before, own, after) if heading else (own + "\n\n", "", after)


def _split(section: str) -> dict[str, str]:
    """Return the paragraphs of a section of parameters by name."""
    paragraphs = re.split(r"\n(?=\S)", section.strip("\n")) if section else []
    return {paragraph.split(" : ")[0].partition("\n")[0]: paragraph for paragraph in paragraphs}


_USUAL = _split(_PARAMETERS)
