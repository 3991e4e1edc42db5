"""The GPU tests that run in one process, and the order in which threads, blocks and streams do their work there."""

from __future__ import annotations

from pairs import EXHAUSTIVE
from places import TESTS

# These take long; the others share three processes. What takes longest begins first: two run at a time.
ALONE = ("parity", "nonfinite")
OTHERS = sorted({path.stem.removeprefix("test_") for path in (TESTS / "gpu").glob("test_*.py")} - {*ALONE})
FILES = [*((name,) for name in ALONE), *(tuple(OTHERS[k::3]) for k in range(3))]
BACKWARDS = {"ADAMCORE_EMULATION_BACKWARDS": "1"}


def paths(*names: str) -> list[str]:
    return [str(TESTS / "gpu" / f"test_{name}.py") for name in names]


RUNS: dict[str, tuple[list[str], dict[str, str]]] = {
    **{" ".join(names): (paths(*names), {}) for names in FILES},
    "what is queued": ([str(TESTS / "emulated_only")], {}),
    # PyTorch's tensors get to the same kernels.
    **{
        f"{name}, threads and blocks in the other order": ([*paths(name), "-k", "not torch"], BACKWARDS)
        for name in (("parity", "norms") if EXHAUSTIVE else ("norms",))
    },
}
if EXHAUSTIVE:
    RUNS |= {
        f"streams, {schedule}": (
            paths("graphs", "streams", "lifetimes"),
            {"ADAMCORE_EMULATION_SCHEDULE": schedule, "ADAMCORE_EMULATION_SEED": "1"},
        )
        for schedule in ("lazy", "random")
    }
    RUNS["torch without the exchange interface"] = (
        [*paths("torch", "arrays", "new_arrays", "streams", "uses"), "-k", "not streams_are_asked"],
        {"ADAMCORE_EMULATION_EXCHANGE": "0"},
    )
