"""The command line: the demo's network, its comparisons, and its output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from adamcore import __main__ as cli
from adamcore import get_num_threads
from adamcore._cli import network, training
from helpers import numeric_gradient
from pairs import EXHAUSTIVE

PNG = b"\x89PNG\r\n\x1a\n"
RULES = pytest.mark.parametrize("rule", training.RULES, ids=lambda rule: rule.name)


@pytest.fixture(scope="module")
def digits():
    return training.read_digits(seed=0)


@pytest.fixture(autouse=True)
def one_thread():
    with training.one_thread():
        yield


def run_cli(*arguments, cwd):
    return run_python("-m", "adamcore", *arguments, cwd=cwd)


def run_python(*arguments, cwd):
    command = [sys.executable, *map(str, arguments)]
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE")}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def last_line(errors):
    # Matplotlib may say first that it is building its cache of fonts.
    return errors.splitlines()[-1]


@pytest.mark.parametrize("name", ["w1", "b1", "w2", "b2"])
def test_gradients_are_the_finite_differences_of_the_loss(name):
    rng = np.random.default_rng(3)
    params = network.init_params(rng, inputs=5, hidden=7, classes=4, dtype=np.float64)
    params = {key: p + 0.1 * rng.standard_normal(p.shape) for key, p in params.items()}
    x, labels = rng.standard_normal((6, 5)), rng.integers(0, 4, 6)
    _, grads = network.loss_and_grads(params, x, labels)

    numeric = numeric_gradient(lambda moved: network.loss_and_grads(moved, x, labels)[0], params, name)
    np.testing.assert_allclose(grads[name], numeric, rtol=1e-6, atol=1e-9)


def test_gradients_have_the_type_and_shape_of_the_parameters(digits):
    params = network.init_params(np.random.default_rng(0), inputs=64, hidden=32, classes=10)
    _, grads = network.loss_and_grads(params, digits.x[:8], digits.labels[:8])
    assert {n: (g.dtype, g.shape) for n, g in grads.items()} == {n: (p.dtype, p.shape) for n, p in params.items()}


def test_softmax_survives_large_logits():
    params = {"w1": np.zeros((2, 3)), "b1": np.full(3, 9.0), "w2": np.full((3, 4), 1e4), "b2": np.arange(4) * 1e4}
    loss, grads = network.loss_and_grads(params, np.ones((5, 2)), np.full(5, 3))
    assert loss == 0
    assert all(np.isfinite(g).all() for g in grads.values())


def test_validation_digits_are_not_trained_on(digits):
    assert (len(digits.x), len(digits.x_held_out)) == (1438, 359)
    assert digits.x.dtype == np.float32
    assert 0 <= digits.x.min() < digits.x.max() <= 1
    everything, repeats = np.unique(np.vstack([digits.x, digits.x_held_out]), axis=0, return_counts=True)
    assert repeats.max() == 1
    assert len(everything) == 1797


@RULES
def test_adamcore_ends_at_the_textbooks_weights(rule, digits):
    core, book = (training.train(make, digits, epochs=10, hidden=128, seed=1) for make in (rule.core, rule.textbook))
    contest = training.Contest(rule.name, core, book)
    assert contest.difference < 5e-5
    np.testing.assert_allclose(core.losses, book.losses, rtol=1e-4)
    assert len(core.losses) == 10
    assert core.losses[-1] < core.losses[0] / 3
    assert core.steps == book.steps == 230


def test_adamw_reads_digits_at_the_defaults():
    defaults = vars(cli._make_parser().parse_args(["demo"]))
    options = {key: defaults[key] for key in ("epochs", "hidden", "seed")}
    run = training.train(training.RULES[0].core, training.read_digits(options["seed"]), **options)
    assert training.RULES[0].name == "AdamW"
    assert run.accuracy > 0.95


def test_the_same_seed_gives_the_same_bits(digits):
    first, again, other = (
        training.train(training.RULES[0].core, digits, epochs=2, hidden=64, seed=seed) for seed in (5, 5, 6)
    )
    assert first.losses == again.losses
    for name, p in first.params.items():
        np.testing.assert_array_equal(p, again.params[name])
    assert first.losses != other.losses


def test_one_thread_is_given_back():
    before = get_num_threads()
    with training.one_thread():
        assert get_num_threads() == 1
    assert get_num_threads() == before


def test_demo_prints_a_table_and_draws_the_curves(tmp_path):
    done = run_cli("demo", "--epochs", 2, "--hidden", 64, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for rule in training.RULES:
        assert rule.name in done.stdout
    parts = [line for line in done.stdout.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")]
    assert len(parts) == 4
    wrong, right = done.stdout.split("AdamW with lr=")[1:]
    assert "lr_large" in wrong
    assert "The monitor finds nothing wrong with this rate." in right
    assert "SGD + momentum" in right
    assert "best" in right
    assert "Where to go next" in right
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    picture = tmp_path / "adamcore-demo.png"
    assert picture.read_bytes().startswith(PNG)
    assert picture.stat().st_size > 20_000
    assert [path.name for path in tmp_path.iterdir()] == [picture.name]


@pytest.mark.skipif(not EXHAUSTIVE, reason="takes six seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it")
def test_demo_draws_where_it_is_told(tmp_path):
    picture = tmp_path / "[bold] curves.svg"
    done = run_cli("demo", "--epochs", 1, "--hidden", 8, "--output", picture, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"Loss curves of part 2: {picture}" in done.stdout
    assert "<svg" in picture.read_text()


@pytest.mark.parametrize(
    ("output", "reason"),
    [("nowhere/curves.png", "No such file"), ("folder.png", "directory"), ("curves.txt", "must end in one of .png")],
)
def test_demo_refuses_an_unwritable_output_before_it_trains(tmp_path, output, reason, monkeypatch, capsys):
    (tmp_path / "folder.png").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--output", output]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert last_line(written.err).startswith(f"adamcore demo: cannot write {output}: ")
    assert reason in last_line(written.err)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_demo_keeps_an_older_picture_until_it_has_a_new_one(tmp_path):
    from adamcore._cli import output

    picture = tmp_path / "old.png"
    picture.write_bytes(PNG)
    output.check_output(picture)
    assert picture.read_bytes() == PNG


@pytest.mark.parametrize("arguments", [("--epochs", "0"), ("--hidden", "-3"), ("--seed", "-1"), ("--epochs", "many")])
def test_demo_refuses_numbers_out_of_range(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", *arguments])
    assert f"argument {arguments[0]}: expected a whole number" in capsys.readouterr().err


def test_demo_stops_cleanly_when_interrupted(tmp_path):
    # A shell that starts pytest in the background has it ignore SIGINT, and children inherit that.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from adamcore.__main__ import main; sys.exit(main(['demo', '--epochs', '1000000']))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert any("digits" in line for line in demo.stdout)
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert last_line(errors) == "adamcore: interrupted"
    assert "Traceback" not in errors
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["sklearn", "rich", "matplotlib"])
def test_demo_without_its_extras_says_what_to_install(tmp_path, missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from adamcore.__main__ import main; sys.exit(main(['demo']))"
    done = run_python("-c", code, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert last_line(done.stderr) == f'adamcore: the demo needs {missing}: pip install "adamcore[demo]"'
    assert "Traceback" not in done.stderr


def test_info_and_help_need_no_extras_and_importing_adamcore_imports_no_command(tmp_path):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'rich', 'matplotlib']));"
        "import adamcore; assert not [m for m in sys.modules if m.startswith(('adamcore._cli', 'argparse'))];"
        "from adamcore.__main__ import main; sys.exit(main(['info']) or main([]))"
    )
    done = run_python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "usage: adamcore" in done.stdout


def test_info_shows_every_fact_of_the_build(capsys):
    import adamcore as ac

    assert cli.main(["info"]) == 0
    facts = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert {name.replace("_", " ") for name in ac.build_info()} <= set(facts)
    assert facts["isa"].strip() == ac.build_info()["isa"]
    assert int(facts["threads"]) == 1
    assert facts["version"].strip() == ac.__version__


def test_without_a_command_there_is_help(capsys):
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert "demo" in shown
    assert "info" in shown


def test_version(capsys):
    import adamcore as ac

    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"adamcore {ac.__version__}\n"
