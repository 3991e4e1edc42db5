"""What the GPU benchmark says of its figures: shares, verdicts and tables, on a record made up for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the benchmarks are not in the source distribution")


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A copy at 1 TB/s, adamcore at 0.98 of it, torch at half that: round figures, measured nowhere."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCH))
    from measure import timing_of
    from record import CaseResult, Record

    def case(name: str, kind: str, seconds: dict[str, float], tensors: int) -> CaseResult:
        timings = {k: timing_of(k, [s] * 5, 1, seconds["adamcore"], 10**9) for k, s in seconds.items()}
        return CaseResult(name, tensors, 10**9 // 28, timings, {"optax": "not installed"}, kind)

    ours = 1e-3 / 0.98
    device = {"copy": 1e-3, "adamcore": ours, "torch-fused": 2 * ours, "adamcore-clip": ours, "torch-clip": 1.2 * ours}
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
            ("host", {"adamcore": 19e-6, "torch-fused": 1e-3}),
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
        ("2 times", True),
        ("not measured", None),
        ("0.980", True),
        ("49 times", False),
        ("1.2 times", False),
        ("not measured", None),
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
    assert acceptance_of(verdicts(record)).count("not measured") == 3


def test_records_survive_a_file(record: Any, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record.save(path)
    assert type(record).load(path) == record
    for old in (BENCH / "results").glob("*core.json"):
        type(record).load(old)


def test_parts(record: Any, tmp_path: Path) -> None:
    from device.parts import default_path, merged, read_parts, table_of

    (tmp_path / "test.log").write_text("....\n\x1b[32m==== 3 passed in 1.2s ====\x1b[0m\n")
    (tmp_path / "sanitize-memcheck.log").write_text("rules: done\n========= ERROR SUMMARY: 0 errors\n")
    (tmp_path / "parts").write_text("test\t0\t12\nsanitize-memcheck\t124\t30\ncompare\t125\t0\nbuild\t1\t3\n")
    parts = read_parts(tmp_path / "parts", tmp_path)
    assert [part.summary for part in parts] == ["3 passed in 1.2s", "ERROR SUMMARY: 0 errors", "", ""]
    text = table_of(parts)
    assert "out of time" in text
    assert "FAILED (1)" in text
    record.save(tmp_path / "compare.json")
    both = merged(parts, tmp_path / "compare.json")
    assert both["parts"][0]["seconds"] == 12
    assert default_path(both).name.endswith("-made-up-9000.json")
    assert merged(parts, tmp_path / "none.json") == {"parts": both["parts"]}
    json.dumps(both)
