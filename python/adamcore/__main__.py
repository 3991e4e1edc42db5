"""The command line: ``python -m adamcore demo``, ``compare``, ``tune``, ``info`` and ``schedule``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adamcore import __version__

_EXTRAS = ("matplotlib", "rich", "sklearn")
_INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : list of str, optional
        The arguments without the program's name. The default is the command line of the process.

    Returns
    -------
    int
        The exit status.
    """
    parser = _make_parser()
    options = parser.parse_args([_as_text(argument) for argument in (sys.argv[1:] if argv is None else argv)])
    try:
        if options.command is not None:
            return _COMMANDS[options.command](options)
    except KeyboardInterrupt:
        print("adamcore: interrupted", file=sys.stderr)
        return _INTERRUPTED
    parser.print_help()
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="adamcore", description="Optimizer steps on NumPy arrays, in place.")
    parser.add_argument("--version", action="version", version=f"adamcore {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("info", help="describe this build and what it detected on this machine")

    demo = commands.add_parser(
        "demo",
        help="train on handwritten digits, and compare with textbook NumPy updates",
        description="Train a small network on scikit-learn's handwritten digits with several optimizers, compare each "
        'with a textbook NumPy update, and plot the loss curves. Needs: pip install "adamcore[demo]"',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument(
        "--epochs", type=_whole_number(1), default=40, metavar="N", help="passes over the training digits"
    )
    demo.add_argument("--hidden", type=_whole_number(1), default=1024, metavar="N", help="units in the hidden layer")
    demo.add_argument(
        "--seed", type=_whole_number(0), default=0, metavar="N", help="seed of weights, batches and validation split"
    )
    demo.add_argument(
        "--output",
        type=Path,
        default=Path("adamcore-demo.png"),
        metavar="PATH",
        help="file for the plot (.png, .svg or .pdf)",
    )
    _add_compare(commands)
    _add_tune(commands)
    schedule = commands.add_parser(
        "schedule",
        help="show a schedule: a plot and its breakpoints",
        description="Show a schedule, as a plot of characters with the values at its breakpoints, or as a picture. "
        'Example: adamcore schedule "WSD(1e-3, steps=1000, warmup=50, decay=200)"',
    )
    schedule.add_argument(
        "text",
        help="the schedule as in Python: classes of adamcore.schedules, numbers, strings, lists, + and *, and the "
        "methods clip, shift, stretch, every and then",
    )
    schedule.add_argument(
        "--steps", type=_whole_number(1), metavar="N", help="steps to show (default: as many as the schedule needs)"
    )
    schedule.add_argument("--out", type=Path, metavar="PATH", help="save a picture to this file (.png, .svg or .pdf)")
    return parser


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="compare rules and rates on a problem of yours, or on handwritten digits",
        description="Train a problem with several rules and rates, and say which is best, if a difference is shown. A "
        "problem is a module, or an object in it, with the functions init(rng), batches(rng), "
        "loss_and_grad(params, batch) and, if you like, evaluate(params). Without one, a small network reads "
        'handwritten digits, for which scikit-learn is needed: pip install "adamcore[demo]"',
    )
    add = compare.add_argument
    _add_problem(add)
    add(
        "--rules",
        default="adamw,sgd(momentum=0.9),rmsprop",
        metavar="NAMES",
        help="rules, with options if you like (default: %(default)s)",
    )
    add(
        "--lr",
        default="1e-3,1e-2,1e-1",
        metavar="RATES",
        help="rates that each rule is given; 'default' is its own (default: %(default)s)",
    )
    add("--seeds", type=_whole_number(1), default=3, metavar="N", help="how many seeds (default: %(default)s)")
    add("--steps", type=_whole_number(1), default=500, metavar="N", help="steps of each run (default: %(default)s)")
    add("--target", type=float, metavar="X", help="what the metric should reach (default: the first rule's at 90%%)")
    add(
        "--budget",
        choices=("steps", "seconds"),
        default="steps",
        help="what each run has as much of (default: %(default)s)",
    )
    _add_metric(add)
    add("--report", type=Path, metavar="PATH", help="write a report with pictures to this file (.html)")
    add("--json", type=Path, metavar="PATH", help="write all numbers to this file")


def _add_tune(commands: Any) -> None:
    tune = commands.add_parser(
        "tune",
        help="search the best numbers of a rule for a problem of yours, or for handwritten digits",
        description="Train a problem many times to find the best numbers of a rule, and give up early what does not "
        "look good. A problem is what `adamcore compare` takes. Optuna does the searching: "
        'pip install "adamcore[tune]". Example: adamcore tune problem.py --rule adamw --space "lr=1e-4..1,eps" '
        "--trials 50 --steps 500 --refine 3",
    )
    add, whole = tune.add_argument, _whole_number
    _add_problem(add)
    add("--rule", default="adamw", metavar="NAME", help="the rule, with options if you like (default: %(default)s)")
    add("--trials", type=whole(1), default=50, metavar="N", help="how many trials (default: %(default)s)")
    add("--steps", type=whole(1), default=500, metavar="N", help="steps of a whole trial (default: %(default)s)")
    add("--space", metavar="TEXT", help='what differs from the usual ranges: "lr=1e-4..1,eps,beta1=0.8|0.9,beta2=none"')
    add("--seeds", type=whole(1), default=1, metavar="N", help="runs of each trial (default: %(default)s)")
    add("--seed", type=whole(0), default=0, metavar="N", help="seed of search and runs (default: %(default)s)")
    add("--workers", type=whole(1), default=1, metavar="N", help="processes (default: %(default)s)")
    add("--storage", type=Path, metavar="PATH", help="keep the study in this file; go on from it; share it")
    add(
        "--pruner",
        choices=("asha", "hyperband", "median", "none"),
        default="asha",
        help="what gives trials up early (default: %(default)s)",
    )
    _add_metric(add)
    add("--refine", type=whole(1), metavar="N", help="run the best N trials again, on new seeds")
    add("--json", type=Path, metavar="PATH", help="write all numbers to this file")
    add("--plot", type=Path, metavar="PATH", help="save a picture to this file (.png, .svg or .pdf)")


def _add_problem(add: Callable[..., Any]) -> None:
    add(
        "problem",
        nargs="?",
        default="digits",
        metavar="MODULE[:NAME]",
        help="a module, a .py file, or an object in it (default: %(default)s)",
    )


def _add_metric(add: Callable[..., Any]) -> None:
    add("--metric", metavar="NAME", help="what decides among the results of evaluate (default: val_loss)")
    add(
        "--mode",
        choices=("min", "max"),
        default="min",
        help="whether a low or a high metric is good (default: %(default)s)",
    )


def _as_text(argument: str) -> str:
    """Return `argument` with a space before it if it is a schedule that begins with a sign, and not an option."""
    is_signed = argument.startswith("-") and "(" in argument and not argument.startswith(("--steps", "--out"))
    return f" {argument}" if is_signed else argument


def _whole_number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number, {least} or more, got {text!r}")
        return value

    return parse


def _demo(options: argparse.Namespace) -> int:
    try:
        from adamcore._cli import demo  # noqa: PLC0415  (imports the extras)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        print(f'adamcore: the demo needs {missing}: pip install "adamcore[demo]"', file=sys.stderr)
        return 1
    return demo.run(epochs=options.epochs, hidden=options.hidden, seed=options.seed, output=options.output)


def _lacks_digits(options: argparse.Namespace) -> bool:
    """Whether the problem is adamcore's own, and what it needs is not installed; say so then."""
    if options.problem != "digits" or importlib.util.find_spec("sklearn") is not None or Path("digits.py").exists():
        return False
    print('adamcore: the digits need scikit-learn: pip install "adamcore[demo]"', file=sys.stderr)
    return True


def _compare(options: argparse.Namespace) -> int:
    if _lacks_digits(options):
        return 1
    from adamcore._cli import compare  # noqa: PLC0415

    names = ("seeds", "steps", "target", "budget", "metric", "mode", "report", "json")
    return compare.run(
        options.problem, rules=options.rules, rates=options.lr, **{name: getattr(options, name) for name in names}
    )


def _tune(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("optuna") is None:
        print('adamcore: tune needs optuna: pip install "adamcore[tune]"', file=sys.stderr)
        return 1
    if _lacks_digits(options):
        return 1
    from adamcore._cli import tune  # noqa: PLC0415

    given = {name: value for name, value in vars(options).items() if name not in ("command", "problem")}
    return tune.run(options.problem, **given)


def _info() -> int:
    from adamcore._cli import info  # noqa: PLC0415  (each command imports only its own module)

    return info.run()


def _schedule(options: argparse.Namespace) -> int:
    from adamcore._cli import schedule  # noqa: PLC0415

    return schedule.run(options.text, steps=options.steps, output=options.out)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "demo": _demo,
    "info": lambda _: _info(),
    "compare": _compare,
    "tune": _tune,
    "schedule": _schedule,
}


if __name__ == "__main__":
    sys.exit(main())
