"""The rooms of python/adamcore and what each may import, and limits on the size of folders and files."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from places import ROOT

PACKAGE = ROOT / "python" / "adamcore"

LAYERS = [
    {"_core", "_cuda"},  # the compiled modules
    {"_checks"},
    {"step_stats"},
    {"step_info"},
    {"_arrays", "_files", "precision", "schedules"},
    {"_early_stopping", "_guards", "_history", "_scaling"},
    {"loss_scaler"},
    {"_build", "_parts", "norms"},
    {"_curvature", "_state_dicts"},
    {"_checkpoints"},
    {"optimizer"},
    {"optimizers"},
    {"averages", "distributed", "functional", "monitor"},
    {"escape", "thinc", "torch"},
    {"training"},
    {"__init__"},
    {"_cli"},
    {"__main__"},
]
"""Folders and files of the package, the lowest first: each imports from layers below its own, and from itself. Some do
not exist yet; their places are decided: CONTRIBUTING says what will be in them."""

LAYER_OF = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> dict[str, Path]:
    """All modules of the package by name, "adamcore." left out."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
COMPILED = {"_core", "_cuda"}


def imports_of(path: Path) -> Iterator[str]:
    """The package's modules that a file imports anywhere: in functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (module_of(name) for name in names if name.split(".")[0] == "adamcore")


def module_of(name: str) -> str:
    """The module that a dotted name is, or is in."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in MODULES or module in COMPILED:
            return module
    return "__init__"


def room_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def test_every_module_is_in_a_room() -> None:
    assert {room_of(module) for module in MODULES} <= set(LAYER_OF)
    assert sum(len(rooms) for rooms in LAYERS) == len(LAYER_OF), "a room is in one layer"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    own = room_of(module)
    for imported in imports_of(MODULES[module]):
        room = room_of(imported)
        assert room == own or LAYER_OF[room] < LAYER_OF[own], f"{module} imports {imported}"


def test_there_is_no_circle() -> None:
    graph = {module: set(imports_of(path)) - {module} for module, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("tree", ["python", "cpp", "cuda"])
def test_folders_and_files_are_small(tree: str) -> None:
    files = [path for path in (ROOT / tree).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for folder in {path.parent for path in files}:
        inside = [path for path in files if path.parent == folder]
        assert len(inside) <= 20, f"{folder.relative_to(ROOT)} has {len(inside)} files"
    for path in files:
        length = len(path.read_text().splitlines())
        assert length <= 350, f"{path.relative_to(ROOT)} has {length} lines"
