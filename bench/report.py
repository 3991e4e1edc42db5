"""Tables for the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from acceptance import Verdict
from record import ADAMCORE, BYTES_PER_ELEMENT, RIGHT, STREAM, YARDSTICK, CaseResult, Record, Timing
from text import duration


def print_facts(console: Console, record: Record) -> None:
    facts = record.facts
    machine = facts["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, {facts['adamcore_isa']}"
    console.print(f"[bold]AdamW, float32[/] on {where}; threads: {facts['threads']}")
    console.print(f"{facts['date']}, commit {facts['commit']}")
    console.print(", ".join(f"{name} {version}" for name, version in facts["software"].items()), style="dim")
    if facts["load_average"] > 0.5:
        console.print(f"Other programs use this machine (load {facts['load_average']}): expect noise.", style="yellow")


def print_checks(console: Console, record: Record) -> None:
    table = Table(title="Three steps against float64", title_justify="left")
    table.add_column("peer")
    table.add_column("finding")
    for peer, finding in record.checks.items():
        table.add_row(peer, finding, style=None if finding in (RIGHT, YARDSTICK) else "red")
    for peer, reason in record.absent.items():
        table.add_row(peer, f"absent: {reason}", style="dim")
    console.print(table)


def print_case(console: Console, case: CaseResult, checks: dict[str, str]) -> None:
    count = f"{case.tensors:,} tensor{'s' * (case.tensors > 1)}, {case.elements:,} elements"
    console.print(f"[bold]{case.name}[/]  {count}")
    table = Table()
    table.add_column("peer")
    for heading in ("median", "IQR", "ns/element", "GB/s", "of stream", "time / adamcore's"):
        table.add_column(heading, justify="right")
    for key, timing in sorted(case.timings.items(), key=lambda item: item[1].median):
        style = "bold" if key == ADAMCORE else None
        table.add_row(*_row(case, key, timing, checks[key]), style=style)
    if case.timings:
        console.print(table)
    for key, reason in case.absent.items():
        console.print(f"absent: {key}: {reason}", style="dim", highlight=False)
    console.print()


def _row(case: CaseResult, key: str, timing: Timing, check: str) -> list[str]:
    wrong = "" if check in (RIGHT, YARDSTICK) else " [red](WRONG)[/]"
    share = case.share_of_stream(key)
    beats_us = not key.startswith(ADAMCORE) and not key.startswith(STREAM) and timing.relative < 1
    return [
        timing.label + wrong,
        duration(timing.median),
        f"{duration(timing.q1)} - {duration(timing.q3)}",
        f"{timing.median / case.elements * 1e9:.3f}",
        f"{case.elements * BYTES_PER_ELEMENT / timing.median / 1e9:.1f}",
        "" if share is None else f"{share:.3f}",
        f"[red]{timing.relative:.3f}[/]" if beats_us else f"{timing.relative:.3g}",
    ]


def print_acceptance(console: Console, verdicts: list[Verdict]) -> None:
    table = Table(title="Acceptance", title_justify="left")
    for heading in ("target", "measured", "reached"):
        table.add_column(heading)
    words = {True: "[green]yes[/]", False: "[red]no[/]", None: "[dim]-[/]"}
    for verdict in verdicts:
        table.add_row(verdict.target, verdict.measured, words[verdict.reached])
    console.print(table)
