"""What a record says of the machine, as far as no library of the device's is needed."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from typing import Any

from environment import commit, machine


def describe() -> dict[str, Any]:
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "device": {
            "name": nvidia_smi("name"),
            "driver": nvidia_smi("driver_version"),
            "memory_clock": nvidia_smi("clocks.max.memory"),
            "power_limit": nvidia_smi("power.limit"),
        },
    }


def nvidia_smi(query: str) -> str:
    command = ["nvidia-smi", "--id=0", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except OSError:
        return "unknown (there is no nvidia-smi)"
    except subprocess.CalledProcessError as error:
        return f"unknown (nvidia-smi ends with {error.returncode})"
