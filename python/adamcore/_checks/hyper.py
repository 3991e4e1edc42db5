"""The names and the usual values of hyper-parameters."""

from __future__ import annotations

from adamcore._checks.flags import FLAGS
from adamcore._core import rules

USUAL: dict[str, float] = {name: value for rule in rules().values() for name, value in rule["fields"].items()}
"""A valid value for each number of any rule. The elements of ``betas`` are "beta1" and "beta2"."""

_NUMBERS = {name for name in USUAL if not name.startswith("beta")}


def hyper_parameters() -> set[str]:
    """Return the names of all optimizers' hyper-parameters."""
    return {*_NUMBERS, "betas", *FLAGS}
