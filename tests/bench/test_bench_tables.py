"""What the GPU benchmark reports about its figures: shares, verdicts and tables, for an invented record."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from places import ROOT

BENCH = ROOT / "bench"
pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not in the source distribution")


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A copy at 1 TB/s, adamcore at 0.98 of it, torch at half that: invented round figures."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCH))
    from measure import timing_of
    from record import CaseResult, Record

    def case(name: str, kind: str, seconds: dict[str, float], tensors: int) -> CaseResult:
        timings = {k: timing_of(k, [s] * 5, 1, seconds["adamcore"], 10**9) for k, s in seconds.items()}
        return CaseResult(name, tensors, 10**9 // 28, timings, {"optax": "not installed"}, kind)

    ours = 1e-3 / 0.98
    device = {"copy": 1e-3, "adamcore": ours, "torch-fused": 2 * ours, "adamcore-clip": ours, "torch-clip": 1.2 * ours}
    device["adamcore-bf16-master"] = 1 / 890
    facts = {
        "date": "2026-01-01",
        "commit": "none",
        "software": {"torch": "0"},
        "device": {"name": "Made-up 9000", "multiprocessors": 1, "cache": 1 << 20, "driver": "0"},
    }
    found = Record(facts, {"adamcore": "right", "torch-fused": "off by 3"}, {})
    for name, tensors in (("gpt2_124m", 148), ("many_10k_x_1k", 10_000)):
        for kind, times in (
            ("device", device),
            ("host", {"adamcore": 19e-6, "adamcore-new-grads": 120e-6, "torch-fused": 1e-3}),
            ("wall", {"adamcore": 1e-3, "torch-fused": 49e-3}),
        ):
            found.cases.append(case(name, kind, times, tensors))
    yield found
    for name in set(sys.modules) - before:
        if str(BENCH) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_verdicts(record: Any) -> None:
    from device.acceptance import verdicts

    found = {v.target: (v.measured, v.reached) for v in verdicts(record)}
    assert list(found.values()) == [
        ("0.980", True),
        ("not measured", None),
        ("0.980", True),
        ("0.890", False),
        ("not measured", None),
        ("1.2 times", False),
        ("not measured", None),
        ("120.0 us", False),
        ("2 times", True),
        ("not measured", None),
        ("49 times", False),
        ("19.0 us", True),
        ("19.0 us", True),
    ]


def test_tables(record: Any) -> None:
    from device.acceptance import verdicts
    from device.report import acceptance_of, case_of, checks_of, facts_of

    text = case_of(record, "gpt2_124m")
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert rows["adamcore"].split()[-2:] == ["1.000", "1.000"]
    assert "0.980" in rows["adamcore"]
    assert rows["torch-fused (WRONG)"].split()[-2:] == ["2.000", "49.000"]
    assert "absent: optax: not installed" in text
    assert "WRONG: torch-fused: off by 3" in checks_of(record)
    assert "Made-up 9000" in facts_of(record)
    assert acceptance_of(verdicts(record)).count("not measured") == 4


def test_records_survive_a_file(record: Any, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record.save(path)
    assert type(record).load(path) == record
    for old in (BENCH / "results").glob("*core.json"):
        type(record).load(old)


def test_parts(record: Any, tmp_path: Path) -> None:
    from device.parts import add, read_parts, table_of

    (tmp_path / "test.log").write_text(
        "== test (at 1s, 9s at most)\n....\n\x1b[32m==== 3 passed in 1.2s ====\x1b[0m\n"
        "== test-parity (at 5s, 9s at most)\n== test is what a test may print\n==== 4 passed in 1.2s ====\n"
    )
    (tmp_path / "sanitize.log").write_text("rules: done\n========= ERROR SUMMARY: 0 errors\n")
    lines = ["test\t0\t12", "test-parity\t143\t2", "sanitize-memcheck\t124\t30", "compare\t125\t0", "build\t1\t3"]
    (tmp_path / "parts").write_text("\n".join([*lines, "test-parity\t0\t3\n"]))
    parts = read_parts(tmp_path / "parts", tmp_path)
    assert [part.summary for part in parts[:3]] == ["3 passed in 1.2s", "4 passed in 1.2s", "ERROR SUMMARY: 0 errors"]
    assert parts[1].status == 0
    text = table_of(parts)
    assert "out of time" in text
    assert "FAILED (1)" in text
    whole = {**asdict(record), "parts": [{"name": "test", "status": 1}, {"name": "other", "status": 0}]}
    add(whole, parts, tmp_path / "none.json")
    assert [part["name"] for part in whole["parts"]][:2] == ["other", "test"]
    assert whole["facts"] == record.facts
    assert "experiments" not in whole
    (tmp_path / "cut").write_text("{")
    add(whole, parts, tmp_path / "cut")
    assert whole["experiments"].startswith("cannot be read")
    alone: dict[str, Any] = {}
    add(alone, parts)
    assert {"date", "commit", "device"} <= alone["facts"].keys()


def test_a_gpus_records_in_the_readme(record: Any, tmp_path: Path) -> None:
    import gpu_table

    record.save(tmp_path / "b.json")
    names = ("test-graphs", "test", "test-parity")
    tests = [{"name": name, "status": 0, "summary": f"{name} passed"} for name in names]
    older = {"facts": {**record.facts, "date": "2025-12-31"}, "parts": []}
    for name, facts, parts in (
        ("older", older["facts"], []),
        ("c", record.facts, [*tests, {"name": "sanitize-memcheck", "status": 1, "summary": "ERROR SUMMARY: 2 errors"}]),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps({"facts": facts, "parts": parts}))
    (tmp_path / "cpu.json").write_text(json.dumps({"facts": {"date": "2027-01-01"}}))
    found = gpu_table.newest(tmp_path)
    assert [path.name for path in found] == ["b.json", "c.json"]
    text = gpu_table.written("# A\n" + gpu_table.BEGIN + "what was\n" + gpu_table.END + "after\n", found)
    assert text.startswith(
        "# A\n" + gpu_table.BEGIN + "Made-up 9000, driver 0, 2026-01-01, commit none (`b.json`, `c.json`)"
    )
    assert text.endswith("|\n" + gpu_table.END + "after\n")
    assert "passes, with the CPU's bits | test-graphs passed; test passed; test-parity passed | yes |" in text
    assert "memcheck finds nothing | ERROR SUMMARY: 2 errors | no |" in text
    assert "racecheck finds nothing | not measured |" in text
    assert "| gpt2_124m: a float32 step at 0.97 of a copy's bandwidth | 0.980 | yes |" in text
    assert "| llama7b_layer: a float32 step at 0.97 of a copy's bandwidth | not measured |  |" in text


@pytest.mark.usefixtures("record")
def test_the_readme_says_what_the_records_do() -> None:
    """If this fails: python bench/gpu_table.py."""
    import gpu_table

    text = gpu_table.README.read_text()
    assert gpu_table.written(text, gpu_table.newest(BENCH / "results")) == text


@pytest.mark.usefixtures("record")
def test_what_a_build_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    from device import needs

    assert needs.required().keys() == {"scikit-build-core", "pybind11"}
    monkeypatch.setattr(needs.metadata, "version", {"a": "0.10.2", "b": "3.1.0", "c": "1.0.dev1"}.__getitem__)
    assert needs.lacking("a", "0.11") == "a is 0.10.2, and 0.11 or newer is needed"
    assert needs.lacking("b", "3.0.1") is None
    assert needs.lacking("c", "0.11") is None


@pytest.mark.usefixtures("record")
def test_several_processes_keep_one_record(tmp_path: Path) -> None:
    import keep

    path = tmp_path / "record.json"
    code = "import keep, sys; from pathlib import Path; n, path = int(sys.argv[1]), Path(sys.argv[2])\n"
    code += "for k in range(20): keep.update(path, lambda record: record.update({f'{n} {k}': 'x' * 10000}))"
    command = [sys.executable, "-c", code]
    writers = [subprocess.Popen([*command, str(n), str(path)], cwd=BENCH) for n in range(3)]
    while any(writer.poll() is None for writer in writers):
        keep.read(path)  # is whole at any time
    assert len(keep.read(path)) == 60
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]
