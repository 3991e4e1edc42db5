"""What type checkers report about uses of the package, and whether signatures match the optimizers."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core, functional, optimizers
from pairs import EXHAUSTIVE

HEAD = """\
import numpy as np
import adamcore as ac
from adamcore import schedules
w, g, m, v = (np.ones(3) for _ in range(4))
opt = ac.AdamW({"w": w})
"""

RIGHT = """\
skipped, grad_norm = opt.step({"w": g})
a: bool = skipped
b: float | None = grad_norm
info = ac.StepInfo(True, 1.0)
c: bool = info.skipped
d: float | None = info.grad_norm
ac.functional.adamw(w, g, m, v, t=1, lr=0.1, betas=(0.8, 0.9))
ac.functional.adamw([w], [g], exp_avg=[m], exp_avg_sq=[v], t=[1])
ac.functional.sgd(w, g, t=1)
ac.functional.rmsprop(w, g, m, v, t=np.int64(3), centered=True)
scaler = ac.LossScaler()
scaler.growth_interval = 5
scaler.scale = 2.0
e: int = scaler.growth_interval
f: float = scaler.backoff_factor
opt.param_groups[0]["lr"] = 0.1
opt.defaults["lr"] = 0.1
cosine = schedules.Cosine(0.1, steps=100, after="mirror")
h: float = cosine(3) + cosine.start
decay: schedules.Schedule = 2 * schedules.StepDecay(0.1, every=3).every(10).shift(2) + cosine
values = decay(np.arange(3)).sum()
schedules.MultiStep(0.1, [3, 4]).then(0.01, at=10)
schedules.Warmup(cosine, steps=3, shape="square")
ac.SGD(w, lr=lambda t: 0.1, clip_norm=1.0, nonfinite="skip")
"""

WRONG = [
    "reveal: str = opt.step({'w': g})[0]",
    "skipped, norm = opt.step({'w': g}); x: float = norm",
    "skipped, norm, more = opt.step({'w': g})",
    "ac.functional.adamw(w, g, m, v, t=1, learning_rate=0.1)",
    "ac.functional.adamw(w, g, m, v)",
    "ac.functional.sgd(w, g, t='first')",
    "ac.functional.adagrad(w, g, m, t=1, momentum=0.9)",
    "ac.functional.adamx(w, g, t=1)",
    "ac.LossScaler().growth_interval = 0.5",
    "ac.LossScaler().growth_intervall = 5",
    "opt.learning_rate = 0.1",
    "opt.lr",
    "schedules.Cosine(0.1, 0.0, 100)",
    "schedules.Cosine(0.1, step=100)",
    "schedules.Cosine(0.1, steps=100, after='bounce')",
    "schedules.Warmup(lambda t: 0.1, steps=3)",
    "schedules.Constant(0.1).value = 0.2",
    "schedules.Constant('0.1')",
    "schedules.Constant(0.1) * 'x'",
    "ac.SGD(w, nonfinite='ignore')",
    "ac.SGD(w, clip=1.0)",
    "opt.state = {}",
]


def mypy(code: str, folder: Path) -> list[str]:
    """Return the lines of code about which mypy reports something."""
    (folder / "use.py").write_text(HEAD + code)
    options = ["--strict", "--no-error-summary", "--python-version", "3.10", "--cache-dir", str(folder / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "use.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes four seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_checkers_know_what_is_right_and_wrong(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy comes with the test extra")
    assert mypy(RIGHT, tmp_path) == []
    said = mypy("\n".join(f"def f{i}() -> None:\n    {line}" for i, line in enumerate(WRONG)), tmp_path)
    first = HEAD.count("\n") + 2
    places = {int(line.split(":")[1]) for line in said if ": error:" in line}
    assert places == {first + 2 * i for i in range(len(WRONG))}, "\n".join(said)


def has_function(name: str) -> bool:
    """Numbers of a whole optimizer belong to no call on arrays."""
    optimizer = getattr(ac, name)
    return not _core.rules()[optimizer._rule(optimizer(np.ones(3)).defaults)]["numbers"]


WITH_FUNCTIONS = [name for name in optimizers.__all__ if has_function(name)]


@pytest.mark.parametrize("name", WITH_FUNCTIONS)
def test_functions_have_the_hyper_parameters_of_their_optimizers(name: str) -> None:
    """One by one, with their defaults and types; and the state of every variant of the rule, by name."""
    shown = inspect.signature(getattr(functional, name.lower())).parameters
    given = inspect.signature(getattr(ac, name).__init__).parameters
    hyper = {k: p for k, p in given.items() if k not in ("self", "params", "options")}
    slots = {s for rule, info in _core.rules().items() if rule.split("_")[0] == name.lower() for s in info["slots"]}
    assert list(shown) == ["p", "g", "state", "t", *hyper, *(k for k in shown if k in slots)]
    assert {k for k in shown if k in slots} == slots
    for key, parameter in hyper.items():
        assert shown[key].default == parameter.default
        assert shown[key].kind is inspect.Parameter.KEYWORD_ONLY
        assert shown[key].annotation == parameter.annotation.replace("Number", "float")
    assert all(shown[slot].default is None for slot in slots)


def test_help_names_the_functions() -> None:
    assert set(functional.__all__) == {"adam_update", *(name.lower() for name in WITH_FUNCTIONS)}
    for name in functional.__all__:
        assert inspect.isfunction(getattr(functional, name))
        assert getattr(functional, name).__doc__


def test_classes_and_functions_are_in_modules_of_their_own() -> None:
    """They stand side by side in the files of families, and are shown apart."""
    assert all(inspect.isclass(getattr(optimizers, name)) for name in optimizers.__all__)
    assert not [name for name in optimizers.__all__ if hasattr(functional, name)]
    assert not [name for name in functional.__all__ if hasattr(optimizers, name)]
    assert [name for name in functional.__all__ if hasattr(ac, name)] == ["adam_update"]


@pytest.mark.parametrize("name", optimizers.__all__)
def test_docstrings_describe_every_argument(name: str) -> None:
    """In the order of the signature, the usual ones too."""
    sections = dict(
        re.findall(r"^(\w+)\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", getattr(ac, name).__doc__, re.DOTALL | re.MULTILINE)
    )
    assert list(sections) == ["Parameters", "Raises", "References", "Examples"]
    given = [p for p in inspect.signature(getattr(ac, name).__init__).parameters.values() if p.name != "self"]
    wanted = [f"**{p.name}" if p.kind is p.VAR_KEYWORD else p.name for p in given]
    assert re.findall(r"^([\w*]+)(?: :|$)", sections["Parameters"], re.MULTILINE) == wanted
