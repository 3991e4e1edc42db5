"""The optimizers: the signature of each, its documentation, and the name of its rule in C++.

Names, defaults and conventions are PyTorch's, or those of the rule's authors. Besides its own hyper-parameters, every
optimizer accepts ``params``, the options that `Optimizer` describes, and ``maximize``, which ascends instead of
descending. ``lr`` may be a schedule: a callable that takes the number of completed steps and returns the learning rate.
The first step uses ``lr(0)``.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from adamcore.optimizers._adafactor import *  # noqa: F403
from adamcore.optimizers._adagrad import *  # noqa: F403
from adamcore.optimizers._adam import *  # noqa: F403
from adamcore.optimizers._adan import *  # noqa: F403
from adamcore.optimizers._lamb import *  # noqa: F403
from adamcore.optimizers._lars import *  # noqa: F403
from adamcore.optimizers._lion import *  # noqa: F403
from adamcore.optimizers._novograd import *  # noqa: F403
from adamcore.optimizers._prodigy import *  # noqa: F403
from adamcore.optimizers._rmsprop import *  # noqa: F403
from adamcore.optimizers._schedule_free import *  # noqa: F403
from adamcore.optimizers._sgd import *  # noqa: F403
from adamcore.optimizers._stable_adamw import *  # noqa: F403

if not TYPE_CHECKING:
    # A family's file defines classes, which are public here, and functions, which adamcore.functional makes public.
    __all__ = [name for name, value in globals().items() if inspect.isclass(value)]
    FUNCTIONS = {name: globals().pop(name) for name, value in list(globals().items()) if inspect.isfunction(value)}
