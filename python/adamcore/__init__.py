"""Optimizer steps on NumPy arrays: in place, exact, at the speed of memory."""

from __future__ import annotations

try:
    from adamcore._core import __version__
except ImportError as error:  # pragma: no cover
    if "interpreter" in str(error):  # nothing is amiss with the installation
        raise
    raise ImportError(
        "adamcore's compiled part could not be loaded: install the package with pip (pip install .), and import it "
        f"from outside its source tree. The loader said: {error}"
    ) from error

from adamcore import functional, optimizers
from adamcore._build import build_info, get_cmake_dir, get_include, get_num_threads, set_num_threads
from adamcore.functional import adam_update
from adamcore.loss_scaler import LossScaler, NonFiniteError
from adamcore.norms import clip_grad_norm_, clip_grad_value_, global_norm
from adamcore.optimizer import Optimizer
from adamcore.optimizers import *  # noqa: F403  (its __all__ is the one list of optimizers)
from adamcore.precision import Precision
from adamcore.step_info import StepInfo

__all__ = [
    "LossScaler",
    "NonFiniteError",
    "Optimizer",
    "Precision",
    "StepInfo",
    "__version__",
    "adam_update",
    "build_info",
    "clip_grad_norm_",
    "clip_grad_value_",
    "functional",
    "get_cmake_dir",
    "get_include",
    "get_num_threads",
    "global_norm",
    "set_num_threads",
]
__all__ += optimizers.__all__
