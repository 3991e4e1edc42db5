"""Schedules as text: it is parsed, and nothing in it is evaluated."""

from __future__ import annotations

import pytest

from adamcore import schedules as s
from adamcore._cli.schedule_text import TextError, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WSD(1e-3, steps=1000, warmup=50, decay=200)", s.WSD(1e-3, steps=1000, warmup=50, decay=200)),
        ("  Constant(-0.1)  ", s.Constant(-0.1)),
        ("Constant(+3)", s.Constant(3)),
        ("Constant(2 * 0.5 + 1)", s.Constant(2.0)),
        ("MultiStep(.1, [30, 30, 80])", s.MultiStep(0.1, [30, 30, 80])),
        ("MultiStep(.1, (30, 80), gamma=.5)", s.MultiStep(0.1, [30, 80], gamma=0.5)),
        ('Interpolate([(0, 1), (9, 2)], "cosine")', s.Interpolate([(0, 1), (9, 2)], "cosine")),
        ("Exponential(1, .9, staircase=True, end=None)", s.Exponential(1, 0.9, staircase=True)),
        ("2 * Linear(1, steps=9) + Constant(3)", 2 * s.Linear(1, steps=9) + s.Constant(3)),
        ("Linear(1, steps=9) * Linear(2, steps=3)", s.Linear(1, steps=9) * s.Linear(2, steps=3)),
        (
            "Cosine(.1, steps=9).clip(.01, .09).shift(3).stretch(2).every(4).then(Constant(0), at=50)",
            s.Cosine(0.1, steps=9).clip(0.01, 0.09).shift(3).stretch(2).every(4).then(s.Constant(0), at=50),
        ),
        ("Warmup(\n  Cosine(.1, steps=9),\n  steps=3,\n)", s.Warmup(s.Cosine(0.1, steps=9), steps=3)),
        (
            "ReduceOnPlateau(.1, detector=Plateau(30, tol=.01))",
            s.ReduceOnPlateau(0.1, detector=s.Plateau(30, tol=0.01)),
        ),
    ],
)
def test_text_makes_the_schedule_that_python_would_make(text, expected):
    assert parse(text) == expected
    assert parse(repr(expected)) == expected


ALLOWED = "only schedules, numbers, strings, lists, True, False, None, + and * can be used"


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("Cosin(1, steps=3)", "unknown schedule 'Cosin'; did you mean 'Cosine'?", "Cosin"),
        ("Constant(x)", "unknown schedule 'x'", "x"),
        ("Constant(__import__('os').getpid())", "the methods of a schedule are clip, shift, stretch", "getpid"),
        ("__import__('os')", "unknown schedule '__import__'", "__import__"),
        ("Schedule()", "unknown schedule 'Schedule'", "Schedule"),
        ("Constant(1).__class__", ALLOWED, "Constant(1).__class__"),
        ("Constant(1).to_dict()", "the methods of a schedule are clip, shift, stretch, every, then", "to_dict"),
        ("Constant(1).clp(1)", "every, then; did you mean 'clip'?", "clp"),
        ("(1).clip(2)", "only a schedule has the method clip", "1"),
        ("Constant(1) - 1", ALLOWED, "Constant(1) - 1"),
        ("Constant(2 ** 3)", ALLOWED, "2 ** 3"),
        ("Constant([1 for _ in [1]])", ALLOWED, "[1 for _ in [1]]"),
        ("Constant(lambda: 1)", ALLOWED, "lambda: 1"),
        ("Constant(f'{1}')", ALLOWED, "f'{1}'"),
        ("Constant({1: 2})", ALLOWED, "{1: 2}"),
        ("Constant(1j)", ALLOWED, "1j"),
        ("Constant(b'x')", ALLOWED, "b'x'"),
        ("Constant(...)", ALLOWED, "..."),
        ("Constant(not 1)", ALLOWED, "not 1"),
        ("Constant(~1)", ALLOWED, "~1"),
        ("Constant(*[1])", ALLOWED, "*[1]"),
        ("Constant(**Constant(1))", "** cannot be used", "Constant(1)"),
        ("Cosine(.1, steps=10, start=.2, steps=3)", "steps is given twice", "steps=3"),
        ("(Constant)(Constant)", "Constant needs arguments in brackets", "Constant"),
        ("Constant(1)(2)", ALLOWED, "Constant(1)"),
        ("MultiStep(1, [1] * 9)", "only schedules and numbers can be added and multiplied", "[1]"),
        ("'a' + Constant(1)", "only schedules and numbers can be added and multiplied", "'a'"),
        ("True * Constant(1)", "only schedules and numbers can be added and multiplied", "True"),
        ("-Constant(1)", "only a number can have a sign", "-Constant(1)"),
        ("Cosine(1)", "Cosine missing 1 required keyword-only argument: 'steps'", "Cosine(1)"),
        ("2 * Cosine(1, steps=0)", "Cosine: steps must be a number > 0, got 0", "Cosine(1, steps=0)"),
        ("Constant(1).every(0)", "Every: n must be a number > 0, got 0", "Constant(1).every(0)"),
        ("Constant(nan)", "Constant: value must be a finite number, got nan", "Constant(nan)"),
        ("Constant(1e308 * 1e308)", "the number is too large", "1e308 * 1e308"),
        ("0.1", "this is a value and not a schedule, such as Constant(0.1)", "0.1"),
        ("Plateau(20)", "this is a value and not a schedule, such as Constant(0.1)", "Plateau(20)"),
        ("Constant('é', ü)", "unknown schedule 'ü'", "ü"),
        ("Cosine(1 2)", "this is not a schedule: invalid syntax", "1"),
    ],
)
def test_anything_else_is_refused_and_pointed_at(text, message, marked):
    with pytest.raises(TextError) as caught:
        parse(text)
    reason, line, marks = str(caught.value).split("\n")
    assert message in reason
    assert line == f"  {text}"
    begin = marks.index("^")
    assert line[begin : begin + len(marked)] == marked
    if "not a schedule: " not in reason:  # which characters Python points at depends on its version
        assert marks[begin:] == "^" * len(marked)


@pytest.mark.parametrize("text", ["", "Constant(", "Constant(1", "Constant(1))", "\0", "Constant(1); 2", "x = 1"])
def test_broken_text_is_refused(text):
    with pytest.raises(TextError, match="this is not a schedule"):
        parse(text)


def test_the_line_with_the_error_is_shown():
    with pytest.raises(TextError) as caught:
        parse("Warmup(\n  Cosine(0.1,\n    steps=0),\n  steps=3)")
    assert str(caught.value).split("\n")[1:] == ["    Cosine(0.1,", "    ^^^^^^^^^^^"]


@pytest.mark.parametrize("text", ["(" * 5000 + ")" * 5000, "-" * 50_000 + "1", "Constant(1)" + "+1" * 50_000])
def test_deep_nesting_is_refused(text):
    with pytest.raises(TextError, match=r"nested too deeply|not a schedule"):
        parse(text)
