"""Schedules that are written as text. The text is parsed and never evaluated, so it can only make schedules."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any, NoReturn

from adamcore._checks.suggestions import did_you_mean
from adamcore.schedules import Schedule
from adamcore.schedules._described import known, known_names

METHODS = ("clip", "shift", "stretch", "every", "then")
_ALLOWED = "only schedules, numbers, strings, lists, True, False, None, + and * can be used"


class TextError(Exception):
    """The text is no schedule. The message says why, and shows where."""


def parse(text: str) -> Schedule:
    """Return the schedule that `text` describes.

    Parameters
    ----------
    text : str
        An expression of Python's: registered schedules with arguments, numbers, strings, lists, tuples, True, False,
        None, ``-``, ``*``, ``+``, and the methods in `METHODS`.

    Raises
    ------
    TextError
        If there is anything else in `text`, or a constructor refuses its arguments.
    """
    return _Parser(text.strip()).run()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text

    def run(self) -> Schedule:
        try:
            tree = ast.parse(self._text, mode="eval").body
            value = self._value(tree)
        except SyntaxError as error:
            line, column = error.lineno or 1, (error.offset or 1) - 1
            raise TextError(self._point(f"this is not a schedule: {error.msg}", line, column, column + 1)) from None
        except (RecursionError, MemoryError):
            raise TextError("the text is nested too deeply") from None
        except ValueError as error:  # null bytes, before Python 3.12
            raise TextError(f"this is not a schedule: {error}") from None
        if not isinstance(value, Schedule):
            self._refuse(tree, "this is a value and not a schedule, such as Constant(0.1)")
        return value

    def _value(self, node: ast.expr) -> Any:
        kinds: dict[type, Callable[[Any], Any]] = {
            ast.BinOp: self._combined,
            ast.Call: self._called,
            ast.Constant: self._constant,
            ast.List: lambda node: [self._value(element) for element in node.elts],
            ast.Name: self._named,
            ast.Tuple: lambda node: tuple(self._value(element) for element in node.elts),
            ast.UnaryOp: self._signed,
        }
        value = kinds.get(type(node))
        return value(node) if value else self._refuse(node, _ALLOWED)

    def _constant(self, node: ast.Constant) -> Any:
        if node.value is not None and not isinstance(node.value, (bool, int, float, str)):
            self._refuse(node, _ALLOWED)
        return node.value

    def _named(self, node: ast.Name) -> float:
        if node.id not in ("inf", "nan"):
            self._refuse(node, self._unknown(node.id))
        return float(node.id)  # constructors say which argument cannot be that

    def _signed(self, node: ast.UnaryOp) -> float:
        value = self._value(node.operand)
        if not isinstance(node.op, (ast.USub, ast.UAdd)):
            self._refuse(node, _ALLOWED)
        if not _is_number(value):
            self._refuse(node, "only a number can have a sign")
        number: float = -value if isinstance(node.op, ast.USub) else value
        return number

    def _combined(self, node: ast.BinOp) -> Any:
        if not isinstance(node.op, (ast.Add, ast.Mult)):
            self._refuse(node, _ALLOWED)
        a, b = self._value(node.left), self._value(node.right)
        for operand, value in ((node.left, a), (node.right, b)):
            if not isinstance(value, Schedule) and not _is_number(value):
                self._refuse(operand, "only schedules and numbers can be added and multiplied")
        return self._made(node, lambda: a + b if isinstance(node.op, ast.Add) else a * b)

    def _called(self, node: ast.Call) -> Any:
        make = self._function(node.func)
        arguments = [self._value(argument) for argument in node.args]
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse(keyword.value, "** cannot be used")
            if keyword.arg in named:
                self._refuse(keyword, f"{keyword.arg} is given twice")
            named[keyword.arg] = self._value(keyword.value)
        return self._made(node, lambda: make(*arguments, **named))

    def _function(self, node: ast.expr) -> Callable[..., Any]:
        if isinstance(node, ast.Name):
            if node.id not in known_names():
                self._refuse(node, self._unknown(node.id))
            made: Callable[..., Any] = known(node.id)
            return made
        if not isinstance(node, ast.Attribute):
            self._refuse(node, _ALLOWED)
        if node.attr not in METHODS:
            hint = did_you_mean(node.attr, METHODS)
            self._refuse(node, f"the methods of a schedule are {', '.join(METHODS)}{hint}", last=node.attr)
        owner = self._value(node.value)
        if not isinstance(owner, Schedule):
            self._refuse(node.value, f"only a schedule has the method {node.attr}")
        method: Callable[..., Any] = getattr(owner, node.attr)
        return method

    def _made(self, node: ast.expr, make: Callable[[], Any]) -> Any:
        try:
            value = make()
        except (TypeError, ValueError, OverflowError) as error:
            self._refuse(node, str(error).replace(".__init__()", ""))
        if isinstance(value, float) and not math.isfinite(value):
            self._refuse(node, "the number is too large")
        return value

    def _unknown(self, name: str) -> str:
        if name in known_names():
            return f"{name} needs arguments in brackets"
        return f"unknown schedule {name!r}{did_you_mean(name, known_names())}"

    def _refuse(self, node: ast.expr | ast.keyword, message: str, *, last: str = "") -> NoReturn:
        """Point at `node`, or at the name that it ends with."""
        line, begin, end = node.lineno, node.col_offset, node.end_col_offset or 0
        if last:
            line, begin = node.end_lineno or line, end - len(last.encode())
        shown = self._text.split("\n")[line - 1].encode()  # the syntax tree counts bytes
        if node.end_lineno != line:
            end = len(shown)
        raise TextError(self._point(message, line, len(shown[:begin].decode()), len(shown[:end].decode())))

    def _point(self, message: str, line: int, begin: int, end: int) -> str:
        lines = self._text.split("\n")
        shown = lines[line - 1] if line <= len(lines) else ""
        return f"{message}\n  {shown}\n  {' ' * begin}{'^' * max(end - begin, 1)}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
