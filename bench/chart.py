"""Draw a record: python bench/chart.py RECORD.json CHART.svg."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl

from record import ADAMCORE, STREAM, CaseResult, Record

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

BASELINE = "torch-fused"
TIMES = "\N{MULTIPLICATION SIGN}"
# Okabe and Ito's colours, told apart by the colour-blind too; a marker of its own for each.
BAR, GREY = "#0072B2", "#6B6B6B"
MARKS = {
    "numba": ("numba", "s", "#009E73"),
    "deepspeed": ("DeepSpeed CPUAdam", "^", "#CC79A7"),
    "optax": ("optax, jit", "D", "#E69F00"),
    "numpy-textbook": ("NumPy, textbook", "o", "#D55E00"),
}
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "svg.hashsalt": "adamcore",
}


def draw(record: Record, path: Path) -> None:
    """Show for each case how many times as fast as torch's fused AdamW each peer is."""
    cases = [case for case in record.cases if {ADAMCORE, BASELINE} <= case.timings.keys()]
    if not cases:
        raise SystemExit(f"no chart: no case has both {ADAMCORE} and {BASELINE}")
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(9, 1.9 + 0.44 * len(cases)), layout="constrained")
        for row, case in enumerate(cases):
            _draw_case(axes, row, case, labelled=row == 0)
        _dress(axes, cases)
        figure.suptitle("An AdamW step, against torch.optim.AdamW(fused=True)", x=0.01, ha="left", weight="bold")
        axes.set_xlabel(f"times as fast as torch fused (logarithmic); right is faster\n{_circumstances(record)}")
        _legend(figure, axes)
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
        plt.close(figure)


def _draw_case(axes: Any, row: int, case: CaseResult, *, labelled: bool) -> None:
    def speed(peer: str) -> float:
        return case.timings[BASELINE].relative / case.timings[peer].relative

    ours = speed(ADAMCORE)
    # From the baseline at 1 to either side, so that a loss is seen as one.
    axes.barh(row, ours - 1, left=1, height=0.62, color=BAR, label="adamcore" if labelled else None, zorder=2)
    for peer, (_, marker, colour) in MARKS.items():
        if peer in case.timings:
            axes.plot(speed(peer), row, marker, color=colour, ms=7, mec="white", mew=0.8, zorder=4)
    if STREAM in case.timings:
        limit = speed(STREAM)
        axes.plot([limit, limit], [row - 0.42, row + 0.42], color="black", lw=2, zorder=3)
    figure = f"{ours:.2f}{TIMES}" if ours < 10 else f"{ours:.0f}{TIMES}"
    _write_beside(axes, row, figure)


def _write_beside(axes: Any, row: float, text: str) -> None:
    place = axes.get_yaxis_transform()  # across: the axes' width; down: the rows
    axes.text(1.09, row, text, transform=place, ha="right", va="center", weight="bold", color=BAR)


def _dress(axes: Any, cases: list[CaseResult]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{TIMES}"))
    axes.axvline(1, color=GREY, lw=1.2, zorder=1)
    axes.set_yticks(range(len(cases)), [_name(case) for case in cases])
    axes.set_ylim(len(cases) - 0.4, -0.6)
    _write_beside(axes, -0.85, "adamcore")
    axes.grid(axis="x", color="#DDDDDD", lw=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _legend(figure: Any, axes: Any) -> None:
    handles = axes.get_legend_handles_labels()[0]
    handles.append(plt.Line2D([], [], color="black", lw=2, label="limit: stream of the same bytes"))
    for label, marker, colour in MARKS.values():
        handles.append(plt.Line2D([], [], ls="", marker=marker, color=colour, ms=7, mec="white", label=label))
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=9.5)


def _name(case: CaseResult) -> str:
    if case.name[0].isdigit():
        tensors, size = case.name.split("x")
        return f"{int(tensors):,} {TIMES} {int(size):,}" if size.isdigit() else f"{tensors} {TIMES} {size}"
    return f"{case.name} ({case.tensors:,} tensors)"


def _circumstances(record: Record) -> str:
    facts = record.facts
    versions = facts["software"]
    return (
        f"float32, {facts['threads']} threads, {facts['machine']['processor']} ({facts['adamcore_isa']}), "
        f"torch {versions['torch']}, {facts['date']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path)
    parser.add_argument("chart", type=Path)
    options = parser.parse_args()
    draw(Record.load(options.record), options.chart)


if __name__ == "__main__":
    main()
