"""Saving and loading the state of an optimizer, for the base class of optimizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from adamcore._arrays.structures import Group
from adamcore._state_dicts.loaded_schedules import Choice
from adamcore._state_dicts.serializer import Memory, Serializer, Unmatched


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

    _with_load: Mapping[str, Any] = MappingProxyType({})
    """Further options of Serializer.load(), while a file is loaded by a method that overrides ours."""

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
        return {**self._serializer().save(), **self._more_state()}

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
            What ``state_dict()`` of this version or of an earlier one returned, or that of PyTorch's optimizer of the
            same name, for `Adam`, `AdamW`, `SGD`, `RMSprop`, `Adagrad` and `Adafactor`. Its parameters are found by
            their names if it has some of the optimizer's, and otherwise by their places. `completed` becomes its
            largest step count; SGD has none, and `completed` stays as it is.
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
        unmatched = self._load(state_dict, strict=strict, schedules=schedules, **self._with_load)
        return None if strict else unmatched

    @classmethod
    def _overrides_state_dicts(cls) -> bool:
        """Whether a user's class has other state dicts than ours."""
        ours = Checkpointed.state_dict, Checkpointed.load_state_dict
        return (cls.state_dict, cls.load_state_dict) != ours

    def torch_state_dict(self) -> dict[str, Any]:
        """Return what PyTorch's optimizer of the same name loads with ``load_state_dict``, which goes on from here.

        It has tensors in the CPU's memory, and numbers in the place of schedules. Parameters are not in it. PyTorch
        counts them in the order of their groups.

        Raises
        ------
        ImportError
            If PyTorch is not installed.
        ValueError
            If PyTorch has no such optimizer, or it lacks an option that is used.

        Examples
        --------
        ::

            model_opt = torch.optim.Adam(model.parameters())
            model_opt.load_state_dict(opt.torch_state_dict())
        """
        from adamcore._state_dicts.pytorch import to_pytorch  # noqa: PLC0415  (which few programs need)

        return to_pytorch(self, self._serializer())

    def _lent(self, borrowed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what `state_dict` returns, and the parameters by name, as Serializer.lent() does."""
        state_dict, params = self._serializer().lent(borrowed)
        return {**state_dict, **self._more_state()}, params

    def _more_state(self) -> dict[str, Any]:
        """Return what the rule has in state dicts beside that of all rules."""
        return {}

    def _memories(self) -> list[Memory]:
        """Return what the rule has beside the state of all rules, as pairs of a dict and its present items."""
        return []

    def _load(self, state_dict: Mapping[str, Any], **options: Any) -> Unmatched:
        """Load a state dict. The options are those of Serializer.load()."""
        serializer = self._serializer()
        if _is_from_pytorch(state_dict):
            from adamcore._state_dicts.pytorch import from_pytorch  # noqa: PLC0415

            state_dict = from_pytorch(self, serializer, state_dict)
        return serializer.load(state_dict, **options)

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


def _is_from_pytorch(state_dict: object) -> bool:
    """Whether this is a state dict of an optimizer of PyTorch."""
    return (
        isinstance(state_dict, Mapping)
        and {"state", "param_groups"} <= state_dict.keys()
        and not state_dict.keys() & {"format", "optimizer", "completed"}
    )
