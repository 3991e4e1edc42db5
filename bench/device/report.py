"""Tables for the terminal, in plain text: they come last in a log that is read from its end."""

from __future__ import annotations

from acceptance import Verdict
from device.acceptance import COPY
from record import RIGHT, STREAM, YARDSTICK, CaseResult, Record
from text import aligned, duration

HEADINGS = ("peer", "device", "IQR", "TB/s", "of copy", "of stream", "host", "wall", "device / ours", "wall / ours")


def facts_of(record: Record) -> str:
    device = record.facts["device"]
    chip = f"{device['multiprocessors']} multiprocessors, {device['cache'] >> 20} MiB of cache"
    lines = [
        f"AdamW, float32, on {device['name']} ({chip}), driver {device['driver']}",
        f"{record.facts['date']}, commit {record.facts['commit']}",
        ", ".join(f"{name} {version}" for name, version in record.facts["software"].items()),
        f"torch's launches: {record.facts.get('torch_launches')}",
    ]
    return "\n".join(lines)


def checks_of(record: Record) -> str:
    wrong = [f"  WRONG: {peer}: {finding}" for peer, finding in record.checks.items() if _is_wrong(finding)]
    absent = [f"  absent: {peer}: {reason}" for peer, reason in record.absent.items()]
    right = sum(finding == RIGHT for finding in record.checks.values())
    return "\n".join([f"Three steps against float64: {right} peers are right", *wrong, *absent])


def case_of(record: Record, name: str) -> str:
    """Return the table of a case: its device, host and wall times side by side."""
    device, host, wall = (record.case(name, kind) or CaseResult(name, 0, 0) for kind in ("device", "host", "wall"))
    keys = sorted(wall.timings, key=lambda key: _order(device, wall, key))
    rows = [HEADINGS, *(_row(key, device, host, wall, record.checks.get(key, "")) for key in keys)]
    absent = [f"  absent: {key}: {reason}" for key, reason in device.absent.items()]
    return "\n".join([f"{name}: {wall.tensors:,} tensors, {wall.elements:,} elements", *aligned(rows), *absent])


def _order(device: CaseResult, wall: CaseResult, key: str) -> float:
    return (device.timings.get(key) or wall.timings[key]).median


def _row(key: str, device: CaseResult, host: CaseResult, wall: CaseResult, check: str) -> tuple[str, ...]:
    timing = device.timings.get(key)
    label = wall.timings[key].label + (" (WRONG)" if _is_wrong(check) else "")
    cells = ["", "", "", "", ""]
    if timing:
        shares = [device.share_of_bandwidth(limit, key) for limit in (COPY, STREAM)]
        cells = [
            duration(timing.median),
            f"{duration(timing.q1)} - {duration(timing.q3)}",
            f"{timing.bytes / timing.median / 1e12:.3f}",
            *("" if share is None else f"{share:.3f}" for share in shares),
        ]
    return (
        label,
        *cells,
        duration(host.timings[key].median) if key in host.timings else "",
        duration(wall.timings[key].median),
        f"{timing.relative:.3f}" if timing else "",
        f"{wall.timings[key].relative:.3f}",
    )


def acceptance_of(verdicts: list[Verdict]) -> str:
    words = {True: "yes", False: "NO", None: "-"}
    rows = [("acceptance", "measured", "reached"), *((v.target, v.measured, words[v.reached]) for v in verdicts)]
    return "\n".join(aligned(rows))


def _is_wrong(finding: str) -> bool:
    return finding not in (RIGHT, YARDSTICK, "")
