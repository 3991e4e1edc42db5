"""`switch`: another rule on the same arrays, in the middle of training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np

from adamcore import _core
from adamcore._arrays.flatten import FlatArrays
from adamcore._arrays.structures import Flattened
from adamcore._core import Paired, call_all, short_repr
from adamcore._parts.averages import attach
from adamcore._parts.clock import rules_of
from adamcore._parts.groups import OWN_KEYS
from adamcore._parts.guards import guard_in
from adamcore._parts.options import CLIPS, PRESETS
from adamcore._parts.switched import Switched
from adamcore.optimizer import Optimizer
from adamcore.optimizers import Prodigy
from adamcore.training.moments import Rule, State, carry
from adamcore.training.retired import retirement

Made = TypeVar("Made", bound=Optimizer)

_BESIDE = ("master", "remainder", "remainder_ties", "compensation")
"""What `Precision` keeps of weights beside the parameters."""


def switch(opt: Optimizer, cls: type[Made], **options: Any) -> Made:
    r"""Go on with another rule on the same arrays.

    The new optimizer has the parameters, groups and their names; ``opt.completed``, so that schedules go on; the
    values of hyper-parameters that both rules have, in each group; clipping, precision and other options; averages of
    weights; masters, remainders and compensations; an open window of accumulation; and moments as far as the new rule
    has use for them. What has been carried and what begins anew is told by its attribute ``switched``.

    The old optimizer refuses every further use. Objects that belong to it go on with the new one: an `EMA`, `SWA` or
    `Lookahead`, a `LossScaler` and a `SpikeGuard`. A `Monitor` does not: make a new one.

    Parameters
    ----------
    opt : Optimizer
        The optimizer so far.
    cls : type
        The class of the new one, such as `SGD`.
    **options
        Arguments of this class. They count for all groups, and more than what would be carried.

    Returns
    -------
    Optimizer
        A new optimizer of class `cls`. Its attribute ``switched`` has the attributes ``carried`` (from which old slot
        each carried slot of state comes), ``fresh``, ``dropped``, ``options`` and ``keeps_steps``, and is printed as
        text.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or the values that are carried are not valid for the new rule: the message names
        one, and you can pass another value for it. Nothing has changed then.
    RuntimeError
        If the optimizer is in use, or has been switched already.

    Notes
    -----
    A moment becomes what it would be if the new rule had done the updates: an average of gradients (``exp_avg`` of
    `Adam`, `AdamW`, `LAMB`, `StableAdamW` and `Lion`, ``momentum_buffer`` of `SGD`) or of their squares
    (``exp_avg_sq`` of these and of `ScheduleFreeAdamW`, ``square_avg`` of `RMSprop`). SGD's momentum is a sum, so with
    a momentum of :math:`\beta_1` it becomes ``exp_avg / (1 - beta1)``. Where decays differ, the bias of one average is
    replaced by that of the other. All other state begins anew.

    A rule with two moments takes the first one only together with the second. Counts of updates, on which bias
    correction depends, go on if a moment has been carried, and begin at 0 otherwise. From `RMSprop` to `Adam`, the
    second moment and the counts are carried, so the first steps are shorter by ``1 - beta1**k``.

    Hyper-parameters are matched by their names, although some mean other things: ``betas`` of `Lion`, or
    ``weight_decay``, which `Adam` adds to the gradient and `AdamW` does not. The ``lr`` of `Prodigy` is a factor of its
    own estimate, so it is not carried from or to other rules. A tuple of another length is not carried either.

    If Ctrl-C comes when all is done but nothing has been returned, the old optimizer has the new one as its attribute
    ``switched_to``. CUDA graphs go on with the old state: capture them anew.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.ones(3)
    >>> adam = ac.AdamW({"w": w}, lr=0.01)
    >>> adam.step({"w": np.ones(3)}).skipped
    False
    >>> sgd = ac.switch(adam, ac.SGD, lr=0.1, momentum=0.9)
    >>> sgd.state["w"]["momentum_buffer"].round(12), sgd.completed
    (array([1., 1., 1.]), 1)
    >>> print(sgd.switched)
    AdamW switched to SGD
    carried: momentum_buffer (from exp_avg)
    dropped: exp_avg_sq
    options kept: weight_decay, maximize
    """
    _require_classes(opt, cls)
    before = opt._native
    guard = guard_in(opt.options)
    undo: list[Callable[[], Any]] = []
    pairs: list[tuple[Callable[[], Any], Callable[[], Any]]] = [(before.borrow, before.give_back)]
    if guard is not None:
        owner = partial(object.__setattr__, guard, "_optimizer")
        undo.append(partial(owner, guard._optimizer))
        pairs.append((partial(owner, _nobody), partial(call_all, undo)))
    with Paired(pairs) as (borrowed, *_):
        new, kept = _made(opt, cls, options)
        new.switched = _fill(opt, borrowed, new, kept)
        # One call of a function in C: a signal's handler raises before all of this or after it.
        call_all([*retirement(opt, new), undo.clear])
    return new


def _nobody() -> None:
    """Return None, as a weak reference to no optimizer does."""


def _require_classes(opt: Any, cls: Any) -> None:
    if not isinstance(opt, Optimizer):
        raise TypeError(f"switch: opt must be an optimizer, got {short_repr(opt)}")
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)) or inspect.isabstract(cls):
        raise TypeError(f"switch: cls must be the class of an optimizer, such as adamcore.SGD, got {short_repr(cls)}")


def _family(opt: Any) -> set[str]:
    """Return the names of the rules that an optimizer's hyper-parameters select."""
    return set(rules_of(opt._rule, opt._variant_keys, opt.defaults))


def _made(opt: Optimizer, cls: type[Made], options: Mapping[str, Any]) -> tuple[Made, tuple[str, ...]]:
    """Return a new optimizer of the same arrays, whose state has just begun, and the hyper-parameters that it kept."""
    presets = {name: p.default for name, p in inspect.signature(cls).parameters.items() if name not in PRESETS}
    kept = [name for name in opt.defaults if name in presets and name not in options]
    if isinstance(opt, Prodigy) != issubclass(cls, Prodigy):
        kept = [name for name in kept if name != "lr"]
    own = {name: opt.defaults[name] for name in kept if _is_like(opt.defaults[name], presets[name])}
    flats = Flattened()
    for group, (labels, keys, tree, source) in zip(opt.param_groups, opt._native.forms(), strict=True):
        values = {name: group[name] for name in kept if _is_like(group[name], presets[name])}
        named = {"name": group["name"]} if "name" in group else {}
        flat = FlatArrays(list(group["params"]), list(group["param_names"]), labels, keys, tree)
        flats.append(({**values, **named}, flat, source))
    make: Any = cls
    return make(flats, **{**own, **_carried_options(opt, options), **options}), tuple(own)


def _is_like(value: Any, preset: Any) -> bool:
    """Whether a value has the form of another rule's hyper-parameter: a number, a flag, or a tuple of some length."""
    sizes = [len(each) if isinstance(each, (tuple, list)) else -1 for each in (value, preset)]
    return sizes[0] == sizes[1] and isinstance(value, (bool, np.bool_)) == isinstance(preset, bool)


def _carried_options(opt: Optimizer, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are no hyper-parameters, without those of clipping if one of them is given."""
    left_out = CLIPS if any(name in options for name in CLIPS) else ()
    return {name: value for name, value in opt.options.items() if name not in left_out}


def _fill(opt: Optimizer, lent: Any, new: Optimizer, kept: tuple[str, ...]) -> Switched:
    """Load what is carried into a new optimizer. `lent` is what the native optimizer's ``borrow()`` returned."""
    states, completed, numbers, progress, window, _ = lent
    opt._serializer()._mark_all(states)
    for name, arguments in opt._averages.items():
        attach(new, name, arguments)
    begun, _, new_numbers, _, _ = new._serializer().snapshot()
    is_same = bool(_family(opt) & _family(new))
    loaded, sources = _carried(opt, states, new, begun, completed, is_same=is_same)
    memories = zip(new._memories(), opt._memories(), strict=True) if is_same else ()
    new._native.restore(
        [{} for _ in new.param_groups],
        loaded,
        completed,
        numbers if is_same else new_numbers,
        np.asarray,
        _checked_rules(new, completed),
        rules_of(new._rule, new._variant_keys, new.defaults),
        False,  # NaN is carried as it is  # noqa: FBT003
        [(place, items) for (place, _), (_, items) in memories],
        {name: (counts["steps"], counts["averaged"]) for name, counts in progress.items()},
        window,
        None,
    )
    slots = _slots(begun)
    return Switched(
        type(opt).__name__,
        type(new).__name__,
        carried={slot: sources[slot] for slot in slots if slot in sources},
        fresh=tuple(slot for slot in slots if slot not in sources),
        dropped=tuple(slot for slot in _slots(states) if slot not in sources.values()),
        options=kept,
        keeps_steps=any(state["step"] for state in loaded.values()),
    )


def _checked_rules(new: Optimizer, completed: int) -> list[str]:
    """Return the names of the groups' rules, or raise an error if their values are not valid after so many steps."""
    serializer = new._serializer()
    names = [serializer._rule_of(group) for group in new.param_groups]
    for place, (rule, group) in enumerate(zip(names, new.param_groups, strict=True)):
        _core.check_hyper(rule, serializer.owner, group, completed, place)
    return names


def _carried(
    opt: Optimizer, states: dict[str, State], new: Optimizer, begun: dict[str, State], completed: int, *, is_same: bool
) -> tuple[dict[str, State], dict[str, str]]:
    """Return the new state of all parameters, and for each slot that is carried the one it comes from."""
    loaded: dict[str, State] = {}
    sources: dict[str, str] = {}
    beside = (*_BESIDE, *opt._averages)
    for before, now, group in zip(_rules(opt, completed), _rules(new, completed), new.param_groups, strict=True):
        for name in group["param_names"]:
            loaded[name], found = carry(states[name], before, begun[name], now, is_same=is_same, beside=beside)
            sources.update(found)
    return loaded, sources


def _rules(opt: Optimizer, completed: int) -> list[Rule]:
    """Return the rule of each group with the values that schedules give now."""
    found = []
    for place, group in enumerate(opt.param_groups):
        hyper = {key: value for key, value in group.items() if key not in OWN_KEYS}
        numbers = _core.numbers_at(type(opt).__name__, hyper, completed, place)
        found.append(Rule(opt._rule(numbers), numbers))
    return found


def _slots(states: Mapping[str, State]) -> list[str]:
    """Return the names of the arrays that some parameter has."""
    found = dict.fromkeys(slot for state in states.values() for slot in state)
    return [slot for slot in found if slot not in ("step", "begun")]
