#!/usr/bin/env python3
"""Runs a command with its output in a pipe, and says for how long it was silent: .ci/silence.py COMMAND ARGUMENTS...

The last lines are the longest silences, each with what was printed before it, and the times of the whole.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

COUNT = 5


def main() -> int:
    """Copy what the command prints, and measure."""
    began = last = time.monotonic()
    silences: list[tuple[float, float, str]] = []
    tail = b""
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603
    assert process.stdout is not None
    while True:
        piece = os.read(process.stdout.fileno(), 1 << 16)
        now = time.monotonic()
        silences.append((now - last, last - began, tail.decode(errors="replace")))
        last = now
        if not piece:
            break
        tail = (tail + piece)[-200:].rstrip().rsplit(b"\n", 1)[-1]
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
    status = process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    for length, at, before in sorted(silences, reverse=True)[:COUNT]:
        print(f"silent for {length:.1f} s at {at:.0f} s, after: {before[-100:]}")
    print(f"{time.monotonic() - began:.0f} s, of processors {used.ru_utime + used.ru_stime:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
