"""``python -m adamcore schedule``, and ``Schedule.plot``."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from adamcore import __main__ as cli
from adamcore import schedules as s

WSD = "WSD(1e-3, steps=1000, warmup=50, decay=200)"


def run(*arguments, cwd, code=None, **environment):
    command = [sys.executable, *(["-c", code] if code else ["-m", "adamcore", "schedule", *map(str, arguments)])]
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=60, check=False)


def show(capsys, *arguments):
    assert cli.main(["schedule", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def table(lines):
    rows = lines[len(lines) - lines[::-1].index("") :]
    assert rows[0].split() == ["t", "value"]
    return [tuple(row.split()) for row in rows[1:]]


def test_a_plot_and_the_breakpoints_are_printed(capsys):
    lines = show(capsys, WSD)
    assert lines[:2] == [repr(s.WSD(1e-3, steps=1000, warmup=50, decay=200)), ""]
    assert table(lines) == [("0", "2e-05"), ("49", "0.001"), ("800", "0.001"), ("1000", "0")]
    assert max(map(len, lines)) <= 80
    assert any("┤   ╭──" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "Constant(0.1)",
        "Constant(0)",
        "Constant(-1e-300)",
        "Linear(-1e300, 1e300, steps=9)",
        "Cosine(1e-12, steps=3)",
        "StepDecay(1, every=1)",
        "Exponential(1, 1e-5)",
        "CosineRestarts(1, period=1e9, mult=3)",
        "Interpolate([(0, 1)])",
        "Constant(1).shift(1e300)",
        "MultiStep(123456789.125, [0.5, 1.25])",
    ],
)
def test_any_schedule_fits_80_columns(text, capsys):
    lines = show(capsys, text)
    assert max(map(len, lines)) <= 80
    assert 20 < len(lines) <= 35


def test_steps_are_those_that_are_asked_for(capsys):
    rows = table(show(capsys, WSD, "--steps", "400"))
    assert rows == [
        ("0", "2e-05"),
        ("49", "0.001"),
        ("100", "0.001"),
        ("200", "0.001"),
        ("300", "0.001"),
        ("400", "0.001"),
    ]


def test_long_tables_are_cut(capsys):
    rows = table(show(capsys, "StepDecay(1, every=10)", "--steps", "1000"))
    assert len(rows) == 12
    assert (rows[9], rows[10], rows[11][0]) == (("90", "1e-09"), ("...",), "1000")


def test_every_peak_is_drawn(capsys):
    # There are two peaks in each column, and none where a column begins.
    lines = show(capsys, "Cyclic(0, 1, up=7, down=9)", "--steps", "999")
    assert lines[2].lstrip().startswith("1 ┤")


def test_without_unicode_the_lines_are_ascii(tmp_path):
    done = run(WSD, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "0.001 +   .----" in done.stdout


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG\r\n\x1a\n"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")])
def test_out_saves_a_picture(name, magic, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    assert show(capsys, WSD, "--out", str(path)) == [f"Picture: {path}"]
    assert path.read_bytes().startswith(magic)
    assert 2000 < path.stat().st_size < 200_000


@pytest.mark.parametrize(("name", "reason"), [("no/a.png", "No such file"), ("a.txt", "must end in one of .png")])
def test_what_cannot_be_written_is_refused(name, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["schedule", WSD, "--out", name]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"adamcore schedule: cannot write {name}: ")
    assert reason in shown.err
    assert not any(tmp_path.iterdir())


def test_bad_text_is_a_usage_error(capsys):
    assert cli.main(["schedule", "Cosine(0.1, steps=0)"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "adamcore schedule: Cosine: steps must be a number > 0, got 0",
        "  Cosine(0.1, steps=0)",
        "  ^^^^^^^^^^^^^^^^^^^^",
    ]


@pytest.mark.parametrize("text", ["-1*Linear(.1,steps=3)", "-1 * Linear(.1, steps=3)", "-.5*Constant(1)"])
def test_text_may_begin_with_a_sign(text, capsys):
    assert show(capsys, text, "--steps", "3")[0].startswith("Product(-")
    assert show(capsys, "--steps=3", text)[0].startswith("Product(-")
    assert cli.main(["schedule", "-Constant(1)"]) == 2
    assert "only a number can have a sign" in capsys.readouterr().err


def test_values_that_are_not_finite_are_named(capsys):
    assert cli.main(["schedule", "Constant(1e308) * 9"]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "adamcore schedule: the value at t = 0 is inf\n")


@pytest.mark.parametrize("steps", ["0", "-3", "many", "1.5"])
def test_bad_steps_are_a_usage_error(steps, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["schedule", WSD, "--steps", steps])
    assert "argument --steps: expected a whole number, 1 or more" in capsys.readouterr().err


def test_only_pictures_need_extras_and_say_which(tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["sklearn", "rich", "matplotlib", "threadpoolctl"]))
from adamcore import schedules
from adamcore.__main__ import main
assert main(["schedule", {WSD!r}]) == 0
assert main(["schedule", {WSD!r}, "--out", "a.png"]) == 1
schedules.Constant(1).plot(10)
"""
    done = run(cwd=tmp_path, code=code)
    first, *_, last = done.stderr.splitlines()
    assert first == 'adamcore schedule: a picture needs matplotlib: pip install "adamcore[plot]"'
    assert last == 'ModuleNotFoundError: plot needs matplotlib: pip install "adamcore[plot]"'
    assert not any(tmp_path.iterdir())


@pytest.fixture
def axes():
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    return Figure().subplots()


def test_plot_draws_every_step_and_breakpoint(axes):
    schedule = s.MultiStep(0.1, [30.5, 80])
    assert schedule.plot(100, ax=axes) is axes
    (line,) = axes.get_lines()
    t, values = line.get_data()
    assert set(np.arange(101)) <= set(t)
    assert 30.5 in t
    assert list(values) == [schedule(x) for x in t]
    assert axes.get_title(loc="left") == repr(schedule)
    assert axes.get_xlim() == (0, 100)


def test_a_long_plot_has_few_points_and_all_breakpoints(axes):
    schedule = s.MultiStep(0.1, [123_457])
    schedule.plot(10**7, ax=axes)
    t = axes.get_lines()[0].get_data()[0]
    assert len(t) < 20_000
    assert {123_456, 123_457, 10**7} <= set(t)


def test_plot_makes_a_figure():
    plt = pytest.importorskip("matplotlib.pyplot")
    with plt.rc_context({"backend": "agg"}):
        axes = s.Constant(1).plot(10)
        plt.close(axes.figure)


class Stepped(s.Schedule):
    """Takes numbers only."""

    def __call__(self, t):
        return 1.0 if t < 3 else 0.5


class Fixed(s.Schedule):
    """Returns one number whatever it gets."""

    def __call__(self, _t):
        return 0.25


class Cosine(s.Schedule):
    """Has the name of a family."""

    def __call__(self, t):
        assert isinstance(t, int)
        return t


@pytest.mark.parametrize("schedule", [Stepped(), Fixed(), Cosine(), Stepped() * 2, Fixed().shift(2)], ids=repr)
def test_plot_draws_users_classes(schedule, axes):
    schedule.plot(5, ax=axes)
    t, values = axes.get_lines()[0].get_data()
    assert list(t) == [0, 1, 2, 3, 4, 5]
    assert list(values) == [schedule(i) for i in range(6)]


def test_plot_names_a_class_that_returns_no_number(axes):
    class Complex(s.Schedule):
        def __call__(self, t):
            return np.complex128(t)

    with pytest.raises(TypeError, match="Complex: its value must be a number, got "):
        Complex().plot(5, ax=axes)


def test_plot_refuses_what_is_no_axes():
    with pytest.raises(TypeError, match="plot: ax must be axes of Matplotlib or None, got 3"):
        s.Constant(1).plot(10, ax=3)


@pytest.mark.parametrize("steps", [0, -1, 1.5, "10", None])
def test_plot_refuses_bad_steps(steps, axes):
    with pytest.raises((TypeError, ValueError), match="plot: steps must be an int >= 1, got"):
        s.Constant(1).plot(steps, ax=axes)
    assert not axes.get_lines()
