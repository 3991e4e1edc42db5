"""Optimizer steps on arrays: in place, bit-reproducible, at the speed of memory."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

try:
    from adamcore._core import __version__ as __version__
except ImportError as error:  # pragma: no cover
    if "interpreter" in str(error):  # a sub-interpreter; the installation is fine
        raise
    raise ImportError(
        "adamcore's compiled module could not be loaded: install the package with pip (pip install .), and import it "
        f"from outside the source tree. The import failed with: {error}"
    ) from error

# Type checkers cannot read __all__, because it takes the optimizers from their families' files. For them, "as" makes a
# name public.
from adamcore import functional as functional
from adamcore import optimizers as optimizers
from adamcore._build import build_info as build_info
from adamcore._build import get_cmake_dir as get_cmake_dir
from adamcore._build import get_include as get_include
from adamcore._build import get_num_threads as get_num_threads
from adamcore._build import set_num_threads as set_num_threads
from adamcore.functional import adam_update as adam_update
from adamcore.loss_scaler import LossScaler as LossScaler
from adamcore.loss_scaler import NonFiniteError as NonFiniteError
from adamcore.norms import clip_grad_norm_ as clip_grad_norm_
from adamcore.norms import clip_grad_value_ as clip_grad_value_
from adamcore.norms import global_norm as global_norm
from adamcore.optimizer import Optimizer as Optimizer
from adamcore.optimizers import *  # noqa: F403
from adamcore.precision import Precision as Precision
from adamcore.step_info import StepInfo as StepInfo
from adamcore.step_stats import StepStats as StepStats

_ON_FIRST_USE = {
    "CheckpointError": "_files.errors",
    "Checkpoints": "_checkpoints.folder",
    "EMA": "averages",
    "EarlyStopping": "_early_stopping",
    "Finding": "monitor.finding",
    "Lookahead": "averages",
    "Monitor": "monitor.monitor",
    "SWA": "averages",
    "SpikeGuard": "_guards",
    "compare": "training.comparing.compare",
    "escape": None,
    "fit": "training.fit",
    "load": "_checkpoints.files",
    "lr_finder": "training.lr_finder",
    "save": "_checkpoints.files",
    "schedules": None,
    "switch": "training.switch",
    "tune": "training.tuning.tune",
}
"""Names that are imported when they are first used, and their modules, or None for modules."""

if TYPE_CHECKING:
    from adamcore import escape as escape
    from adamcore import schedules as schedules
    from adamcore._checkpoints.files import load as load
    from adamcore._checkpoints.files import save as save
    from adamcore._checkpoints.folder import Checkpoints as Checkpoints
    from adamcore._early_stopping import EarlyStopping as EarlyStopping
    from adamcore._files.errors import CheckpointError as CheckpointError
    from adamcore._guards import SpikeGuard as SpikeGuard
    from adamcore.averages import EMA as EMA
    from adamcore.averages import SWA as SWA
    from adamcore.averages import Lookahead as Lookahead
    from adamcore.monitor.finding import Finding as Finding
    from adamcore.monitor.monitor import Monitor as Monitor
    from adamcore.training.comparing.compare import compare as compare
    from adamcore.training.fit import fit as fit
    from adamcore.training.lr_finder import lr_finder as lr_finder
    from adamcore.training.switch import switch as switch
    from adamcore.training.tuning.tune import tune as tune
else:

    def __getattr__(name: str) -> object:
        if name not in _ON_FIRST_USE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_ON_FIRST_USE[name] or name}")
        value = getattr(module, name) if _ON_FIRST_USE[name] else module
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_ON_FIRST_USE})

    __all__ = [
        "EMA",
        "SWA",
        "CheckpointError",
        "Checkpoints",
        "EarlyStopping",
        "Finding",
        "Lookahead",
        "LossScaler",
        "Monitor",
        "NonFiniteError",
        "Optimizer",
        "Precision",
        "SpikeGuard",
        "StepInfo",
        "StepStats",
        "__version__",
        "adam_update",
        "build_info",
        "clip_grad_norm_",
        "clip_grad_value_",
        "compare",
        "escape",
        "fit",
        "functional",
        "get_cmake_dir",
        "get_include",
        "get_num_threads",
        "global_norm",
        "load",
        "lr_finder",
        "save",
        "schedules",
        "set_num_threads",
        "switch",
        "tune",
    ]
    __all__ += optimizers.__all__
