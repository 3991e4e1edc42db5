"""The names of hyper-parameters."""

from __future__ import annotations

from adamcore._checks.flags import FLAGS
from adamcore._core import rules

_NUMBERS = {field for rule in rules().values() for field in rule["fields"] if not field.startswith("beta")}


def hyper_parameters() -> set[str]:
    """Return the names of all optimizers' hyper-parameters."""
    return {*_NUMBERS, "betas", *FLAGS}
