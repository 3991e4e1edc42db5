"""The paragraphs that most docstrings of optimizers have in common, written once."""

from __future__ import annotations

import inspect
import re
from typing import Any

_PARAMETERS = r"""
params : arrays
    The parameters to optimize: one array, a sequence, a mapping or groups, as described in `Optimizer`.
lr : float or callable
    Learning rate :math:`\eta` >= 0, or a schedule. Every other number can be a schedule too, as described in
    `Optimizer`.
betas : tuple of two floats
    Decay rates of the two moments, each in [0, 1).
eps : float
    Term added to the denominator, >= 0.
weight_decay : float
    L2 penalty >= 0: this multiple of the parameter is added to its gradient.
maximize : bool
    Maximize the objective instead of minimizing it.
**options
    Options for precision, clipping and checks, as described in `Optimizer`.
"""

_RAISES = """\
Raises
------
TypeError, ValueError
    If an array or a hyper-parameter is invalid. The message names it.
"""

_HEADING = "Parameters\n----------\n"
_NEXT_SECTION = re.compile(r"^\w+\n-+$", re.MULTILINE)


def complete_docstring(optimizer: type[Any]) -> None:
    """Complete an optimizer's docstring.

    The section "Parameters" gets a paragraph for each argument, in the order of the signature: the class's own if it
    has one, otherwise the shared one. The section "Raises", which is the same for all classes, follows. A class whose
    arguments all use shared paragraphs has no section "Parameters" of its own.
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
    """Return the text before the section "Parameters", the section's paragraphs, and the text after it."""
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
