"""One update of plain arrays: the code that all functions of `adamcore.functional` share."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

from adamcore import _core
from adamcore._arrays.modules import module_for
from adamcore._arrays.structures import Group
from adamcore._checks.flags import FLAGS, require_flags
from adamcore._core import short_repr

Arrays = Any
"""An array of NumPy, PyTorch or CuPy, or a list of arrays."""
Counts = SupportsIndex | Sequence[SupportsIndex]

_RULES: dict[str, Any] = _core.rules()


def update_function(
    owner: str,
    rule_for: Callable[[Group], str],
    variant_keys: Sequence[str],
    hyper: Sequence[str],
    state: Sequence[str],
) -> Callable[..., None]:
    """Return what an optimizer's function calls: one update, in a single call if all arrays are plain.

    It takes the parameters, the gradients, a tuple of state arrays, the number of the update, the values of `hyper`,
    and the state arrays that were passed by name, or None, in the order of `state`.
    """

    def otherwise(p: Arrays, g: Arrays, by_place: tuple[Arrays, ...], t: Counts, *values: Any) -> None:
        named = dict(zip(state, values[len(hyper) :], strict=True))
        run_rule(owner, rule_for, p, g, by_place, named, t, dict(zip(hyper, values, strict=False)))

    flags = [name for name in hyper if name in FLAGS]
    return _core.update_function(list(hyper), flags, list(variant_keys), list(state), rule_for, otherwise)


def run_rule(
    owner: str,
    rule_for: Callable[[Group], str],
    p: Arrays,
    g: Arrays,
    state: tuple[Arrays, ...],
    named: dict[str, Arrays | None],
    t: Counts,
    hyper: dict[str, Any],
) -> None:
    """Run an optimizer's rule with state arrays that are passed by position or by name."""
    if callable(hyper["lr"]):
        raise TypeError(f"{owner}: lr must be a number here, got a schedule; call it: lr=schedule(t - 1)")
    require_flags(owner, hyper)
    rule = _rule_of_arrays(owner, rule_for(hyper), p)
    slots = _RULES[rule]["slots"]
    if len(state) > len(slots):
        raise TypeError(f"{owner}: expected {len(slots)} state arrays {tuple(slots)}, got {len(state)}")
    found = dict(zip(slots, state, strict=False))
    for name, array in named.items():
        if array is None:
            continue
        if name not in slots:
            raise TypeError(
                f"{owner}: unexpected argument {name!r}: the rule has no such state with these hyper-parameters"
            )
        if name in found:
            raise TypeError(f"{owner}: unexpected argument {name!r}: this state array was already passed by position")
        found[name] = array
    if missing := [slot for slot in slots if slot not in found]:
        raise TypeError(f"{owner}: the state array {missing[0]!r} is missing")
    update_arrays(owner, rule, ["p", "g", *slots], [p, g, *(found[slot] for slot in slots)], t, hyper)


def _rule_of_arrays(owner: str, rule: str, p: Arrays) -> str:
    """Return the rule itself, or the one that it names for arrays with fewer than two axes."""
    if (for_vectors := _RULES[rule]["for_vectors"]) == rule:
        return rule
    found = {_has_columns(array) for array in (p if isinstance(p, (list, tuple)) else [p])}
    if len(found) > 1:
        raise TypeError(
            f"{owner}: p has matrices and arrays with fewer than two axes, which have other state; update them in two "
            "calls"
        )
    return rule if True in found else for_vectors


def _has_columns(array: Any) -> bool:
    shape: Any = getattr(array, "shape", ())
    return len(shape) > 1 and shape[-1] > 0


def update_arrays(
    owner: str,
    rule: str,
    names: list[str],
    arrays: list[Any],
    t: Any,
    hyper: dict[str, Any],
    renamed: dict[str, str] | None = None,
) -> None:
    """Run one update of `arrays`: the parameters, their gradients, and the arrays of each slot."""
    indexed = isinstance(arrays[0], (list, tuple))
    lists = [list(a) if isinstance(a, (list, tuple)) else [a] for a in arrays]
    count = len(lists[0])
    for name, array, members in zip(names, arrays, lists, strict=True):
        if isinstance(array, (list, tuple)) != indexed or len(members) != count:
            expected = f"a list of {count} arrays, as {names[0]} is" if indexed else f"one array, as {names[0]} is"
            found = f"a list of {len(members)}" if isinstance(array, (list, tuple)) else type(array).__name__
            raise TypeError(f"{owner}: {name} must be {expected}, got {found}")
    steps = list(t) if isinstance(t, (list, tuple)) else [t] * count
    if len(steps) != count:
        raise ValueError(f"{owner}: t has {len(steps)} numbers for {count} arrays")
    counts = [_count(owner, step) for step in steps]
    maximize = bool(hyper.get("maximize", False))
    p, g, *state = lists
    module_for(p, names[0]).update(rule, owner, hyper, maximize, p, g, state, counts, names, indexed, renamed or {})


def _count(owner: str, step: Any) -> int:
    try:
        count = operator.index(step)
    except TypeError:
        count = None
    if count is None or isinstance(step, bool):
        raise TypeError(
            f"{owner}: t must be an integer, the number of this update, or a list with one integer for each array, got "
            f"{short_repr(step)}"
        )
    if not 1 <= count < 2**63:
        raise ValueError(f"{owner}: t must be the number of this update, from 1 to 2**63 - 1, got {short_repr(step)}")
    return count
