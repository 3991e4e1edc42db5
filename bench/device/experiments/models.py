"""The header that tells the binary shapes.py's models: python models.py > models.hpp."""

from __future__ import annotations

import sys
from itertools import groupby
from math import prod
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(BENCH))

from shapes import CASES, Shape, gpt2, many  # noqa: E402

NAMES = ("many_10k_x_1k", "gpt2_124m", "llama7b_layer", "resnet50")


def models() -> dict[str, list[Shape]]:
    known = {case.name: case.shapes for case in CASES}
    return {"1x1024": many(1, 1024), "gpt2_wte": gpt2()[:1], **{name: known[name] for name in NAMES}}


def header() -> str:
    lines = []
    for name, shapes in models().items():
        runs = [(size, len(list(same))) for size, same in groupby(map(prod, shapes))]
        text = ", ".join(f"{{{size}, {count}}}" for size, count in runs)
        lines.append(f'    {{"{name}", {{{text}}}}},')
    return "\n".join(
        [
            "#pragma once",
            "",
            "#include <cstdint>",
            "#include <utility>",
            "#include <vector>",
            "",
            "/// From bench/shapes.py: tensors' sizes, and how many of a size come one after the other.",
            "namespace adamcore::experiments {",
            "",
            "struct Model {",
            "    const char* name;",
            "    std::vector<std::pair<std::int64_t, std::int64_t>> runs;",
            "};",
            "",
            "inline const std::vector<Model> models{",
            *lines,
            "};",
            "",
            f"inline constexpr std::int64_t model_columns = {models()['gpt2_wte'][0][1]};  ///< of gpt2_wte",
            "",
            "}  // namespace adamcore::experiments",
            "",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(header())
