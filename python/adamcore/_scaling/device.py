"""The scale in the memory of a device, where steps read and update it."""

from __future__ import annotations

from typing import Any

from adamcore._arrays.memory import DeviceMemory
from adamcore._arrays.modules import cuda_module
from adamcore._scaling.settings import LARGEST


class DeviceScale:
    """A scaler's numbers on one device."""

    __slots__ = ("_memory", "native")

    def __init__(self, memory: DeviceMemory, device: int, numbers: dict[str, Any]) -> None:
        module = cuda_module("LossScaler")
        self._memory = memory
        self.native: Any = module.Scaler(device, *memory.allocate(module.Scaler.size, device))
        self.write(numbers)

    @property
    def device(self) -> int:
        """The index of the device."""
        return int(self.native.device)

    def write(self, numbers: dict[str, Any]) -> None:
        """Queue a copy of the numbers to the device. Raises RuntimeError during a capture."""
        self.native.write({**numbers, "largest": LARGEST}, self._memory.stream(self.native.device))

    def read(self) -> tuple[float, int, bool]:
        """Wait, and return the scale, the steps since it changed, and whether there was an overflow at its floor."""
        found: tuple[float, int, bool] = self.native.read()
        return found

    def as_array(self) -> Any:
        """Return the scale as an array of the parameters' library."""
        return self._memory.view(self.native.memory, self.native.multiplier_offset, (), (), "float32")
