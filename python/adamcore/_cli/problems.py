"""Problems and rules that are named on the command line."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import sysconfig
import traceback
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
    module = _guarded(place, lambda: _import(place))
    return _object_in(module, place, name) if colon else module


def described(error: BaseException) -> str:
    """Return what an error is and says, and where in the user's own files it was raised."""
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, SyntaxError):  # it says where
        return text
    ours = (str(Path(ac.__file__).parent), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "<")
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else text


def _guarded(place: str, load: Callable[[], Any]) -> Any:
    """Return what `load` returns, or raise UsageError for whatever the user's code raises."""
    try:
        return load()
    except UsageError:
        raise
    except SystemExit as error:
        raise UsageError(
            f"{place} ends the program when it is imported; put what it does as a script under: "
            'if __name__ == "__main__":'
        ) from error
    except Exception as error:
        raise UsageError(f"{place} cannot be imported: {described(error)}") from error


def _object_in(module: Any, place: str, name: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = [key for key in dir(found) if not key.startswith("_")]
            raise UsageError(f"{place} has no {name!r}{did_you_mean(part, names)}")
        found = getattr(found, part)
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:
        raise UsageError(
            f"{place}:{name} is a class, and {name}() does not work: {described(error)}; name an object of it"
        ) from error


def _import(place: str) -> Any:
    path = Path(place)
    if path.suffix == ".py":
        return _import_file(path)
    if place == DIGITS and not Path(f"{DIGITS}.py").exists():
        return importlib.import_module("adamcore._cli.digits")
    unknown = UsageError(f"there is no module {place!r}; name a module, or a file that ends in .py")
    if not place or place.startswith("."):
        raise unknown
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise UsageError(f"{place} needs {error.name}, which is not installed") from error
        raise unknown from None


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    is_taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    spec = importlib.util.spec_from_file_location(f"problem.{path.stem}" if is_taken else path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{path} needs {error.name}, which is not installed") from error
    except ImportError as error:
        if "no known parent package" not in str(error):
            raise
        return _import_of_package(path)
    return module


def _import_of_package(path: Path) -> Any:
    """Import a file that has relative imports as a module of the package in whose folder it is."""
    names, folder = [path.stem], path.resolve().parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if len(names) == 1:
        raise UsageError(f"{path} has relative imports, but its folder is no package: it has no __init__.py")
    sys.path.insert(0, str(folder))
    return importlib.import_module(".".join(names))


def read_rules(
    text: str, rates: list[float] | None, *, option: str = "--rules"
) -> dict[str, list[Callable[[Any], ac.Optimizer]]]:
    """Return what makes the optimizers that are named, such as ``adamw, sgd(momentum=0.9)``, with each of the rates.

    Without rates, each rule has its default. A rule with a rate of its own, ``sgd(lr=0.1)``, has no other.
    """
    try:
        items = ast.parse(f"({text},)", mode="eval").body
        compile(f"({text},)", option, "eval")  # which finds arguments that are given twice
    except SyntaxError:
        raise UsageError(f"{option}: expected names such as adamw,sgd(momentum=0.9), got {text!r}") from None
    found: dict[str, list[Callable[[Any], ac.Optimizer]]] = {}
    for item in items.elts if isinstance(items, ast.Tuple) else []:
        name, make, options = _read_rule(item, option)
        if name in found:
            raise UsageError(f"{option}: {name} is named twice")
        own = "lr" in options or rates is None
        found[name] = [partial(make, **options)] if own else [partial(make, lr=rate, **options) for rate in rates or ()]
    if not found:
        raise UsageError(f"{option}: expected names such as adamw,sgd(momentum=0.9), got {text!r}")
    return found


def _read_rule(item: ast.expr, option: str) -> tuple[str, Callable[..., ac.Optimizer], dict[str, Any]]:
    name = item.func if isinstance(item, ast.Call) else item
    if not isinstance(name, ast.Name) or (isinstance(item, ast.Call) and item.args):
        raise UsageError(f"{option}: expected a name such as sgd or sgd(momentum=0.9), got {ast.unparse(item)!r}")
    by_lower = {known.lower(): known for known in _rules()}
    known = by_lower.get(name.id.lower())
    if known is None:
        hint = did_you_mean(name.id.lower(), by_lower)
        raise UsageError(f"{option}: there is no rule {name.id!r}{hint}; there are {', '.join(by_lower)}")
    keywords = item.keywords if isinstance(item, ast.Call) else []
    try:
        options = {_name(keyword): ast.literal_eval(keyword.value) for keyword in keywords}
    except ValueError:
        raise UsageError(f"{option}: {ast.unparse(item)}: options must be numbers, texts or True") from None
    shown = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f"{known}({shown})" if shown else known, getattr(ac, known), options


def _name(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError("**options have no name")
    return keyword.arg


def _rules() -> list[str]:
    return [name for name in dir(optimizers) if isinstance(getattr(optimizers, name), type)]
