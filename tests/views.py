"""Strided views, and options of optimizers that step on them, on the CPU and on a GPU."""

from __future__ import annotations

from typing import Any

import adamcore as ac

VIEWS: dict[str, Any] = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "steps": lambda a: a[::2, ::3],
    "reversed": lambda a: a[::-1, ::-1],
    "column": lambda a: a[:, 5],
    "block": lambda a: a[3:40, 7:31],
    "axes swapped, steps back": lambda a: a.T[::-2, 4:],
    "row reversed": lambda a: a[7, ::-1],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clip_norm": {"clip_norm": 0.5},
    "clip_adaptive": {"clip_adaptive": 0.01},
    "clip_value": {"clip_value": 0.01},
    "stochastic": {"precision": ac.Precision(master=None, rounding="stochastic")},
    "compensated": {"precision": ac.Precision(master=None, rounding="compensated", state="bfloat16")},
    "remainder": {"precision": ac.Precision(master="remainder")},
}
