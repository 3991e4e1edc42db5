"""The figures that adamcore set out to reach, beside those that it did."""

from __future__ import annotations

from dataclasses import dataclass

from record import ADAMCORE, Record

FUSED, TEXTBOOK, OTHER_GRADS = "torch-fused", "numpy-textbook", "adamcore-other-grads"


@dataclass(frozen=True)
class Verdict:
    target: str
    measured: str
    reached: bool | None
    """None where it was not measured."""


def verdicts(record: Record) -> list[Verdict]:
    return [
        _share_of_stream(record, "1x64M", 0.95),
        _speedup(record, "1x64M", FUSED, 1),
        _speedup(record, "1000x1000", FUSED, 25),
        _speedup(record, "10000x100", FUSED, 200),
        _speedup(record, "10000x100", FUSED, 120, by=OTHER_GRADS),
        _speedup(record, "1x1000", FUSED, 10),
        _seconds(record, "1x1000", 2e-6),
        _speedup(record, "1x16M", TEXTBOOK, 10),
    ]


def _share_of_stream(record: Record, case: str, least: float) -> Verdict:
    result = record.case(case)
    share = result.share_of_stream(ADAMCORE) if result else None
    return verdict(f"{case}: at least {least} of the stream", share, least, "{:.3f}")


def _speedup(record: Record, case: str, peer: str, least: float, by: str = ADAMCORE) -> Verdict:
    name = {FUSED: "torch fused", TEXTBOOK: "the textbook update"}[peer]
    with_grads = ", other gradient arrays each step" if by == OTHER_GRADS else ""
    pace = "no slower than" if least == 1 else f"at least {least} times as fast as"
    result = record.case(case)
    ours, theirs = (result.speedup(key) if result else None for key in (by, peer))
    return verdict(f"{case}: {pace} {name}{with_grads}", ours and theirs and theirs / ours, least, "{:.3g} times")


def _seconds(record: Record, case: str, most: float) -> Verdict:
    target = f"{case}: under {most * 1e6:g} us"
    result = record.case(case)
    if result is None or ADAMCORE not in result.timings:
        return Verdict(target, "not measured", None)
    seconds = result.timings[ADAMCORE].median
    return Verdict(target, f"{seconds * 1e6:.2f} us", seconds < most)


def verdict(target: str, value: float | None, least: float, form: str) -> Verdict:
    """Hold a figure against the least that it is to be."""
    if value is None:
        return Verdict(target, "not measured", None)
    # To two decimals: medians of one run do not tell more.
    return Verdict(target, form.format(value), round(value, 2) >= least)
