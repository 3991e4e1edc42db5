"""Runs a script on the emulation: python -m emulated SCRIPT ARGUMENTS..., or -c CODE, with PYTHONPATH=tests.

ADAMCORE_EMULATION names the folder of the built module.
"""

from __future__ import annotations

import gc
import runpy
import sys
from pathlib import Path

from emulated.core import start_schedule
from emulated.install import install


def main() -> None:
    install()
    gc.disable()  # garbage must not be collected in work that a device is just doing
    start_schedule()
    script, *arguments = sys.argv[1:]
    if script == "-c":
        code, *arguments = arguments
        sys.argv = ["-c", *arguments]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
        return
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
