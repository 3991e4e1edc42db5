"""The names and the usual values of hyper-parameters."""

from __future__ import annotations

from typing import Any

from adamcore._checks.flags import FLAGS
from adamcore._core import rules

USUAL: dict[tuple[str, int], Any] = {
    (field["tuple"] or name, field["place"]): rule["fields"][name]
    for rule in rules().values()
    for name, field in rule["hyper"].items()
}
"""A valid value for each number of any rule, by its name, or that of the tuple that has it, and the place in the tuple,
or -1."""


def hyper_parameters() -> set[str]:
    """Return the names of all optimizers' hyper-parameters."""
    return {*(name for name, _ in USUAL), *FLAGS}
