"""The arrays that take the place of an optimizer's parameters, matched by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore._arrays.flatten import FlatArrays
from adamcore._arrays.structures import Group, flatten_groups
from adamcore._checks.suggestions import and_more

Rebound = tuple[list[Any], list[str], Any, Any]
"""For one group: arrays in the order of its names, what messages call them, the user's container, and its tree."""


def match_arrays(label: str, params: Any, groups: list[Group]) -> list[Rebound]:
    """Return the arrays for each group. Raises ValueError unless `params` has exactly the arrays of all groups.

    `params` is a structure like the optimizer's, or a mapping from name to array. Messages begin with `label`.
    """
    flats = [(flat, source) for _, flat, source in flatten_groups(params)]
    names = [list(group["param_names"]) for group in groups]
    _require_same(label, [name for flat, _ in flats for name in flat.names], [name for of in names for name in of])
    if len(flats) == len(groups) and all(
        set(flat.names) == set(of) for (flat, _), of in zip(flats, names, strict=True)
    ):
        return [_arranged(flat, of, source) for (flat, source), of in zip(flats, names, strict=True)]
    if len(flats) == 1:
        flat, source = flats[0]
        return [_arranged(flat, of, source) for of in names]
    raise ValueError(
        f"{label}: the arrays are in other groups than the optimizer's; pass the groups in which it was made, "
        "or a mapping from name to array"
    )


def _require_same(label: str, found: list[str], expected: list[str]) -> None:
    if missing := sorted(set(expected) - set(found)):
        raise ValueError(f"{label}: {missing[0]!r} is missing from params" + and_more(missing))
    if surplus := sorted(set(found) - set(expected)):
        raise ValueError(f"{label}: {surplus[0]!r} is not in the optimizer" + and_more(surplus))
    if len(found) != len(expected):
        repeated = next(name for name in found if found.count(name) > 1)
        raise ValueError(f"{label}: the name {repeated!r} appears twice in params")


def _arranged(flat: FlatArrays, names: list[str], source: Any) -> Rebound:
    """Return the arrays with these names, in this order. The container is None if it cannot be described in order."""
    places = {name: i for i, name in enumerate(flat.names)}
    order = [places[name] for name in names]
    tree, met = _in_order(flat.tree, {place: i for i, place in enumerate(order)})
    arrays, labels = [flat.arrays[i] for i in order], [flat.labels[i] for i in order]
    if not isinstance(source, (list, tuple, Mapping)) or met != list(range(len(names))):
        return arrays, labels, None, list(range(len(names)))
    return arrays, labels, source, tree


def _in_order(tree: Any, numbers: dict[int, int]) -> tuple[Any, list[int]]:
    """Return the tree with the keys of mappings in the order of their arrays, without arrays that have no number.

    Also returns the numbers of the arrays, in the order in which the tree has them.
    """
    if isinstance(tree, int):
        return tree, [numbers[tree]] if tree in numbers else [-1]
    if isinstance(tree, dict):
        inner = {key: _in_order(item, numbers) for key, item in tree.items()}
        kept = sorted((key for key, (_, met) in inner.items() if met != [-1]), key=lambda key: inner[key][1][:1])
        return {key: inner[key][0] for key in kept}, [number for key in kept for number in inner[key][1]]
    if isinstance(tree, tuple):
        pairs = [(name, _in_order(item, numbers)) for name, item in tree]
        return tuple((name, item) for name, (item, _) in pairs), [n for _, (_, met) in pairs for n in met]
    items = [_in_order(item, numbers) for item in tree]
    return [item for item, _ in items], [number for _, met in items for number in met]
