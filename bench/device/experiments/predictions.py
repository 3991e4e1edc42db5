"""What was expected of each variant before anything was measured: by reading, disassembly and counting."""

from __future__ import annotations

from collections.abc import Iterator

# By experiment and detail, then variant, then case. Figures are shares of a copy's bandwidth on an H200 / H100, times
# of a step on 1x1024, or gains over the base.
BASE = {
    "1x1024": "11-14 us",
    "many_10k_x_1k": "0.78-0.83 / 0.83-0.88",
    "gpt2_124m": "0.955-0.98 / 0.965-0.99",
    "llama7b_layer": "0.965-0.99 / 0.97-1.0",
}
_DECIDE = {
    "base": BASE,
    "lanes": {"1x1024": "8 us"},
    "rule": {"1x1024": "7 us"},
    "host": {"1x1024": "3.5 us", "many_10k_x_1k": "0.88", "gpt2_124m": "+1.0 %", "llama7b_layer": "+0.6 %"},
    "pdl": {"1x1024": "5 us"},
    "engine": {},
    "engine+decide": {},
}
_DENSE = {
    "base": {},
    "tile8192": {"gpt2_124m": "+0.5 %"},
    "cs": {"gpt2_124m": "+0-2 %"},
    "no_allocate": {"gpt2_124m": "+0-2 %"},
    "flat": {"many_10k_x_1k": "+5-8 %"},
    **{name: {"gpt2_124m": "noise"} for name in ("tile2048", "tile16384", "256x3x2", "256x6x1", "128x8x2", "512x2x2")},
    "256x2x4": {"gpt2_124m": "noise"},
    "engine": {},
    "engine+tables": {},
}


def _stored(base: str, **best: str) -> dict[str, dict[str, str]]:
    shares = {"base": base, **{name.replace("_", "+"): share for name, share in best.items()}}
    return {name: {"gpt2_124m": share} for name, share in shares.items()} | {"engine": {}, "engine+2": {}}


PREDICTED: dict[tuple[str, str], dict[str, dict[str, str]]] = {
    **{("E1", f"t = {t}"): _DECIDE for t in (10, 1000, 1000000)},
    ("E2", ""): _DENSE,
    ("E2", "after a norm"): {"base": {}, "reverse": {}},
    ("E3", "master"): _stored("0.7", raw_cvt="0.92"),
    ("E3", "remainder"): _stored("0.55", raw_cvt="0.85"),
    ("E3", "stochastic"): _stored("0.42", raw_cvt_tile="0.75", raw_cvt_warp="0.75"),
    ("E4", "norm"): {
        "base": {},
        **{name: {"gpt2_124m": "+5 %", "resnet50": "+25 %"} for name in ("leaves4", "leaves2")},
    },
    ("E4", "all rows"): {"base": {"gpt2_wte": "1.0"}, "engine": {}},
    ("E4", "2% of rows"): {"base": {"gpt2_wte": "0.7"}, "engine": {}},
}


def predicted(experiment: str, detail: str, variant: str, case: str) -> str:
    """Return the figure, or "none" where none was given."""
    return PREDICTED.get((experiment, detail), {}).get(variant, {}).get(case, "none")


def expected_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield what a table shows without a record: experiment, detail, case and variant."""
    for (experiment, detail), variants in PREDICTED.items():
        for case in dict.fromkeys(case for figures in variants.values() for case in figures):
            for variant in variants:
                yield experiment, detail, case, variant
