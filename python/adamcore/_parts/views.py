"""Views of an optimizer's state, step counts and names. Users can read them and write into arrays, not replace them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, SupportsIndex

import numpy as np


class ByName(Mapping[str, Any]):
    """A read-only mapping from a parameter's name to what `find` returns for its index."""

    def __init__(self, index: dict[str, int], find: Callable[[int], Any]) -> None:
        self._index = index
        self._find = find

    def __getitem__(self, name: str) -> Any:
        return self._find(self._index[name])

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError(
            "state and steps cannot be replaced: write into the arrays of state, state[name][slot][...] = x; "
            "load_state_dict sets step counts"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        with np.printoptions(threshold=8, edgeitems=2):
            return repr(dict(self))


class CopiedAsDict(dict[str, Any]):
    """A dict whose copies, deep copies and pickles are plain dicts."""

    __slots__ = ()

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self), memo)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return dict, (dict(self),)


class Slots(CopiedAsDict):
    """The state arrays of one parameter. They can be written into, but not replaced."""

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:
        if self.get(key) is not value:  # state[name][slot] *= 2 assigns the same array
            self._refuse()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("state cannot be replaced: write into its arrays, state[name][slot][...] = x")

    update = setdefault = pop = popitem = clear = __ior__ = __delitem__ = _refuse


class ParamNames(list[str]):
    """A list that cannot be changed, because parameters are named when they are added."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        refuse_renaming()

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __copy__(self) -> list[str]:
        return list(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> list[str]:
        return list(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return list, (list(self),)


def refuse_renaming() -> NoReturn:
    """Raise a TypeError that says how parameters get their names."""
    raise TypeError(
        "param_names cannot be changed: parameters are named when they are added, by a mapping from name to array or "
        "by {'params': [...], 'param_names': [...]}"
    )
