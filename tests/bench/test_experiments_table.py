"""The table of the CUDA experiments, for an invented record and for none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from places import ROOT

BENCH = ROOT / "bench"
FOLDER = BENCH / "device" / "experiments"
pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not in the source distribution")


@pytest.fixture
def experiments(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    from device.experiments import experiments

    yield experiments
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def record() -> dict[str, Any]:
    """A copy at 1 TB/s, the base at 0.8 and updates of one row each at 1: round figures, measured nowhere."""
    device = {"name": "Made-up 9000", "multiprocessors": 1, "cache": 1 << 20, "driver": 13000}

    def part(**more: Any) -> dict[str, Any]:
        return {"device": device, "complete": True, "error": None, "check": {}, "kernels": [], **more}

    def case(name: str, detail: str, size: float, **seconds: float) -> dict[str, Any]:
        times = {key.replace("_", "+"): [s, 0.99 * s, 1.01 * s] for key, s in seconds.items()}
        times["memcpy"] = times["copy kernel"] = [size / 1e12] * 3
        failures = {"pdl": "not on this device"} if detail == "t = 10" else {}
        place = {"case": name, "detail": detail, "tensors": 1, "elements": 1, "sets": 1, "steps": 3}
        return {**place, "bytes": size, "base": "base", "failures": failures, "seconds": times}

    kernel = {"variant": "E1 t = 10: host", "kernel": "update", "registers": 62, "local": 0, "shared": 0}
    return {
        "E1": part(
            cases=[case("1x1024", "t = 10", 28672, host=3e-6, base=12e-6, lanes=1e-6)],
            kernels=[{**kernel, "threads": 256, "blocks": 4}],
            check={"E1 t = 10: host": "same bits", "E1 t = 10: lanes": "OTHER BITS: 1 of 2 halfwords"},
        ),
        "E2": part(
            cases=[case("gpt2_124m", "", 1e9, base=1.25e-3, flat=1e-3, engine_tables=1.1e-3)],
            complete=False,
            error="cudaMalloc failed",
        ),
    }


def test_shares_times_and_predictions(experiments: ModuleType, record: dict[str, Any]) -> None:
    found = {(t.case, t.detail, t.variant): t for t in experiments.timings_of(record) if t.experiment in ("E1", "E2")}
    host = found["1x1024", "t = 10", "host"]
    assert (host.measured, host.predicted, host.gain) == ("3.00 us", "3.5 us", "+300.0 %")
    flat = found["gpt2_124m", "", "flat"]
    assert (flat.measured, flat.predicted, flat.gain) == ("1.000", "none", "+25.0 %")
    assert found["gpt2_124m", "", "engine+tables"].measured == "0.909"
    assert found["llama7b_layer", "t = 10", "engine+decide"].predicted == "none"
    assert flat.quartiles == pytest.approx((0.995e-3, 1.005e-3))
    assert found["gpt2_124m", "", "base"].measured == "0.800"
    assert found["1x1024", "t = 10", "pdl"].measured == "not on this device"
    assert found["llama7b_layer", "t = 10", "host"].measured == "not measured"
    assert found["llama7b_layer", "t = 10", "host"].predicted == "+0.6 %"


def test_winners(experiments: ModuleType, record: dict[str, Any]) -> None:
    winners = {row[:3]: row[3:] for row in experiments.winners_of(experiments.timings_of(record))}
    assert winners["E1", "t = 10", "1x1024"] == ("host", "3.00 us", "+300.0 %", "yes")
    assert winners["E2", "", "gpt2_124m"] == ("flat", "1.000", "+25.0 %", "yes")
    assert winners["E3", "master", "gpt2_124m"][0] == "not measured"


def test_who_is_wrong_does_not_win(experiments: ModuleType, record: dict[str, Any]) -> None:
    lanes = next(t for t in experiments.timings_of(record) if t.variant == "lanes")
    assert lanes.measured == "1.00 us WRONG"
    text = experiments.summary_of("E1", experiments.timings_of(record))
    order = [line.split()[0] for line in text.splitlines()[2:6]]
    assert order == ["base", "host", "lanes", "pdl"]


def test_report(experiments: ModuleType, record: dict[str, Any]) -> None:
    text = experiments.report(record, kernels=True)
    assert "Made-up 9000, 1 multiprocessors, 1 MiB of cache, driver for CUDA 13.0" in text
    assert "memcpy 1.000 TB/s" in text
    assert "E1 t = 10: lanes: OTHER BITS: 1 of 2 halfwords" in text
    assert "E1 t = 10: host: same bits" not in text
    assert "E2 did not end: cudaMalloc failed" in text
    assert "E3: not measured" in text
    assert "3.00 us (3.5 us)" in text
    assert "0.909 (none)" in text
    assert any(line.split()[-6:] == ["update", "62", "0", "0", "256", "4"] for line in text.splitlines())
    assert "995.00 - 1005.00" in experiments.report(record, long=True)


def test_the_engine_is_among_what_is_expected(experiments: ModuleType) -> None:
    rows = {(t.experiment, t.variant) for t in experiments.timings_of({})}
    assert {("E1", "engine+decide"), ("E2", "engine+tables"), ("E3", "engine+2"), ("E4", "engine")} <= rows


def test_without_a_record(experiments: ModuleType, tmp_path: Path) -> None:
    assert experiments.load(tmp_path / "none.json") == {}
    command = [sys.executable, "-I", str(FOLDER / "experiments.py"), str(tmp_path / "none.json")]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "No record" in text
    assert "not measured (0.92)" in text
    for name in experiments.QUESTIONS:
        assert f"{name}: " in text


def test_records_of_either_kind(experiments: ModuleType, record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "bare.json").write_text(json.dumps(record))
    (tmp_path / "gpu.json").write_text(json.dumps({"parts": [], "experiments": record}))
    assert experiments.load(tmp_path / "bare.json") == experiments.load(tmp_path / "gpu.json") == record


def test_models_are_those_of_the_benchmark() -> None:
    command = [sys.executable, "-I", str(FOLDER / "models.py")]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert '{"many_10k_x_1k", {{1024, 10000}}},' in text
    assert '{"gpt2_124m", {{38597376, 1}, {786432, 1}, ' in text
