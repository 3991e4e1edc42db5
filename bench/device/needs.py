"""Say in one line what a build lacks of what pyproject.toml asks for: python bench/device/needs.py."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def required() -> dict[str, str]:
    """Return the build's requirements: the least version of each."""
    line = re.search(r"^\[build-system\]\nrequires = \[(.*)\]$", PYPROJECT.read_text(), re.MULTILINE)
    assert line is not None
    return dict(re.findall(r'"([\w-]+)>=([\d.]+)"', line[1]))


def lacking(name: str, least: str) -> str | None:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} {least} is not installed"
    return None if _numbers(version) >= _numbers(least) else f"{name} is {version}, and {least} or newer is needed"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]


def main() -> None:
    found = [reason for name, least in required().items() if (reason := lacking(name, least))]
    if found:
        sys.exit("needed: " + "; ".join(found))


if __name__ == "__main__":
    main()
