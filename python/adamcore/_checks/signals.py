"""Calls of C that signals cannot keep from having their effect."""

from __future__ import annotations

import signal


def calls_for_signals() -> int:
    """Return how often a call must be made so that it has its effect once, whatever signals come in between.

    A handler may raise in place of a call's effect wherever C asks for signals: in divisions of large ints, before
    something is turned into text, and in what C calls of Python. It does so once for each signal that has come.
    """
    return 1 + sum(callable(signal.getsignal(number)) for number in signal.valid_signals())
