"""Checkpoints of an optimizer in memory: matched by name, with dtypes kept, and checked before anything changes."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from adamcore import _core
from adamcore._arrays.memory import on_host
from adamcore._arrays.structures import Group
from adamcore._checks.flags import FLAGS
from adamcore._checks.suggestions import and_more
from adamcore._parts.groups import require_values
from adamcore._parts.variants import rules_of
from adamcore.precision import Precision

FORMAT = 1


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
        precision: Precision,
    ) -> None:
        self.owner = owner
        self.native = native
        self.param_groups = param_groups
        self.defaults = defaults
        self.rule_for = rule_for
        self.variant_keys = variant_keys
        self.precision = precision

    def save(self) -> dict[str, Any]:
        """Return a copy of the optimizer's state between two steps."""
        groups = [_saved_group(group) for group in self.param_groups]
        state, completed = self.snapshot()
        return {
            "format": FORMAT,
            "optimizer": self.owner,
            "completed": completed,
            "precision": asdict(self.precision),
            "param_groups": groups,
            "state": state,
        }

    def snapshot(self) -> tuple[dict[str, dict[str, Any]], int]:
        """Return a copy of the state by name, and the number of completed steps."""
        state, completed = self.native.snapshot()
        for group in self.param_groups:
            self._mark_what_is_to_begin(group, state)
        return state, completed

    def load(self, state_dict: Mapping[str, Any]) -> None:
        """Check all of `state_dict` against the optimizer, then copy it in."""
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a dict, got {type(state_dict).__name__}")
        required = ("format", "optimizer", "completed", "precision", "param_groups", "state")
        _require_names(state_dict, required, "state_dict")
        if state_dict["format"] != FORMAT:
            raise ValueError(f"state_dict['format']: this version reads format {FORMAT}, got {state_dict['format']!r}")
        if state_dict["optimizer"] != self.owner:
            raise ValueError(
                f"state_dict: this state_dict was saved by {state_dict['optimizer']} and cannot be loaded into "
                f"{self.owner}"
            )
        _require_precision(state_dict["precision"], asdict(self.precision))
        self.native.require_idle()
        completed = _count(state_dict["completed"], "state_dict['completed']")
        groups = self._checked_groups(state_dict["param_groups"], completed)
        values, rules = [group for group, _ in groups], [rule for _, rule in groups]
        family = rules_of(self.rule_for, self.variant_keys, self.defaults)
        self.native.restore(values, state_dict["state"], completed, on_host, rules, family, True)  # noqa: FBT003

    def _mark_what_is_to_begin(self, group: Group, state: dict[str, dict[str, Any]]) -> None:
        """Mark state that does not exist yet: hyper-parameters have been changed, and the next step creates it."""
        try:
            slots = _core.rules()[self.rule_for(group)]["slots"]
        except ValueError:
            return  # the next step will raise the same error
        for name in group["param_names"]:
            if any(slot not in state[name] for slot in slots):
                state[name]["begun"] = 0

    def _checked_groups(self, groups: Any, completed: int) -> list[tuple[Group, str]]:
        if not isinstance(groups, (list, tuple)):
            raise TypeError(f"state_dict['param_groups']: expected a list, got {type(groups).__name__}")
        if len(groups) != len(self.param_groups):
            raise ValueError(
                f"state_dict['param_groups']: got {len(groups)} groups, but the optimizer has {len(self.param_groups)}"
            )
        return [
            self._checked_group(group, saved, completed, i)
            for i, (group, saved) in enumerate(zip(self.param_groups, groups, strict=True))
        ]

    def _checked_group(self, group: Group, saved: Any, completed: int, place: int) -> tuple[Group, str]:
        """Check a saved group. Return the values to load into `group`, and the rule that they select."""
        label = f"state_dict['param_groups'][{place}]"
        if not isinstance(saved, Mapping):
            raise TypeError(f"{label}: expected a dict, got {type(saved).__name__}")
        names = saved.get("param_names")
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{label}['param_names']: expected the names of the group's parameters, got {names!r}")
        _require_names(names, group["param_names"], f"{label}['param_names']")
        values = {str(key): _copied(value) for key, value in saved.items() if key not in ("params", "param_names")}
        if unknown := [key for key in values if key not in group]:
            raise ValueError(f"{label}: unknown option {unknown[0]!r}")
        if callable(group["lr"]):
            values.pop("lr", None)
        # A group that was saved with a schedule has no "lr"; the optimizer keeps its own.
        if missing := [key for key in self.defaults if key not in values and key != "lr"]:
            raise ValueError(f"{label}: {missing[0]!r} is missing" + and_more(missing))
        for key, preset in self.defaults.items():
            if isinstance(preset, bool) and not isinstance(values[key], (bool, np.bool_)):
                raise TypeError(f"{label}[{key!r}]: expected True or False, got {values[key]!r}")
        merged = {**group, **values}
        rule = self.rule_for(merged)
        _core.check_hyper(rule, self.owner, merged, completed, place)
        require_values(self.owner, merged)
        return values, rule


def _saved_group(group: Group) -> Group:
    saved = {key: value for key, value in group.items() if key not in ("params", "param_names") and not callable(value)}
    copies = {key: bool(value) if key in FLAGS else _copied(value) for key, value in saved.items()}
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
        if saved[key] != value:
            raise ValueError(f"state_dict['precision']: {key} is {saved[key]!r}, but the optimizer's is {value!r}")


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
