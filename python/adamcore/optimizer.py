"""The base class of all optimizers: parameter groups, state by name, and the step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from numpy.typing import NDArray

from adamcore._arrays.flatten import FlatArrays
from adamcore._arrays.memory import HOST, DeviceMemory, Memory
from adamcore._arrays.rebinding import match_arrays
from adamcore._arrays.structures import Group, flatten_group, flatten_groups, options_of, require_group
from adamcore._checkpoints.methods import Saved
from adamcore._checks.numbers import as_int
from adamcore._parts.accumulating import Accumulating
from adamcore._parts.attributes import Guarded
from adamcore._parts.copying import Copyable
from adamcore._parts.description import describe
from adamcore._parts.groups import Defaults, ParamGroup, check_options_known, current_numbers
from adamcore._parts.guards import take_guard
from adamcore._parts.moments import WithMoments
from adamcore._parts.native import bind_group, make_native
from adamcore._parts.options import Options, check_options, require_use_of_precision
from adamcore._parts.signature import ShownSignature
from adamcore._parts.stepping import STEPPED, info_of, step_on_device, step_on_host
from adamcore._parts.views import ByName, Slots
from adamcore.loss_scaler import LossScaler
from adamcore.step_info import StepInfo
from adamcore.step_stats import Columns

Array = NDArray[Any]
Number = float | Callable[[int], float]
"""A hyper-parameter: a number, or a schedule, which gives a number for a number of completed steps."""


class Optimizer(Accumulating, Saved, Copyable, WithMoments, Guarded, ABC):
    """Base class of all optimizers: an update rule bound to parameters, which it updates in place.

    Use one of the subclasses. All of them accept the same kinds of `params`:

    - one array,
    - a structure of arrays: a sequence or a mapping of arrays and of other such structures, in any depth,
    - pairs of name and array, as ``model.named_parameters()`` yields,
    - a list of groups, ``{"params": <any of these>, "lr": ..., ...}``, each with its own hyper-parameters.

    The name of an array consists of the keys and positions that lead to it, as text, joined by ".": the arrays of
    ``{"enc": {"w": W}, "layers": [(A, b)]}`` are "enc.w", "layers.0.0" and "layers.0.1". Two arrays must not have the
    same name. A list is a list of groups if its first item is a mapping with the key "params".

    Parameters are NumPy arrays of dtype float16, bfloat16 (from ``ml_dtypes``), float32, float64, complex64 or
    complex128. They may have any shape and strides, and must be writable and aligned. The optimizer keeps references to
    them and updates them in place; it never copies them. Complex numbers are updated as pairs of real ones, as PyTorch
    does it, and their state consists of complex arrays.

    Arrays of other libraries in CPU memory that support DLPack, such as PyTorch tensors, are used in the same way. JAX
    arrays are immutable, so they can only be gradients.

    If you put another array in the place of a parameter, in your own lists and dicts or in `param_groups`, the next
    step raises an error that names it. Looking for this takes about 0.5 ns for each array in a list or dict, and up to
    5 ns in many small ones. Other mappings are read by ``mapping[key]`` in each step, which takes about 0.1 us for each
    array.

    Alternatively, all arrays are in the memory of one CUDA device: CuPy arrays, PyTorch tensors, or arrays that support
    DLPack or ``__cuda_array_interface__``. A step is then queued on the current stream of the parameters' library.

    Every number among the hyper-parameters, also each element of a tuple such as ``betas``, can be a schedule: one of
    `adamcore.schedules`, or any other callable that takes the number of completed steps and returns a number. Each
    group can have its own. A schedule is called once in a step, however many numbers it gives. What it returns is
    checked in each step, before anything changes. If a schedule gives beta, the bias correction of step t is
    1 - beta**t with that step's beta, as in PyTorch, and not a product over all steps.

    All optimizers also accept these keyword-only arguments:

    - ``clip_norm``: maximum L2 norm of all gradients of all groups together. If it is exceeded, the gradients are
      scaled as by `clip_grad_norm_`. A `SpikeGuard` instead of a number clips or skips only spikes.
    - ``clip_norm_per_tensor``: maximum L2 norm of each gradient by itself.
    - ``clip_adaptive``: maximum ratio of the norm of a unit of a gradient to the norm of the same unit of the weights,
      where the latter counts as at least 1e-3. A unit is what one index of the first axis selects; an array with fewer
      than two axes is one unit (Brock et al. 2021, "High-Performance Large-Scale Image Recognition Without
      Normalization").
    - ``clip_value``: each gradient element, and each part of a complex one, is clipped to
      ``[-clip_value, clip_value]``.
    - ``nonfinite``: what happens if a gradient contains inf or NaN. With "propagate" (the default), gradients are not
      checked. With "skip", the step is skipped and nothing changes. With "raise", the step raises `NonFiniteError` and
      nothing changes. If a loss scale is used, such a step is skipped in any case. Float64 gradients of parameters of
      another dtype are read as float32, so an element that rounds to inf counts as not finite.
    - ``precision``: a `Precision`, which specifies how half-precision weights and state are stored. It does not concern
      float64 and complex parameters.

    At most one of the clipping options can be used. Gradients are clipped as they are read, and are never modified.
    Gradients whose norm is not finite are not clipped.

    Optimizers can be pickled and deep-copied. The arrays are part of the copy: pickle or copy them together with the
    optimizer, for example as ``(params, opt)`` or as a model that has both, and the new optimizer updates the new
    arrays. A parameter that is a view of memory which others see raises an error, because the copy would not be. A
    `LossScaler` that is copied belongs to no optimizer until a step uses it.

    Attributes
    ----------
    param_groups : list of dict
        One dict for each group: ``params``, ``param_names`` and the hyper-parameters. Hyper-parameters can be assigned.
        A schedule that is assigned is asked for its value at `completed`; ``.shift(opt.completed)`` makes it begin now.
        If the next step then needs state that does not exist yet (for momentum, ``amsgrad`` or ``centered``), it begins
        as in PyTorch: with zeros, and SGD's momentum with the gradient. State that is no longer needed is kept.
    defaults : dict
        The values of hyper-parameters that a group does not set.
    options : mapping
        ``clip_norm`` and the other options above, as they were passed. Read-only.
    state : mapping
        ``state[name][slot]`` is an array in the shape of the parameter, a view of the optimizer's own memory. An
        average for each row has a last axis of length 1, one for each column a last but one axis of length 1, and a
        single number is a float64 array without axes. It is a NumPy array; on a device, it is an array of the
        parameters' library (CuPy or PyTorch). In addition to the rule's slots, it contains what `Precision` stores
        beside weights: "master", "remainder" (with "remainder_ties", one bit for each weight) or "compensation".
    steps : mapping
        ``steps[name]`` is the number of updates of that parameter. On a device, reading it waits for all queued steps.
    numbers : mapping
        The numbers that the rule keeps for the whole optimizer, by name, such as `Prodigy`'s estimate ``d``. Most rules
        have none. Read-only; on a device, reading it waits for all queued steps.
    """

    _variant_keys: ClassVar[tuple[str, ...]] = ()
    """The hyper-parameters that determine the rule: flags, or numbers for which only 0 is special."""

    _later_options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Hyper-parameters that earlier versions did not have, and what these did: what their checkpoints mean."""

    _averages: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """The options of averages of weights, by name."""

    __signature__ = ShownSignature()

    @staticmethod
    @abstractmethod
    def _rule(group: Group) -> str:
        """Return the C++ name of the rule for a group's hyper-parameters."""

    def __init__(self, params: Any, defaults: Group, options: Options) -> None:
        self.options: Mapping[str, Any] = MappingProxyType(check_options(type(self).__name__, dict(options), defaults))
        self.defaults: Group = Defaults(type(self).__name__, defaults, self._rule, self._variant_keys)
        self.param_groups: list[Group] = []
        flats = flatten_groups(params)
        arrays, labels = ([x for _, flat, _ in flats for x in getattr(flat, of)] for of in ("arrays", "labels"))
        if not arrays:
            raise ValueError(f"{type(self).__name__}: there are no parameters (is params an exhausted generator?)")
        memory, native = make_native(type(self).__name__, self.options, arrays[0], labels[0])
        self._memory: Memory = memory
        self._native: Any = native
        for group, flat, source in flats:
            self._add_group(group, flat, source)
        arrays = [array for group in self.param_groups for array in group["params"]]
        require_use_of_precision(type(self).__name__, self.options["precision"], arrays)
        take_guard(self, self.options)

    def step(
        self, grads: Any = None, *, loss_scale: float | LossScaler = 1.0, weight: float = 1.0, stats: Columns = False
    ) -> StepInfo:
        """Update every parameter that has a gradient, in place.

        Parameters
        ----------
        grads : array, sequence or mapping
            Gradients in the structure of the optimizer's `params`, or a mapping from name to gradient. For groups, pass
            one flat sequence in order, or a mapping. Each gradient has the shape of its parameter, and any supported
            dtype and strides; it is complex if and only if the parameter is. The gradient of a parameter without axes
            may be a Python float or a NumPy number. Pass None to leave a parameter, or all parameters in a container,
            with their state and step counts unchanged; a sole parameter is ``[None]``. Gradients are not modified. The
            step uses their mean with those that `accumulate` has added. If all have been added there, omit `grads`.
        loss_scale : float or LossScaler
            The factor of the loss, by which gradients are divided as they are read. With a `LossScaler`, or a number
            other than 1, the step is skipped if a gradient is not finite: no parameter, state or step count changes.
        weight : float
            The weight of `grads` in that mean, a finite number > 0.
        stats : bool, str or iterable of str
            Whether to return `StepStats`, or which of its columns. They change no bit of the parameters.

        Returns
        -------
        StepInfo
            Whether the step was skipped, the norm of the gradients if it was computed, and statistics.

        Raises
        ------
        TypeError, ValueError
            If a gradient, a hyper-parameter or a parameter is invalid, or there are no gradients. Nothing has changed.
        NonFiniteError
            If a gradient is not finite, and ``nonfinite="raise"`` or the `LossScaler` is at its floor. No parameter,
            state or step count has changed then, and accumulated gradients are still there.

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
        if stats is False and type(loss_scale) is float and self._memory is HOST:  # a call takes time
            measured = self._native.step(grads, self.param_groups, loss_scale, False, weight, False, 0)  # noqa: FBT003
            return STEPPED if measured is None else info_of(measured, loss_scale, self.options)
        step = step_on_host if self._memory is HOST else step_on_device
        return step(self, grads, loss_scale, weight, stats)

    def upload(self, steps: int = 1024) -> None:
        """Copy hyper-parameters to the device, for steps that have been captured into a CUDA graph.

        A captured step reads hyper-parameters, step counts and the loss scale from the device, so each replay does the
        next step. (Before the capture, run one step with the same kinds of gradients.) Replays advance the step counts
        themselves. This call copies the values that have been assigned in `param_groups` since, and the next `steps`
        values of each schedule, on the current stream. Captured steps use the optimizer's memory, so the optimizer must
        live as long as the graph. On the CPU, this method does nothing.

        With schedules, call it once in `steps` replays. It waits for the queued steps then, to know how many were
        skipped. A replay after the last value uses it again, and the next look at `completed` warns of this. A value
        that is out of range, or needs another rule (a momentum that becomes 0), raises an error here.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.SGD(np.ones(3), lr=0.1)
        >>> opt.param_groups[0]["lr"] = 0.05
        >>> opt.upload()
        """
        wanted = "an int >= 1 and < 2**31"
        count = as_int(steps, f"{type(self).__name__}.upload: steps", wanted, 1, 2**31 - 1)
        if isinstance(self._memory, DeviceMemory):
            self._native.upload(self.param_groups, count)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group of parameters and create its state.

        Parameters
        ----------
        group : mapping
            ``{"params": <one array, a sequence or a mapping>, "lr": ..., ...}``. The defaults complete it.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.AdamW({"w": np.ones(3)})
        >>> opt.add_param_group({"params": {"b": np.ones(1)}, "weight_decay": 0.0})
        >>> list(opt.steps)
        ['w', 'b']
        """
        require_group(group, "group")
        flat, source = flatten_group(group, len(self._native), f"param_groups[{len(self.param_groups)}]")
        self._add_group(options_of(group), flat, source)

    def rebind(self, params: Any) -> None:
        """Go on with other arrays and the state that there is.

        Step counts, state and hyper-parameters stay, and so do the dicts in `param_groups`; their ``params`` become the
        new arrays. The dtype of a parameter may change as far as the optimizer's `Precision` allows. State is converted
        if it must be; from float64 to float32 it is rounded to nearest. If both arrays have half precision, a float32
        master is kept. As in every step, it counts only where the array is its rounded value. Everything else that is
        stored beside half-precision weights begins anew, with the values of the new array. CUDA graphs with captured
        steps go on updating the former arrays, together with the state: capture them anew.

        Parameters
        ----------
        params : array, sequence or mapping
            The new arrays: `params` like those from which the optimizer was made, or a mapping from name to array.
            There must be one array for each parameter, of the same name and shape. The order in memory may differ.

        Raises
        ------
        TypeError, ValueError
            If an array is missing, unknown, or of another shape, or cannot be a parameter. Nothing has changed then.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> params = {"w": np.ones(3)}
        >>> opt = ac.SGD(params, lr=0.5, momentum=0.9)
        >>> params["w"] = params["w"] - 1
        >>> opt.rebind(params)
        >>> opt.step({"w": np.ones(3)}).skipped
        False
        >>> params["w"]
        array([-0.5, -0.5, -0.5])
        """
        owner = type(self).__name__
        groups = match_arrays(f"{owner}: rebind", params, self.param_groups)
        require_use_of_precision(owner, self.options["precision"], [array for arrays, *_ in groups for array in arrays])
        self._native.rebind(groups)

    @staticmethod
    def _check_new(group: Group) -> None:
        """Raise ValueError for hyper-parameters that only a schedule should combine, in the course of training."""

    def _add_group(self, options: Group, flat: FlatArrays, source: Any) -> None:
        check_options_known(type(self).__name__, options, self.defaults)
        group = ParamGroup(type(self).__name__, flat.arrays, flat.names, {**self.defaults, **options})
        self._check_new(group)
        bind_group(self._native, self.param_groups, group, flat, source, self._variant_keys, self._rule)

    @property
    def state(self) -> Mapping[str, dict[str, Array]]:
        """The state of each parameter by name: arrays that are views of the optimizer's own memory."""
        return ByName(self._native.places, self._state_of)

    @property
    def steps(self) -> Mapping[str, int]:
        """The number of updates of each parameter by name."""
        return ByName(self._native.places, self._native.steps)

    @property
    def numbers(self) -> Mapping[str, float]:
        """The numbers that the rule keeps for the whole optimizer, by name. Most rules have none."""
        return MappingProxyType(self._native.numbers)

    @property
    def completed(self) -> int:
        """The number of completed steps, which is the argument of schedules. Skipped steps do not count.

        On a device, reading it may wait for all queued steps. It warns of captured steps that came after the last
        values of schedules that `upload` had brought.
        """
        completed: int = self._native.completed
        return completed

    def current(self, group: int = 0) -> dict[str, Any]:
        """Return the hyper-parameters of a group as the next step would use them: schedules replaced by numbers.

        Raises
        ------
        IndexError, TypeError, ValueError
            If there is no such group, or if a number is not valid, or what a schedule gives.

        Examples
        --------
        >>> import adamcore as ac, numpy as np
        >>> opt = ac.SGD(np.ones(3), lr=ac.schedules.Linear(1.0, 0.0, steps=4))
        >>> opt.step(np.ones(3)).skipped
        False
        >>> opt.completed, opt.current()["lr"]
        (1, 0.75)
        """
        return current_numbers(type(self).__name__, self.param_groups, group, self._native.completed, self._rule)

    def _state_of(self, index: int) -> dict[str, Array]:
        return Slots(self._memory.state(self._native, index))

    def __repr__(self) -> str:
        return describe(type(self).__name__, self.param_groups, self.options)
