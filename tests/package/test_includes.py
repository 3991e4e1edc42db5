"""The direction of includes in C++."""

from __future__ import annotations

import re

from places import ROOT

HEADERS = [ROOT / "cpp" / "include", ROOT / "cuda" / "include"]

LAYERS = [
    ("math.hpp", set()),
    ("double_double.hpp", {"math.hpp"}),
    ("bias.hpp", {"double_double.hpp", "math.hpp"}),
    ("optimizer/clip.hpp", set()),
    ("scale.hpp", {"math.hpp"}),
    ("power.hpp", {"double_double.hpp", "math.hpp", "scale.hpp"}),
    ("gradient.hpp", {"math.hpp", "scale.hpp"}),
    ("version.hpp", set()),
    ("dtype.hpp", set()),
    ("plan.hpp", set()),
    ("tree.hpp", set()),
    ("average.hpp", {"math.hpp"}),
    ("sums.hpp", {"math.hpp"}),
    ("rule/field.hpp", {"math.hpp"}),
    ("rule/slot.hpp", {"math.hpp"}),
    ("rule/pass.hpp", {"math.hpp", "rule/slot.hpp"}),
    ("rule.hpp", {"bias.hpp", "math.hpp", "rule/"}),
    ("rule/check.hpp", {"rule.hpp"}),
    ("rule/second_moment.hpp", {"bias.hpp", "rule.hpp", "rule/"}),
    ("rule/tensor.hpp", {"rule.hpp", "tensor.hpp"}),
    ("rule/make_info.hpp", {"bias.hpp", "rule.hpp", "rule/check.hpp", "rule/second_moment.hpp", "rule_info.hpp"}),
    ("storage/layout.hpp", {"math.hpp"}),
    ("storage/formats.hpp", {"dtype.hpp", "math.hpp"}),
    ("storage/rounding.hpp", {"math.hpp", "storage/formats.hpp"}),
    ("storage/state_rounding.hpp", {"math.hpp", "storage/formats.hpp", "storage/rounding.hpp"}),
    ("tensor.hpp", {"dtype.hpp", "math.hpp", "scale.hpp", "storage/layout.hpp"}),
    ("norm.hpp", {"math.hpp", "scale.hpp", "storage/formats.hpp", "storage/layout.hpp", "sums.hpp"}),
    ("statistics/columns.hpp", {"math.hpp", "norm.hpp", "rule/pass.hpp", "scale.hpp"}),
    ("rules/", {"average.hpp", "bias.hpp", "math.hpp", "power.hpp", "rule.hpp", "rules/"}),
    ("weights/average.hpp", {"math.hpp"}),
    ("weights/passes.hpp", {"rule.hpp", "tensor.hpp"}),
    ("rule_info.hpp", {"bias.hpp", "dtype.hpp", "rule.hpp", "tensor.hpp"}),
    ("rule_registry.hpp", {"rule_info.hpp", "rules/all.hpp"}),
    (
        "schedules/",
        {"bias.hpp", "double_double.hpp", "math.hpp", "power.hpp", "scale.hpp", "schedules/"},
    ),
    ("schedule.hpp", {"schedules/"}),
    ("cpu/isa.hpp", set()),
    ("cpu/parallel.hpp", set()),
    ("cpu/float_environment.hpp", set()),
    ("cpu/access.hpp", {"gradient.hpp", "rule/check.hpp", "tensor.hpp"}),
    ("cpu/prefetch.hpp", {"rule.hpp"}),
    ("cpu/sweep.hpp", {"cpu/access.hpp", "cpu/prefetch.hpp", "gradient.hpp", "rule.hpp", "rule/check.hpp"}),
    ("cpu/convert.hpp", {"storage/formats.hpp", "storage/rounding.hpp"}),
    ("cpu/arrays.hpp", {"cpu/convert.hpp", "cpu/prefetch.hpp", "gradient.hpp", "storage/layout.hpp", "tensor.hpp"}),
    ("cpu/weights.hpp", {"cpu/arrays.hpp"}),
    ("cpu/state.hpp", {"cpu/arrays.hpp", "storage/state_rounding.hpp"}),
    ("cpu/tiles/lines.hpp", {"cpu/arrays.hpp", "tensor.hpp"}),
    (
        "cpu/tiles/arrays.hpp",
        {"cpu/access.hpp", "cpu/arrays.hpp", "cpu/tiles/lines.hpp", "cpu/state.hpp", "cpu/weights.hpp", "tensor.hpp"},
    ),
    ("cpu/tiles/sweep.hpp", {"cpu/sweep.hpp", "cpu/tiles/arrays.hpp", "tensor.hpp"}),
    ("cpu/constants.hpp", {"bias.hpp", "cpu/float_environment.hpp", "rule_registry.hpp", "tensor.hpp"}),
    ("cpu/pieces.hpp", {"cpu/float_environment.hpp", "plan.hpp"}),
    ("cpu/passes/pass_sweep.hpp", {"cpu/access.hpp", "cpu/prefetch.hpp", "sums.hpp"}),
    ("passes/leaves.hpp", {"math.hpp", "rule.hpp"}),
    ("cpu/passes/visits.hpp", {"cpu/passes/pass_sweep.hpp", "cpu/tiles/arrays.hpp", "sums.hpp", "tensor.hpp"}),
    (
        "cpu/passes/catalog.hpp",
        {"cpu/passes/", "cpu/sweep.hpp", "cpu/tiles/sweep.hpp", "cpu/traffic.hpp", "rule_info.hpp", "tensor.hpp"},
    ),
    ("cpu/passes/workspace.hpp", {"cpu/passes/catalog.hpp", "plan.hpp", "sums.hpp"}),
    ("cpu/passes/tables.hpp", {"cpu/passes/workspace.hpp", "cpu/pieces.hpp", "plan.hpp", "sums.hpp"}),
    (
        "cpu/passes/passes.hpp",
        {
            "cpu/constants.hpp",
            "cpu/passes/tables.hpp",
            "cpu/passes/workspace.hpp",
            "cpu/pieces.hpp",
            "cpu/traffic.hpp",
            "plan.hpp",
            "sums.hpp",
        },
    ),
    ("cpu/reduce.hpp", {"cpu/arrays.hpp", "norm.hpp", "storage/state_rounding.hpp"}),
    ("cpu/traffic.hpp", {"cpu/access.hpp", "norm.hpp", "tensor.hpp"}),
    ("cpu/update.hpp", {"cpu/sweep.hpp", "cpu/tiles/sweep.hpp", "cpu/traffic.hpp", "tensor.hpp"}),
    (
        "cpu/weight_passes/followers.hpp",
        {
            "cpu/pieces.hpp",
            "cpu/tiles/sweep.hpp",
            "cpu/traffic.hpp",
            "cpu/update.hpp",
            "plan.hpp",
            "weights/passes.hpp",
        },
    ),
    ("cpu/statistics/lanes.hpp", {"math.hpp", "statistics/columns.hpp", "sums.hpp"}),
    (
        "cpu/statistics/kernels.hpp",
        {"cpu/arrays.hpp", "cpu/statistics/lanes.hpp", "cpu/sweep.hpp", "norm.hpp", "statistics/", "sums.hpp"},
    ),
    (
        "cpu/statistics/fused_sweep.hpp",
        {"cpu/isa.hpp", "cpu/statistics/lanes.hpp", "cpu/sweep.hpp", "rule/check.hpp", "rule/second_moment.hpp"},
    ),
    (
        "cpu/statistics/observer.hpp",
        {
            "cpu/pieces.hpp",
            "cpu/reduce.hpp",
            "cpu/statistics/",
            "cpu/traffic.hpp",
            "plan.hpp",
            "rule_info.hpp",
            "statistics/columns.hpp",
            "tensor.hpp",
        },
    ),
    (
        "cpu/statistics/pieces.hpp",
        {
            "cpu/isa.hpp",
            "cpu/statistics/observer.hpp",
            "cpu/sweep.hpp",
            "cpu/tiles/sweep.hpp",
            "cpu/update.hpp",
            "cpu/weight_passes/followers.hpp",
            "tensor.hpp",
        },
    ),
    (
        "cpu/kernels.hpp",
        {
            "cpu/",
            "dtype.hpp",
            "passes/",
            "rule_info.hpp",
            "rules/all.hpp",
            "rule_registry.hpp",
            "weights/passes.hpp",
        },
    ),
    ("cpu/engine.hpp", {"cpu/", "plan.hpp", "rule/check.hpp", "rule/make_info.hpp", "tensor.hpp"}),
    ("cpu/element_passes.hpp", {"cpu/engine.hpp", "cpu/kernels.hpp", "passes/leaves.hpp", "weights/passes.hpp"}),
    ("cpu/norm.hpp", {"cpu/", "norm.hpp", "plan.hpp"}),
    ("optimizer/slab.hpp", set()),
    ("optimizer/arguments.hpp", {"dtype.hpp", "tensor.hpp"}),
    ("optimizer/ranges.hpp", {"dtype.hpp", "tensor.hpp"}),
    ("optimizer/hyper.hpp", {"rule_info.hpp"}),
    ("optimizer/state_slots.hpp", {"rule_info.hpp", "tensor.hpp"}),
    ("optimizer/start.hpp", {"rule_info.hpp", "storage/", "tensor.hpp"}),
    (
        "optimizer/new_tensor.hpp",
        {"optimizer/slab.hpp", "optimizer/start.hpp", "optimizer/state_slots.hpp", "rule_info.hpp", "tensor.hpp"},
    ),
    (
        "optimizer/base.hpp",
        {
            "cpu/float_environment.hpp",
            "cpu/passes/workspace.hpp",
            "optimizer/arguments.hpp",
            "optimizer/hyper.hpp",
            "optimizer/new_tensor.hpp",
            "optimizer/ranges.hpp",
            "optimizer/slab.hpp",
            "optimizer/state_slots.hpp",
            "rule_info.hpp",
            "tensor.hpp",
        },
    ),
    (
        "optimizer/calls.hpp",
        {"cpu/parallel.hpp", "optimizer/arguments.hpp", "optimizer/base.hpp", "tensor.hpp"},
    ),
    (
        "optimizer/by_name.hpp",
        {"cpu/engine.hpp", "cpu/kernels.hpp", "optimizer/calls.hpp", "rule_registry.hpp", "tensor.hpp"},
    ),
    ("optimizer.hpp", {"cpu/engine.hpp", "optimizer/calls.hpp", "tensor.hpp"}),
    ("cuda/runtime.hpp", set()),
    ("cuda/memory.hpp", {"cuda/runtime.hpp"}),
    ("cuda/table.hpp", {"norm.hpp", "rule_registry.hpp", "tensor.hpp"}),
    ("cuda/access.hpp", {"math.hpp", "storage/formats.hpp", "storage/layout.hpp"}),
    ("cuda/sequence.hpp", {"cuda/runtime.hpp"}),
    ("cuda/fold.hpp", {"cuda/table.hpp", "sums.hpp"}),
    (
        "cuda/weights.hpp",
        {"cuda/access.hpp", "cuda/elements/spots.hpp", "cuda/table.hpp", "storage/rounding.hpp", "tensor.hpp"},
    ),
    (
        "cuda/update.hpp",
        {
            "cuda/access.hpp",
            "cuda/elements/operands.hpp",
            "cuda/table.hpp",
            "gradient.hpp",
            "rule.hpp",
            "rule/check.hpp",
        },
    ),
    ("cuda/state.hpp", {"cuda/access.hpp", "cuda/table.hpp", "storage/rounding.hpp", "storage/state_rounding.hpp"}),
    ("cuda/elements/operands.hpp", {"cuda/table.hpp", "rule/check.hpp"}),
    ("cuda/elements/spots.hpp", {"cuda/access.hpp", "cuda/elements/operands.hpp"}),
    ("cuda/elements/arrays.hpp", {"cuda/elements/operands.hpp", "cuda/elements/spots.hpp", "cuda/weights.hpp"}),
    ("cuda/elements/elements.hpp", {"cuda/elements/arrays.hpp", "cuda/state.hpp", "cuda/update.hpp"}),
    ("cuda/stored.hpp", {"cuda/elements/elements.hpp"}),
    ("cuda/start.hpp", {"cuda/state.hpp", "cuda/access.hpp", "cuda/table.hpp"}),
    (
        "cuda/reduce.hpp",
        {
            "cuda/access.hpp",
            "cuda/fold.hpp",
            "cuda/table.hpp",
            "gradient.hpp",
            "norm.hpp",
            "storage/state_rounding.hpp",
        },
    ),
    ("cuda/averages/advance.hpp", {"cuda/table.hpp", "weights/"}),
    ("cuda/averages/followers.hpp", {"cuda/averages/", "cuda/memory.hpp", "cuda/plan.hpp", "cuda/update.hpp"}),
    (
        "cuda/statistics/observe.hpp",
        {"cuda/access.hpp", "cuda/fold.hpp", "cuda/table.hpp", "norm.hpp", "rule/pass.hpp", "statistics/columns.hpp"},
    ),
    ("cuda/weight_pass.hpp", {"cuda/runtime.hpp", "tensor.hpp"}),
    (
        "cuda/statistics/observation.hpp",
        {
            "cuda/weight_pass.hpp",
            "cuda/memory.hpp",
            "cuda/statistics/observe.hpp",
            "cuda/plan.hpp",
            "cuda/sequence.hpp",
            "rule_info.hpp",
            "statistics/columns.hpp",
        },
    ),
    ("cuda/passes/table.hpp", {"cuda/elements/operands.hpp", "sums.hpp"}),
    ("cuda/passes/numbers.hpp", {"cuda/table.hpp", "rule.hpp"}),
    ("cuda/passes/visit.hpp", {"cuda/elements/elements.hpp", "cuda/fold.hpp"}),
    ("cuda/passes/conclude.hpp", {"cuda/fold.hpp", "cuda/passes/", "rule/make_info.hpp"}),
    (
        "cuda/passes/lines.hpp",
        {"cuda/access.hpp", "cuda/elements/operands.hpp", "cuda/fold.hpp", "cuda/passes/", "sums.hpp"},
    ),
    ("cuda/passes/matrices.hpp", {"cuda/elements/elements.hpp", "cuda/passes/lines.hpp"}),
    (
        "cuda/decide.hpp",
        {
            "bias.hpp",
            "optimizer/clip.hpp",
            "cuda/statistics/observe.hpp",
            "cuda/passes/numbers.hpp",
            "cuda/reduce.hpp",
            "cuda/table.hpp",
            "rule/make_info.hpp",
            "rule/second_moment.hpp",
        },
    ),
    ("cuda/kernels.hpp", {"cuda/", "passes/", "rules/all.hpp", "weights/passes.hpp"}),
    (
        "cuda/plan.hpp",
        {"optimizer/clip.hpp", "cuda/memory.hpp", "cuda/passes/table.hpp", "cuda/table.hpp", "norm.hpp", "tensor.hpp"},
    ),
    (
        "cuda/engine.hpp",
        {
            "optimizer/clip.hpp",
            "cuda/averages/followers.hpp",
            "cuda/memory.hpp",
            "cuda/plan.hpp",
            "cuda/runtime.hpp",
            "cuda/sequence.hpp",
            "passes/leaves.hpp",
            "rule_info.hpp",
        },
    ),
    (
        "adamcore.hpp",
        {
            "cpu/",
            "optimizer.hpp",
            "optimizer/by_name.hpp",
            "plan.hpp",
            "rule.hpp",
            "rule/tensor.hpp",
            "rules/all.hpp",
            "schedule.hpp",
            "tensor.hpp",
            "tree.hpp",
            "version.hpp",
        },
    ),
]


def test_includes_go_one_way() -> None:
    """Every header is in a layer, and includes only what its layer may depend on."""
    headers = [(root, path) for root in HEADERS for path in root.rglob("*.hpp")]
    for root, path in headers:
        name = path.relative_to(root / "adamcore").as_posix()
        (allowed,) = [may for layer, may in LAYERS if name == layer or (layer.endswith("/") and name.startswith(layer))]
        for included in re.findall(r'#include "adamcore/(.+)"', path.read_text()):
            assert any(included == a or (a.endswith("/") and included.startswith(a)) for a in allowed), (name, included)


ROOMS = {
    "runtime": set(),
    "schedules": {"runtime"},
    "gate": {"runtime"},
    "regions": {"gate", "runtime"},
    "structures": {"gate", "runtime"},
    "state": {"regions"},
    "checkpoint": {"gate", "regions", "runtime", "state", "structures"},
    "guards": {"runtime"},
    "trends": {"runtime"},
    "groups": {"runtime", "schedules"},
    "optimizer": {"checkpoint", "gate", "groups", "guards", "regions", "runtime", "state", "structures"},
    "calls": {"gate", "groups", "regions", "runtime", "state"},
    "cpu": {
        "calls",
        "gate",
        "groups",
        "guards",
        "optimizer",
        "regions",
        "runtime",
        "schedules",
        "state",
        "structures",
        "trends",
    },
}
"""The rooms of the bindings, and which others each may include. cuda/bindings may include all but the CPU's."""


def test_rooms_of_the_bindings_include_one_way() -> None:
    bindings = ROOT / "cpp" / "bindings"
    assert {path.name for path in bindings.iterdir() if path.is_dir()} == set(ROOMS)
    sources = [(path, ROOMS[path.parent.name] | {path.parent.name}) for path in bindings.glob("*/*.?pp")]
    sources += [(path, set(ROOMS) - {"cpu"}) for path in (ROOT / "cuda" / "bindings").glob("*.?pp")]
    assert len(sources) > 60
    for path, allowed in sources:
        rooms = set(re.findall(r'#include "(\w+)/', path.read_text())) - {"adamcore"}
        assert rooms <= allowed, (path, rooms - allowed)


def test_what_both_modules_share_knows_neither_numpy_nor_cuda() -> None:
    shared = [p for name in ("view", "foreign", "dlpack*") for p in (ROOT / "cpp/bindings/gate").glob(f"{name}.?pp")]
    gate = [p for name in ("device_array", "interface") for p in (ROOT / "cuda/bindings").glob(f"{name}.?pp")]
    assert len(shared) == 7
    assert len(gate) == 4
    for path in [*shared, *gate]:
        included = re.findall(r'#include [<"](.+)[>"]', path.read_text())
        assert not [i for i in included if i in ("pybind11/numpy.h", "gate/arrays.hpp") or "cuda" in i], path


def test_engines_name_no_rule_and_rules_no_dtype() -> None:
    declaration = re.compile(r"^struct (\w+).*\n    static constexpr auto name", re.MULTILINE)
    rules = {
        name for path in (HEADERS[0] / "adamcore/rules").glob("*.hpp") for name in declaration.findall(path.read_text())
    }
    assert {"AdamW", "Sgd", "RmsProp", "Adagrad"} <= rules
    engines = [HEADERS[0] / "adamcore/cpu", HEADERS[1] / "adamcore/cuda", ROOT / "cpp/src", ROOT / "cuda/src"]
    for path in [path for folder in engines for path in folder.rglob("*.[hc]*")]:
        assert not rules & set(re.findall(r"\w+", path.read_text())), path
    for path in (HEADERS[0] / "adamcore/rules").glob("*.hpp"):
        assert not re.search(r"\b(Dtype|Isa|cpu|__m\d+|_mm\w*)\b", path.read_text()), path
    for path in [path for folder in (*HEADERS, *engines[2:]) for path in folder.rglob("*.[hc]*")]:
        assert "pybind11" not in path.read_text(), path
