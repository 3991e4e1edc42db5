"""A schedule that stands in several places of a state dict, also within others, is one object again after loading."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import schedules


def through_json(state_dict: dict[str, Any]) -> dict[str, Any]:
    """What is left of a state dict when all but its arrays has been JSON."""
    return {**json.loads(json.dumps({**state_dict, "state": None})), "state": state_dict["state"]}


def test_a_shared_schedule_stays_one_object() -> None:
    plateau = schedules.ReduceOnPlateau(0.5, patience=1)
    groups = [{"params": {name: np.ones(2)}} for name in "abc"]
    old = ac.SGD(groups, lr=plateau, momentum=plateau * 1.5)
    old.param_groups[2]["lr"] = schedules.Linear(0.5, 0.25, steps=8)
    plateau.observe(1.0, step=1)
    new = ac.SGD([{"params": {name: np.ones(2)}} for name in "abc"])
    new.load_state_dict(through_json(old.state_dict()))
    first, second, third = (group["lr"] for group in new.param_groups)
    assert first is second
    assert first == plateau
    assert third == schedules.Linear(0.5, 0.25, steps=8)
    momenta = [group["momentum"] for group in new.param_groups]
    assert momenta[0] is momenta[1] is momenta[2]


def observing(patience: int = 0) -> Any:
    return schedules.ReduceOnPlateau(0.5, patience=patience, factor=0.5)


def two_groups(first: Any, second: Any, **options: Any) -> ac.SGD:
    groups = [{"params": {"a": np.ones(1)}, "lr": first}, {"params": {"b": np.ones(1)}, "lr": second}]
    return ac.SGD(groups, **options)


def rates(optimizer: ac.Optimizer) -> list[float]:
    return [optimizer.current(i)["lr"] for i in range(2)]


SHARED: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "itself and a product": lambda p: (p, p * 0.5),
    "two products": lambda p: (3 * p, 2 * p),
    "twice in one": lambda p: (p * p, schedules.Warmup(p + 1.0, steps=2)),
    "in a list": lambda p: (schedules.Join([0.5, p], [4]), p),
}


@pytest.mark.parametrize("given", [True, False, "one of them"], ids=str)
@pytest.mark.parametrize("parts", SHARED.values(), ids=SHARED)
def test_what_is_shared_within_others_stays_one_object(parts: Callable[[Any], tuple[Any, Any]], given: Any) -> None:
    plateau = observing()
    old = two_groups(*parts(plateau), weight_decay=plateau)
    plateau.observe(1.0, step=0)
    again = observing()
    first, second = parts(again)
    new = two_groups(first if given else 0.25, second if given is True else 0.25)
    new.load_state_dict(
        json.loads(json.dumps({**old.state_dict(), "state": {}})) | {"state": old.state_dict()["state"]}
    )
    if not given:
        again = new.param_groups[0]["weight_decay"]
    assert new.param_groups[0]["weight_decay"] is again
    assert rates(new) == rates(old)
    plateau.observe(1.0, step=0)
    again.observe(1.0, step=0)
    assert rates(new) == rates(old)


@schedules.register
class SumOf(schedules.Schedule):
    """A user's schedule whose parts are in a dict."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self.parts = parts

    def __call__(self, t: Any) -> Any:
        return sum(part(t) for part in self.parts.values())


def test_parts_in_a_dict_are_found_by_their_keys() -> None:
    y, x = observing(), observing()
    y.observe(1.0, step=0)
    y.observe(1.0, step=1)
    saved = two_groups(SumOf({"y": y, "x": x}), 0.5).state_dict()
    saved["param_groups"] = json.loads(json.dumps(saved["param_groups"], sort_keys=True))
    own_y, own_x = observing(), observing()
    two_groups(SumOf({"y": own_y, "x": own_x}), 0.5).load_state_dict(saved)
    assert (own_y.ledger, own_x.ledger) == (y.ledger, ())


def test_two_histories_do_not_fit_one_schedule() -> None:
    one, other, own = observing(), observing(), observing()
    for step in (1, 2):
        one.observe(1.0, step=step)
    saved = two_groups(one, other).state_dict()
    new = two_groups(own, own)
    with pytest.raises(ValueError, match=r"\[0\]\['lr'\] and .*\[1\]\['lr'\]: .* have observed different metrics"):
        new.load_state_dict(saved)
    assert own.ledger == ()
    new.load_state_dict(saved, schedules="saved")
    assert [group["lr"].ledger for group in new.param_groups] == [one.ledger, ()]
    assert own.ledger == ()
