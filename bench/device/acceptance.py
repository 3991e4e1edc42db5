"""The figures that adamcore set out to reach on a GPU, beside those that it did."""

from __future__ import annotations

from acceptance import Verdict, verdict
from record import ADAMCORE, Record

COPY, FUSED, CLIP, TORCH_CLIP = "copy", "torch-fused", "adamcore-clip", "torch-clip"
LARGE = ("gpt2_124m", "llama7b_layer")
MANY = "many_10k_x_1k"


def verdicts(record: Record) -> list[Verdict]:
    return [
        *(_share_of_copy(record, case, 0.97) for case in LARGE),
        *(_speedup(record, case, "device", ADAMCORE, FUSED, 1.1) for case in LARGE),
        _share_of_copy(record, MANY, 0.8),
        _speedup(record, MANY, "wall", ADAMCORE, FUSED, 50),
        *(_speedup(record, case, "device", CLIP, TORCH_CLIP, 1.25) for case in LARGE),
        _host(record, "gpt2_124m", 20e-6),
        _host(record, MANY, 100e-6),
    ]


def _share_of_copy(record: Record, name: str, least: float) -> Verdict:
    case = record.case(name, "device")
    share = case.share_of_bandwidth(COPY, ADAMCORE) if case else None
    return verdict(f"{name}: at least {least} of the copy's bandwidth", share, least, "{:.3f}")


def _speedup(record: Record, name: str, kind: str, ours: str, theirs: str, least: float) -> Verdict:
    case = record.case(name, kind)
    target = f"{name}: {ours} at least {least} times as fast as {theirs}, {kind} time"
    if case is None or not {ours, theirs} <= case.timings.keys():
        return verdict(target, None, least, "")
    return verdict(target, case.timings[theirs].relative / case.timings[ours].relative, least, "{:.3g} times")


def _host(record: Record, name: str, most: float) -> Verdict:
    case = record.case(name, "host")
    if case is None or ADAMCORE not in case.timings:
        return Verdict(f"{name}: step returns in under {most * 1e6:g} us", "not measured", None)
    seconds = case.timings[ADAMCORE].median
    target = f"{name}: step of {case.tensors:,} tensors returns in under {most * 1e6:g} us"
    return Verdict(target, f"{seconds * 1e6:.1f} us", seconds < most)
