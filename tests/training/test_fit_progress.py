"""What `fit` shows while it goes on: nothing, lines, or a bar on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import adamcore as ac
from fitting import Regression, adam, diverging, sgd
from places import TESTS


def test_nothing_is_printed(capfd):
    ac.fit(Regression(), adam, epochs=2, monitor=True, progress=None)
    ac.fit(Regression(), adam, epochs=2, monitor=True, progress=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progress", ["lines", "auto", True])
def test_a_line_at_each_validation(progress, capfd):
    ac.fit(Regression(), adam, epochs=2, progress=progress)
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["step 7", "step 14"]
    assert all("loss " in line and "val_loss " in line for line in err.splitlines())


def test_findings_are_shown(capfd):
    with np.errstate(all="ignore"):
        run = ac.fit(Regression(), diverging, epochs=40, monitor=True, progress="lines")
    shown = capfd.readouterr().err
    assert run.findings
    assert all(str(finding) in shown for finding in run.findings)


BAR = """
import sys
import adamcore as ac
from fitting import Regression, sgd

error = ac.fit(Regression(), sgd, epochs=2, callbacks=[lambda run: run.step == 9 and print("[red]out")])
assert error.ended == "epochs"
try:
    ac.fit(Regression(), sgd, steps=3, callbacks=[lambda run: 1 / 0])
except ZeroDivisionError:
    print("raised")
inner = lambda run: run.step == 2 and ac.fit(Regression(), sgd, steps=3)
ac.fit(Regression(), sgd, steps=4, callbacks=[inner])
print("live" if sys.stderr.isatty() else "dead")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("has_rich", [True, False])
def test_a_bar_on_a_terminal(has_rich):
    """It is taken away at the end, also after an error; and without rich, there are lines."""
    if has_rich:
        pytest.importorskip("rich")
    import pty

    hide = "" if has_rich else "import sys\nsys.modules['rich'] = None\nimport importlib.util as u\n" + HIDE
    controller, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", hide + BAR],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        cwd=TESTS,
        check=False,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "90"},
        timeout=60,
    )
    os.close(terminal)
    shown = read_all(controller)
    assert done.returncode == 0, shown
    assert "step 7: loss" in shown
    assert "step 14: loss" in shown
    hidden, again = "\x1b[?25l", "\x1b[?25h"
    assert shown.count(hidden) == shown.count(again)
    assert (hidden in shown) == has_rich
    assert done.stdout.splitlines()[-2:] == ["raised", "live"]


HIDE = """
found = u.find_spec
u.find_spec = lambda name, *more: None if name.partition(".")[0] == "rich" else found(name, *more)
"""


def read_all(descriptor):
    read = b""
    while True:
        try:
            more = os.read(descriptor, 65536)
        except OSError:  # Linux's way to say that it was the end
            break
        if not more:
            break
        read += more
    os.close(descriptor)
    return read.decode()


def test_a_bar_needs_rich(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ModuleNotFoundError, match=r'fit: progress="bar" needs rich: pip install'):
        ac.fit(Regression(), sgd, steps=3, progress="bar")
