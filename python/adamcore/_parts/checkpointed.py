"""Saving and loading the state of an optimizer, for the base class of optimizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from adamcore._arrays.structures import Group
from adamcore._parts.loaded_schedules import Choice
from adamcore._parts.state_dict import Serializer, Unmatched


class Checkpointed:
    """What optimizers have for checkpoints."""

    options: Mapping[str, Any]
    defaults: Group
    param_groups: list[Group]
    _native: Any
    _rule: Callable[[Group], str]
    _variant_keys: ClassVar[tuple[str, ...]]
    _later_options: ClassVar[Mapping[str, Any]]
    _averages: Mapping[str, Mapping[str, Any]]

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of everything that is needed to resume: state by name, step counts and hyper-parameters.

        A `Schedule` is saved as the dict that its ``to_dict()`` returns. Other callables are code and are not saved;
        ``{"type": "callable"}`` stands in their place. State that is going to begin with the parameter's next update
        (such as SGD's momentum, if it was 0 so far) has an entry ``"begun": 0``.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.AdamW({"w": np.ones(3)})
        >>> sorted(opt.state_dict()["state"]["w"])
        ['exp_avg', 'exp_avg_sq', 'step']
        """
        return self._serializer().save()

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        *,
        strict: bool = True,
        schedules: Choice | None = None,
    ) -> Unmatched | None:
        """Load what ``state_dict()`` returned. Parameters are matched by name, and arrays are copied.

        The hyper-parameters are loaded too. The optimizer then has the state arrays that the checkpoint has, so it need
        not have been made with the same momentum, for example, or the same ``amsgrad``.

        Parameters
        ----------
        state_dict : mapping
            What ``state_dict()`` of this version or of an earlier one returned.
        strict : bool
            Whether the parameters in `state_dict` must be those of the optimizer. If it is False, parameters that are
            not in `state_dict` keep their state and step counts, and others are left out. Each group then takes the
            hyper-parameters of the saved group that has most of its parameters.
        schedules : "saved", "own" or None
            What counts where a schedule was saved or the optimizer has one. With None, a saved schedule takes the
            place of a number, so that no code is needed to resume, and schedules that differ are an error. A callable
            that is no `Schedule` is not in `state_dict`; the optimizer must have one in its place. (Earlier versions
            saved nothing of schedules. With None, such a state dict leaves the optimizer's own.)

        Returns
        -------
        None or a named tuple
            With ``strict=False``, ``(missing, unexpected)``: the names of the optimizer's parameters that `state_dict`
            lacks, and of those that only `state_dict` has.

        Raises
        ------
        TypeError, ValueError
            If names, shapes, dtypes, hyper-parameters or schedules do not match. Nothing has changed then.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> old, new = ac.Adam(np.ones(3)), ac.Adam(np.ones(3))
        >>> old.step(np.ones(3)).skipped
        False
        >>> new.load_state_dict(old.state_dict())
        >>> new.steps["0"]
        1
        """
        unmatched = self._serializer().load(state_dict, strict=strict, schedules=schedules)
        return None if strict else unmatched

    def _serializer(self) -> Serializer:
        return Serializer(
            type(self).__name__,
            self._native,
            self.param_groups,
            self.defaults,
            self._rule,
            self._variant_keys,
            self._later_options,
            self._averages,
            self.options,
        )
