"""Problems and rules that are named on the command line."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import adamcore as ac
from adamcore import optimizers
from adamcore._checks.suggestions import did_you_mean

DIGITS = "digits"


class UsageError(Exception):
    """What was named on the command line cannot be used. The message says why."""


def load_problem(text: str) -> Any:
    """Return the problem of ``MODULE[:NAME]``: a module or a Python file, or an object in it.

    "digits" is adamcore's own, unless there is a file of this name here.
    """
    place, colon, name = text.rpartition(":") if ":" in text[2:] else (text, "", "")
    module = _import(place)
    if not colon:
        return module
    if not hasattr(module, name):
        names = [key for key in vars(module) if not key.startswith("_")]
        raise UsageError(f"{place} has no {name!r}{did_you_mean(name, names)}")
    found = getattr(module, name)
    return found() if isinstance(found, type) else found


def _import(place: str) -> Any:
    path = Path(place)
    if path.suffix == ".py":
        return _import_file(path)
    if place == DIGITS and not Path(f"{DIGITS}.py").exists():
        return importlib.import_module("adamcore._cli.digits")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise UsageError(f"{place} needs {error.name}, which is not installed") from error
        raise UsageError(f"there is no module {place!r}; name a module, or a file that ends in .py") from None
    except (SyntaxError, TypeError, ValueError) as error:
        raise UsageError(f"{place} cannot be imported: {error}") from error


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise UsageError(f"{path} cannot be imported: {error}") from error
    return module


def read_rules(text: str, rates: list[float] | None) -> dict[str, list[Callable[[Any], ac.Optimizer]]]:
    """Return what makes the optimizers that are named, such as ``adamw, sgd(momentum=0.9)``, with each of the rates.

    Without rates, each rule has its default. A rule with a rate of its own, ``sgd(lr=0.1)``, has no other.
    """
    try:
        items = ast.parse(f"({text},)", mode="eval").body
    except SyntaxError:
        raise UsageError(f"--rules: expected names such as adamw,sgd(momentum=0.9), got {text!r}") from None
    found: dict[str, list[Callable[[Any], ac.Optimizer]]] = {}
    for item in items.elts if isinstance(items, ast.Tuple) else []:
        name, make, options = _read_rule(item)
        own = "lr" in options or rates is None
        found[name] = [partial(make, **options)] if own else [partial(make, lr=rate, **options) for rate in rates or ()]
    if not found:
        raise UsageError(f"--rules: expected names such as adamw,sgd(momentum=0.9), got {text!r}")
    return found


def _read_rule(item: ast.expr) -> tuple[str, Callable[..., ac.Optimizer], dict[str, Any]]:
    name = item.func if isinstance(item, ast.Call) else item
    if not isinstance(name, ast.Name) or (isinstance(item, ast.Call) and item.args):
        raise UsageError(f"--rules: expected a name such as sgd or sgd(momentum=0.9), got {ast.unparse(item)!r}")
    by_lower = {known.lower(): known for known in _rules()}
    known = by_lower.get(name.id.lower())
    if known is None:
        hint = did_you_mean(name.id.lower(), by_lower)
        raise UsageError(f"--rules: there is no rule {name.id!r}{hint}; there are {', '.join(by_lower)}")
    keywords = item.keywords if isinstance(item, ast.Call) else []
    try:
        options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in keywords}
    except ValueError:
        raise UsageError(f"--rules: {ast.unparse(item)}: options must be numbers, texts or True") from None
    shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f"{known}({shown})" if shown else known, getattr(ac, known), options


def _rules() -> list[str]:
    return [name for name in dir(optimizers) if isinstance(getattr(optimizers, name), type)]
