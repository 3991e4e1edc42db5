"""CUDA arrays without CUDA: the error says what is missing, and nothing has changed."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from lenders import CUDA, Lender, interface

NO_KERNELS = r"a CUDA array, but this installation of adamcore has no CUDA kernels\. .*nvidia-cuda-nvcc"


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adamcore._cuda", None)
    monkeypatch.delattr(ac, "_cuda", raising=False)


@pytest.fixture
def without_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("adamcore._cuda")
    module.architectures, module.devices = "80,90", lambda: ([], "no CUDA-capable device is detected")
    monkeypatch.setitem(sys.modules, "adamcore._cuda", module)
    monkeypatch.setattr(ac, "_cuda", module, raising=False)


def producers() -> list[Any]:
    return [interface(), Lender(np.ones(3, np.float32), device=(CUDA, 0))]


@pytest.mark.parametrize("array", producers(), ids=["interface", "dlpack"])
def test_a_build_without_kernels_says_so(array: Any, without_kernels: None) -> None:  # noqa: ARG001
    with pytest.raises(RuntimeError, match=r"params\['w'\]: " + NO_KERNELS):
        ac.AdamW({"w": array})
    with pytest.raises(RuntimeError, match=r"grads\[0\]: " + NO_KERNELS):
        ac.global_norm([array])
    with pytest.raises(RuntimeError, match="p: " + NO_KERNELS):
        ac.functional.sgd(array, array, t=1)
    assert ac.build_info()["cuda"] is False


def test_a_machine_without_a_device_says_so(without_devices: None) -> None:  # noqa: ARG001
    with pytest.raises(RuntimeError, match="params: a CUDA array, but CUDA finds no device: no CUDA-capable device"):
        ac.AdamW(interface())
    info = ac.build_info()
    assert (info["cuda"], info["cuda_architectures"], info["devices"]) == (True, ["80", "90"], [])


def test_cpu_and_cuda_arrays_do_not_mix() -> None:
    array = np.ones((4, 3), np.float32)
    with pytest.raises(TypeError, match=r"params\['b'\]: a CUDA array .* cannot be mixed with CPU arrays"):
        ac.AdamW({"a": array, "b": interface()})
    optimizer = ac.SGD(array)
    with pytest.raises(TypeError, match=r"grads: a CUDA array .* cannot be mixed with CPU arrays"):
        optimizer.step(interface())
    assert array.tolist() == np.ones((4, 3)).tolist()


def test_nothing_of_cuda_is_loaded_for_cpu_arrays() -> None:
    import subprocess

    code = (
        "import sys, numpy as np, adamcore as ac; w = np.ones(3); ac.SGD(w).step(np.ones(3)); "
        "assert 'adamcore._cuda' not in sys.modules; assert 'libcuda' not in open('/proc/self/maps').read()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_scale_on_a_device_is_for_cuda_arrays() -> None:
    with pytest.raises(TypeError, match="device_scale is for optimizers of CUDA arrays; use scale"):
        ac.LossScaler().device_scale(ac.SGD(np.ones(3)))
