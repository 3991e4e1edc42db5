"""Checkpoints of an optimizer in memory: matched by name, with dtypes kept, and checked before anything changes."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from adamcore import _core
from adamcore._arrays.memory import on_host
from adamcore._arrays.structures import Group
from adamcore._checks.flags import FLAGS
from adamcore._checks.suggestions import and_more
from adamcore._core import short_repr
from adamcore._parts.averages import loaded_averages, saved_averages
from adamcore._parts.clock import rules_of, with_stand_ins
from adamcore._parts.groups import require_values
from adamcore._parts.guards import guard_in, loaded_guards, saved_guards
from adamcore._state_dicts.loaded_schedules import Choice, Loader, Pair, pairs
from adamcore._state_dicts.saved_schedules import CODE, Sharing, saved_value, shared_places

FORMAT = 2

_NOTHING: dict[str, Any] = {"numbers": {}, "averages": {}, "window": None}
"""What an optimizer has that has no numbers of its own, no averages of weights, and no open window of accumulation."""


Memory = tuple[dict[str, Any], dict[str, Any]]
"""A dict, and new items for it."""


class Unmatched(NamedTuple):
    """The names of parameters that are not in both the optimizer and a state dict."""

    missing: list[str]
    """Parameters of the optimizer that the state dict lacks."""
    unexpected: list[str]
    """Parameters in the state dict that the optimizer lacks."""


class Serializer:
    """Saves and loads the state of one optimizer. The arguments are all that it needs to know of it."""

    def __init__(
        self,
        owner: str,
        native: Any,
        param_groups: list[Group],
        defaults: Group,
        rule_for: Callable[[Group], str],
        variant_keys: tuple[str, ...],
        later_options: Mapping[str, Any],
        averages: Mapping[str, Mapping[str, Any]],
        options: Mapping[str, Any],
    ) -> None:
        self.owner = owner
        self.native = native
        self.param_groups = param_groups
        self.defaults = defaults
        self.rule_for = rule_for
        self.variant_keys = variant_keys
        self.later_options = later_options
        self.averages = averages
        self.precision = options["precision"]
        self.guard = guard_in(options)

    def save(self) -> dict[str, Any]:
        """Return a copy of the optimizer's state between two steps."""
        groups, shared = self._saved_groups()
        return self._state_dict(groups, shared, *self.snapshot())

    def lent(self, borrowed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what save() returns, and the parameters by name. On the CPU, arrays are views of the optimizer's own.

        `borrowed` is what the native optimizer's ``borrow()`` returned.
        """
        groups, shared = self._saved_groups()
        state, *others, params = borrowed
        self._mark_all(state)
        return self._state_dict(groups, shared, state, *others), params

    def snapshot(self) -> tuple[dict[str, dict[str, Any]], int, dict[str, float], Any, Any]:
        """Return a copy of the state by name, the number of completed steps, numbers, averages and the open window."""
        state, completed, numbers, averages, window = self.native.snapshot()
        self._mark_all(state)
        return state, completed, numbers, averages, window

    def _saved_groups(self) -> tuple[list[Group], list[list[list[Any]]]]:
        return [_saved_group(group) for group in self.param_groups], shared_places(self.param_groups)

    def _state_dict(
        self,
        groups: list[Group],
        shared: list[list[list[Any]]],
        state: dict[str, dict[str, Any]],
        completed: int,
        numbers: dict[str, float],
        progress: Any,
        window: Any,
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "optimizer": self.owner,
            "completed": completed,
            "precision": asdict(self.precision),
            "param_groups": groups,
            "state": state,
            **copy.deepcopy(_NOTHING),
            "numbers": numbers,
            "averages": saved_averages(self.averages, progress),
            "window": window,
            "schedules": shared,
            "guards": saved_guards(self.guard),
        }

    def _mark_all(self, state: dict[str, dict[str, Any]]) -> None:
        for group in self.param_groups:
            self._mark_what_is_to_begin(group, state)

    def load(
        self,
        state_dict: Mapping[str, Any],
        *,
        strict: bool,
        schedules: Choice | None,
        params: Mapping[str, Any] | None = None,
        memories: Sequence[Memory] = (),
    ) -> Unmatched:
        """Check all of `state_dict` against the optimizer, then copy it in.

        `params` are new contents of parameters, and `memories` pairs of a dict and new items, whose keys it has: they
        are written at the same time. With `strict`, all parameters need contents.
        """
        saved = _known_format(state_dict)
        if saved["optimizer"] != self.owner:
            raise ValueError(
                f"state_dict: this state_dict was saved by {saved['optimizer']} and cannot be loaded into {self.owner}"
            )
        _require_precision(saved["precision"], asdict(self.precision))
        self.native.require_idle()
        completed = _count(saved["completed"], "state_dict['completed']")
        groups = _list_of_groups(saved["param_groups"])
        loader = Loader(schedules, Sharing(saved["schedules"], groups), keeps_own=saved["format"] == 1)
        state, window, unmatched = saved["state"], saved["window"], Unmatched([], [])
        if strict:
            self._require_same_groups(groups)
            matches: list[int | None] = list(range(len(groups)))
        else:
            matches = self._matches(groups)
            state, unmatched = self._completed_state(state)
            window = _without(window, unmatched.unexpected)
        loader.compare(
            pair for i, match in enumerate(matches) if match is not None for pair in self._pairs(i, groups, match)
        )
        values: list[Group] = []
        rules: list[str] = []
        for i, match in enumerate(matches):
            group = {} if match is None else self._checked_group(i, groups[match], match, loader)
            merged = {**self.param_groups[i], **group}
            values.append(group)
            rules.append(self._rule_of(merged))
            _core.check_hyper(rules[-1], self.owner, merged, completed, i)
            require_values(self.owner, merged)
        written = [*memories, *loader.memories, *loaded_guards(self.guard, saved["guards"], schedules)]
        family = rules_of(self.rule_for, self.variant_keys, self.defaults)
        numbers = saved["numbers"]
        _require_names(saved["averages"], self.averages, "state_dict['averages']")
        averages = loaded_averages(saved["averages"], self.averages, _count)
        if params is not None and not strict:
            params = self._completed_params(params)
        restore = self.native.restore
        restore(values, state, completed, numbers, on_host, rules, family, True, written, averages, window, params)  # noqa: FBT003
        return unmatched

    def _rule_of(self, group: Group) -> str:
        """Return the name of a group's rule. Schedules are not called."""
        return self.rule_for(with_stand_ins(group, self.rule_for, self.variant_keys))

    def _mark_what_is_to_begin(self, group: Group, state: dict[str, dict[str, Any]]) -> None:
        """Mark state that does not exist yet: hyper-parameters have been changed, and the next step creates it."""
        rules = _core.rules()
        try:
            rule = rules[self._rule_of(group)]
        except ValueError:
            return  # the next step will raise the same error
        alternatives = [rule["slots"], rules[rule["for_vectors"]]["slots"]]
        for name in group["param_names"]:
            if not any(all(slot in state[name] for slot in slots) for slots in alternatives):
                state[name]["begun"] = 0

    def _require_same_groups(self, groups: list[Mapping[str, Any]]) -> None:
        if len(groups) != len(self.param_groups):
            raise ValueError(
                f"state_dict['param_groups']: got {len(groups)} groups, but the optimizer has {len(self.param_groups)}"
            )
        for i, (own, saved) in enumerate(zip(self.param_groups, groups, strict=True)):
            label = f"state_dict['param_groups'][{i}]['param_names']"
            _require_names(saved["param_names"], own["param_names"], label)

    def _matches(self, groups: list[Mapping[str, Any]]) -> list[int | None]:
        """Return for each group the index of the saved group that has most of its parameters, or None."""
        matches: list[int | None] = []
        for own in self.param_groups:
            names = set(own["param_names"])
            common = [len(names.intersection(saved["param_names"])) for saved in groups]
            matches.append(common.index(max(common)) if common and max(common) > 0 else None)
        return matches

    def _completed_state(self, state: Any) -> tuple[Any, Unmatched]:
        """Return the saved state of the optimizer's parameters, or their own where there is none."""
        if not isinstance(state, Mapping):
            return state, Unmatched([], [])  # restore() says what is wrong
        own, *_ = self.snapshot()
        unmatched = Unmatched([name for name in own if name not in state], [name for name in state if name not in own])
        return {name: state.get(name, mine) for name, mine in own.items()}, unmatched

    def _completed_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the contents of the optimizer's parameters: their own where there are none."""
        with _core.Paired([(self.native.borrow, self.native.give_back)]) as (borrowed,):
            own = borrowed[-1]
        return {name: params.get(name, mine) for name, mine in own.items()}

    def _pairs(self, index: int, groups: list[Mapping[str, Any]], match: int) -> Iterator[Pair]:
        """Yield the numbers and schedules of one of the optimizer's groups and of the saved one."""
        for key, value in groups[match].items():
            if key in self.defaults:
                yield from pairs(self.param_groups[index][key], value, (match, key), _label(match, key))

    def _checked_group(self, index: int, saved: Mapping[str, Any], place: int, loader: Loader) -> Group:
        """Check a saved group, and return the values that change in one of the optimizer's groups."""
        label = f"state_dict['param_groups'][{place}]"
        group = self.param_groups[index]
        own = {str(key): _copied(value) for key, value in saved.items() if key not in ("params", "param_names")}
        found = {**self.later_options, **own}
        if unknown := [key for key in found if key not in group]:
            raise ValueError(f"{label}: unknown option {unknown[0]!r}")
        if missing := [key for key in self.defaults if key not in found]:
            raise ValueError(f"{label}: {missing[0]!r} is missing" + and_more(missing))
        for key, preset in self.defaults.items():
            if isinstance(preset, bool) and not isinstance(found[key], (bool, np.bool_)):
                raise TypeError(f"{label}[{key!r}]: expected True or False, got {found[key]!r}")
        values = {
            key: loader.merged(group[key], value, (place, key), _label(place, key)) for key, value in found.items()
        }
        return {key: value for key, value in values.items() if value is not group[key]}


def _without(window: Any, names: list[str]) -> Any:
    """Return a saved window without the sums of parameters that the optimizer lacks."""
    if not isinstance(window, Mapping) or not isinstance(window.get("sums"), Mapping):
        return window  # restore() says what is wrong
    return {**window, "sums": {name: array for name, array in window["sums"].items() if name not in names}}


def _label(group: int, key: str) -> str:
    return f"state_dict['param_groups'][{group}][{key!r}]"


def _known_format(state_dict: Any) -> dict[str, Any]:
    """Return a state dict of any format with the entries that the newest format has."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict: expected a dict, got {type(state_dict).__name__}")
    required = ("format", "optimizer", "completed", "precision", "param_groups", "state")
    if "format" in state_dict and state_dict["format"] not in (1, FORMAT):
        got = short_repr(state_dict["format"])
        raise ValueError(f"state_dict['format']: this version reads formats 1 and {FORMAT}, got {got}")
    if state_dict.get("format") != FORMAT:
        _require_names(state_dict, required, "state_dict")
        groups = [_group_of_format_1(group) for group in _list_of_groups(state_dict["param_groups"])]
        return {**state_dict, **_NOTHING, "schedules": [], "guards": {}, "param_groups": groups}
    found = {"guards": {}, **state_dict}  # earlier versions had none
    _require_names(found, (*required, *_NOTHING, "schedules", "guards"), "state_dict")
    for key in ("numbers", "averages"):
        if not isinstance(found[key], Mapping):
            raise TypeError(f"state_dict[{key!r}]: expected a dict, got {short_repr(found[key])}")
    return found


def _group_of_format_1(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a group of format 1, which said nothing of a schedule that was passed as `lr`."""
    return {"lr": dict(CODE), **group}


def _list_of_groups(groups: Any) -> list[Mapping[str, Any]]:
    if not isinstance(groups, (list, tuple)):
        raise TypeError(f"state_dict['param_groups']: expected a list, got {type(groups).__name__}")
    for i, group in enumerate(groups):
        label = f"state_dict['param_groups'][{i}]"
        if not isinstance(group, Mapping):
            raise TypeError(f"{label}: expected a dict, got {type(group).__name__}")
        names = group.get("param_names")
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            got = short_repr(names)
            raise ValueError(f"{label}['param_names']: expected the names of the group's parameters, got {got}")
    return list(groups)


def _saved_group(group: Group) -> Group:
    values = {key: saved_value(value) for key, value in group.items() if key not in ("params", "param_names")}
    copies = {key: bool(value) if key in FLAGS else _copied(value) for key, value in values.items()}
    return {"param_names": list(group["param_names"]), **copies}


def _copied(value: Any) -> Any:
    """Return a copy of `value` that later writes to it do not change."""
    if isinstance(value, (float, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value)) if type(value) in (list, tuple) else tuple(map(_copied, value))
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return copy.deepcopy(value)


def _require_precision(saved: Any, own: dict[str, Any]) -> None:
    if isinstance(saved, Mapping) and "state_rounding" not in saved:
        # Saved by a version that had no such option. Stored values mean the same however they were rounded.
        own = {key: value for key, value in own.items() if key != "state_rounding"}
    _require_names(saved, own, "state_dict['precision']")
    for key, value in own.items():
        if type(saved[key]) is not type(value) or saved[key] != value:
            got = short_repr(saved[key])
            raise ValueError(f"state_dict['precision']: {key} is {got}, but the optimizer's is {value!r}")


def _require_names(found: Iterable[str], expected: Iterable[str], label: str) -> None:
    present, wanted = set(found), set(expected)
    if missing := sorted(wanted - present):
        raise ValueError(f"{label}: {missing[0]!r} is missing" + and_more(missing))
    if surplus := sorted(map(str, present - wanted)):
        raise ValueError(f"{label}: {surplus[0]!r} is not in the optimizer" + and_more(surplus))


def _count(value: Any, label: str) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{label}: expected an int, got {value!r}") from None
    if not 0 <= count <= 2**62:
        raise ValueError(f"{label}: expected a number of steps from 0 to 2**62, got {count}")
    return count
