"""Interrupts at every moment at which Python looks for signals, one after the other."""

from __future__ import annotations

import dis
import random
import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any

_CHECKS = ("CALL", "RESUME", "JUMP_BACKWARD", "SEND", "YIELD_VALUE", "JUMP_ABSOLUTE")
"""The beginnings of the names of instructions after which CPython handles signals."""


class Interruption(BaseException):
    """What a handler raises."""


class _Tracer:
    """Counts such moments in code of adamcore, and raises an Interruption at one of them."""

    def __init__(self, at: int) -> None:
        self.count = 0
        self._at = at
        self._last: dict[FrameType, int] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if "adamcore" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            before, self._last[frame] = self._last.get(frame), frame.f_lasti
            # Python 3.10 handles none just before a `try` or a `with`.
            is_checked = before is not None and _names(frame.f_code).get(before, "").startswith(_CHECKS)
            if is_checked and not _names(frame.f_code).get(frame.f_lasti, "").startswith("SETUP_"):
                self.count += 1
                if self.count == self._at:
                    raise Interruption
        return self


@cache
def _names(code: CodeType) -> dict[int, str]:
    """Return the names of a function's instructions, by offset."""
    return {each.offset: each.opname for each in dis.get_instructions(code)}


def _run(call: Callable[[], Any], at: int) -> int:
    tracer, before = _Tracer(at), sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    finally:
        sys.settrace(before)
    return tracer.count


def interrupt_everywhere(prepare: Callable[[], Callable[[], Any]], check: Callable[[], None], most: int) -> int:
    """Interrupt what `prepare` returns at each moment, or at `most` random ones, and call `check` after each.

    Returns how many interrupts there were: a call may take another way than the first, and end before.
    """
    moments = list(range(1, _run(prepare(), 0) + 1))
    if len(moments) > most:
        moments = sorted(random.Random(5).sample(moments, most))  # noqa: S311
    interrupted = 0
    for moment in moments:
        call = prepare()
        try:
            _run(call, moment)
        except Interruption:
            interrupted += 1
        check()
    return interrupted
