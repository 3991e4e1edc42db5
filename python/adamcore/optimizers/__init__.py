"""The optimizers: for each a signature, what it does, and the name of its rule in C++.

Names, defaults and conventions are PyTorch's. Every optimizer takes, besides its own hyper-parameters, ``params`` and
the options that `Optimizer` describes, and ``maximize``, which ascends instead of descending. ``lr`` may be a schedule:
a callable from the number of completed steps to a float, so that the first step uses ``lr(0)``.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from adamcore.optimizers._adagrad import *  # noqa: F403
from adamcore.optimizers._adam import *  # noqa: F403
from adamcore.optimizers._rmsprop import *  # noqa: F403
from adamcore.optimizers._sgd import *  # noqa: F403

if not TYPE_CHECKING:
    # A family's file has classes, which are public here, and their functions, which are public in adamcore.functional.
    __all__ = [name for name, value in globals().items() if inspect.isclass(value)]
    FUNCTIONS = {name: globals().pop(name) for name, value in list(globals().items()) if inspect.isfunction(value)}
