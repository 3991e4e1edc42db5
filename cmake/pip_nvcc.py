"""Print every nvcc that pip has installed and that can be found, one per line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# An isolated build may run in its own environment. The user's environment is then found through PATH, or is its base.
prefixes = [sys.prefix, os.environ.get("VIRTUAL_ENV", ""), os.environ.get("CONDA_PREFIX", ""), sys.base_prefix]
prefixes += [str(Path(folder).parent) for folder in os.environ.get("PATH", "").split(os.pathsep)]
libraries = [Path(folder) for folder in sys.path if folder]
for prefix in filter(None, prefixes):
    libraries += sorted(Path(prefix).glob("lib/python3*/*-packages"), reverse=True)
for nvcc in dict.fromkeys(nvcc for library in libraries for nvcc in sorted(library.glob("nvidia/cu*/bin/nvcc"))):
    print(nvcc)
