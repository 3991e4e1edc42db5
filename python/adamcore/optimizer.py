"""What all optimizers share: parameters in groups, state by name, the step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from adamcore._arrays.memory import HOST, DeviceMemory, Memory
from adamcore._arrays.structures import FlatParams, Group, flatten, flatten_groups, require_group
from adamcore._parts.attributes import require_writable
from adamcore._parts.description import describe
from adamcore._parts.groups import Defaults, ParamGroup, check_options_known
from adamcore._parts.native import make_native
from adamcore._parts.options import Options, check_options, require_use_of_precision
from adamcore._parts.signature import ShownSignature
from adamcore._parts.state_dict import Serializer
from adamcore._parts.stepping import step_on_device, step_on_host
from adamcore._parts.views import ByName, Slots
from adamcore.loss_scaler import LossScaler
from adamcore.step_info import StepInfo

Array = NDArray[Any]
Schedule = Callable[[int], float]


class Optimizer(ABC):
    """An update rule bound to parameters, which it changes in place.

    Use one of the subclasses. All of them take the same kinds of `params`:

    - one array,
    - a sequence of arrays, named "0", "1", ... in order,
    - a mapping from name to array,
    - a sequence of groups, ``{"params": <any of these>, "lr": ..., ...}``, each with hyper-parameters of its own.

    Arrays are NumPy's: float16, bfloat16 (of ``ml_dtypes``), float32 or float64, of any shape and any strides, writable
    and aligned. They are kept and updated in place, never copied. Other libraries' arrays in CPU memory that speak
    DLPack, such as PyTorch's tensors, are used in the same way. JAX's, which are immutable, can be gradients.

    Or all of them are in the memory of one CUDA device: CuPy's, PyTorch's, or of a library with DLPack or
    ``__cuda_array_interface__``. A step is then queued, on the current stream of the parameters' library.

    And all of them take, keyword-only:

    - ``clip_norm``: the gradients' global L2 norm, over all groups, is held to it, as `clip_grad_norm_` does;
    - ``clip_norm_per_tensor``: each gradient's own norm is;
    - ``clip_adaptive``: the norm of each unit of a gradient (what an index of the first axis selects; arrays with fewer
      than two axes whole) is held to this multiple of its weights' norm, which counts for at least 1e-3 (Brock et al.
      2021, "High-Performance Large-Scale Image Recognition Without Normalization");
    - ``clip_value``: each element is held to ``[-clip_value, clip_value]``;
    - ``nonfinite``: what a gradient with inf or NaN does: "propagate" (the default) looks at none, "skip" leaves
      everything as it was, "raise" raises `NonFiniteError`, also with everything as it was. With a loss scale steps
      are skipped. Float64 gradients of other parameters are read as float32: what rounds to inf there is not finite;
    - ``precision``: a `Precision`, which says how half-precision weights and state are kept.

    At most one way of clipping. It happens as gradients are read: they are never written to. Gradients whose norm is
    not finite are not clipped.

    Attributes
    ----------
    param_groups : list of dict
        One dict for each group: ``params``, ``param_names`` and the hyper-parameters, which may be written to.
    defaults : dict
        The hyper-parameters of groups that name none.
    options : mapping
        ``clip_norm`` and the others above, as they were given; read-only.
    state : mapping
        ``state[name][slot]`` is an array over the optimizer's own memory, in the shape of the parameter: NumPy's, or on
        a device of the parameters' library (CuPy or PyTorch). Besides the rule's slots it holds what `Precision` keeps
        of weights: "master", "remainder" (with "remainder_ties", a bit for each weight) or "compensation".
    steps : mapping
        ``steps[name]`` is the number of updates of that parameter. On a device, looking at it waits until all is done.
    """

    _variant_keys: ClassVar[tuple[str, ...]] = ()
    """The hyper-parameters that the rule depends on."""

    __signature__ = ShownSignature()

    @staticmethod
    @abstractmethod
    def _rule(group: Group) -> str:
        """Return the name of the rule in C++ for a group's hyper-parameters."""

    def __init__(self, params: Any, defaults: Group, options: Options) -> None:
        self.options: Mapping[str, Any] = MappingProxyType(check_options(type(self).__name__, dict(options), defaults))
        self.defaults: Group = Defaults(type(self).__name__, defaults, self._rule)
        self.param_groups: list[Group] = []
        flats = flatten_groups(params)
        arrays, labels = ([x for _, flat, _ in flats for x in getattr(flat, of)] for of in ("arrays", "labels"))
        if not arrays:
            raise ValueError(f"{type(self).__name__}: there are no parameters (an exhausted generator?)")
        memory, native = make_native(type(self).__name__, self.options, arrays[0], labels[0])
        self._memory: Memory = memory
        self._native: Any = native
        for group, flat, source in flats:
            self._add_group(group, flat, source)
        arrays = [array for group in self.param_groups for array in group["params"]]
        require_use_of_precision(type(self).__name__, self.options["precision"], arrays)

    def step(self, grads: Any, *, loss_scale: float | LossScaler = 1.0) -> StepInfo:
        """Update every parameter that has a gradient, in place.

        Parameters
        ----------
        grads : array, sequence or mapping
            In the structure of the optimizer's `params`; for groups, one flat sequence in order, or a mapping by
            name. Each has its parameter's shape, and any supported dtype and strides. None leaves a parameter, its
            state and its count of steps alone. Gradients are only read.
        loss_scale : float or LossScaler
            Gradients are divided by it as they are read. With a scaler, or a number other than 1, the step is skipped
            if one of them is not finite: no parameter, state or count of steps changes.

        Returns
        -------
        StepInfo

        Raises
        ------
        TypeError, ValueError
            If a gradient, a hyper-parameter or a parameter does not fit. Nothing has changed then.
        NonFiniteError
            If a gradient is not finite, with ``nonfinite="raise"`` or a `LossScaler` at its floor. Nothing has changed
            then.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> w = np.ones(3, np.float32)
        >>> opt = ac.SGD(w, lr=0.5)
        >>> opt.step(np.full(3, 2, np.float32))
        StepInfo(skipped=False, grad_norm=None)
        >>> w
        array([0., 0., 0.], dtype=float32)
        """
        if self._memory is HOST:
            return step_on_host(self, self._native, self.param_groups, self.options, grads, loss_scale)
        return step_on_device(self, self._native, self._memory, self.param_groups, self.options, grads, loss_scale)

    def upload(self) -> None:
        """Bring hyper-parameters to the device, for steps that have been captured into a CUDA graph.

        A step that is captured (after one that was not, with the same gradients) reads learning rates, counts of steps
        and the loss scale from the device, so that each replay is a step of its own. Counts advance by themselves; what
        has been written to `param_groups` since, and a schedule's next rate, comes with this call, on the current
        stream. The optimizer, whose memory it is, must live as long as the graph. On the CPU there is nothing to do.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.SGD(np.ones(3), lr=0.1)
        >>> opt.param_groups[0]["lr"] = 0.05
        >>> opt.upload()
        """
        if isinstance(self._memory, DeviceMemory):
            self._native.upload(self.param_groups)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group of parameters, with state of its own.

        Parameters
        ----------
        group : mapping
            ``{"params": <one array, a sequence or a mapping>, "lr": ..., ...}``; hyper-parameters that it does not
            name are the optimizer's defaults.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.AdamW({"w": np.ones(3)})
        >>> opt.add_param_group({"params": {"b": np.ones(1)}, "weight_decay": 0.0})
        >>> list(opt.steps)
        ['w', 'b']
        """
        require_group(group, "group")
        label = f"param_groups[{len(self.param_groups)}]['params']"
        names = group.get("param_names")
        flat = flatten(group["params"], len(self._native), label, in_group=True, names=names)
        self._add_group({key: value for key, value in group.items() if key != "params"}, flat, group["params"])

    def _add_group(self, options: Group, flat: FlatParams, source: Any) -> None:
        check_options_known(type(self).__name__, options, self.defaults)
        group = ParamGroup(type(self).__name__, flat.arrays, flat.names, {**self.defaults, **options})
        watched = source if isinstance(source, (list, dict)) else None
        own = (self._memory,) if isinstance(self._memory, DeviceMemory) else ()
        self._native.add_group(
            self.param_groups,
            group,
            watched,
            flat.names,
            flat.labels,
            flat.keys,
            self._variant_keys,
            self._rule,
            *own,
        )

    @property
    def state(self) -> Mapping[str, dict[str, Array]]:
        """The state of each parameter by name: arrays over the optimizer's own memory."""
        return ByName(self._native.places, self._state_of)

    @property
    def steps(self) -> Mapping[str, int]:
        """The number of updates of each parameter by name."""
        return ByName(self._native.places, self._native.steps)

    def _state_of(self, index: int) -> dict[str, Array]:
        return Slots(self._memory.state(self._native, index))

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that a later run needs to go on: state by name, counts of steps, hyper-parameters.

        A schedule given as `lr` is code and is left out; the number of completed steps, which it is called with, is
        kept.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.AdamW({"w": np.ones(3)})
        >>> sorted(opt.state_dict()["state"]["w"])
        ['exp_avg', 'exp_avg_sq', 'step']
        """
        return self._serializer().save()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copy in what ``state_dict()`` returned, matched by name.

        Raises
        ------
        TypeError, ValueError
            If names, shapes, dtypes or hyper-parameters do not fit. Nothing has changed then.

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
        self._serializer().load(state_dict)

    def _serializer(self) -> Serializer:
        precision = self.options["precision"]
        return Serializer(type(self).__name__, self._native, self.param_groups, self.defaults, self._rule, precision)

    def __repr__(self) -> str:
        return describe(type(self).__name__, self.param_groups, self.options)

    if not TYPE_CHECKING:  # checkers know the attributes

        def __setattr__(self, name: str, value: Any) -> None:
            require_writable(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            require_writable(self, name)
            object.__delattr__(self, name)

    def __reduce__(self) -> str:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled or deep-copied: it is bound to its arrays. Use state_dict() and "
            "load_state_dict() of an optimizer made for the other arrays."
        )
