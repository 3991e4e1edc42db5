"""The figures that adamcore set out to reach on a GPU, beside those that it did."""

from __future__ import annotations

from acceptance import Verdict, verdict
from record import ADAMCORE, Record

COPY, FUSED, CLIP, TORCH_CLIP = "copy", "torch-fused", "adamcore-clip", "torch-clip"
MASTER, NEW_GRADS = "adamcore-bf16-master", "adamcore-new-grads"
NAMES = {
    ADAMCORE: "a float32 step",
    MASTER: "a bfloat16 step with a float32 master",
    CLIP: "clip_norm with a step",
    NEW_GRADS: "a step with 148 new gradient objects",
    FUSED: "torch's fused one",
    TORCH_CLIP: "torch's two calls",
}
LARGE = ("gpt2_124m", "llama7b_layer")
MANY = "many_10k_x_1k"


def verdicts(record: Record) -> list[Verdict]:
    return [
        *(_share_of_copy(record, case, ADAMCORE, 0.97) for case in LARGE),
        _share_of_copy(record, MANY, ADAMCORE, 0.85),
        *(_share_of_copy(record, case, MASTER, 0.9) for case in LARGE),
        *(_speedup(record, case, "device", CLIP, TORCH_CLIP, 1.25) for case in LARGE),
        _host(record, LARGE[0], NEW_GRADS, 100e-6),
        *(_speedup(record, case, "device", ADAMCORE, FUSED, 1.1) for case in LARGE),
        _speedup(record, MANY, "wall", ADAMCORE, FUSED, 50),
        _host(record, LARGE[0], ADAMCORE, 20e-6),
        _host(record, MANY, ADAMCORE, 100e-6),
    ]


def _share_of_copy(record: Record, name: str, peer: str, least: float) -> Verdict:
    case = record.case(name, "device")
    share = case.share_of_bandwidth(COPY, peer) if case else None
    return verdict(f"{name}: {NAMES[peer]} at {least} of a copy's bandwidth", share, least, "{:.3f}")


def _speedup(record: Record, name: str, kind: str, ours: str, theirs: str, least: float) -> Verdict:
    case = record.case(name, kind)
    target = f"{name}: {NAMES[ours]} {least} times as fast as {NAMES[theirs]}, {kind} time"
    if case is None or not {ours, theirs} <= case.timings.keys():
        return verdict(target, None, least, "")
    return verdict(target, case.timings[theirs].relative / case.timings[ours].relative, least, "{:.3g} times")


def _host(record: Record, name: str, peer: str, most: float) -> Verdict:
    target = f"{name}: {NAMES[peer]} returns in under {most * 1e6:g} us"
    case = record.case(name, "host")
    if case is None or peer not in case.timings:
        return Verdict(target, "not measured", None)
    seconds = case.timings[peer].median
    return Verdict(target, f"{seconds * 1e6:.1f} us", seconds < most)
