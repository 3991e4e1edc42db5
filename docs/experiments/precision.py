"""Train one network in float32, bfloat16 and float16, and show what each way of storing and scaling numbers loses.

    python docs/experiments/precision.py

docs/precision.md discusses the results.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from curves import save_curves
from half_network import Array, Params, evaluate, init_params, loss_and_grads
from numpy.typing import DTypeLike

import adamcore as ac
from adamcore._cli.training import Digits, one_thread, read_digits

WIDTHS = (64, 64, 64, 64, 64, 10)
BATCH = 256
TERMS = 2**22
GROWTH_INTERVAL = 100  # steps until the loss scale grows; with PyTorch's 2000 it would not grow in this run


class Setup(NamedTuple):
    """How one run stores its numbers."""

    name: str
    dtype: DTypeLike
    precision: ac.Precision
    scaled: bool = False


NEAREST = ac.Precision(master=None)
SETUPS = (
    Setup("float32", np.float32, ac.Precision()),
    Setup("bfloat16, master", ml_dtypes.bfloat16, ac.Precision()),
    Setup("bfloat16, remainder", ml_dtypes.bfloat16, ac.Precision(master="remainder")),
    Setup("bfloat16, stochastic", ml_dtypes.bfloat16, ac.Precision(master=None, rounding="stochastic")),
    Setup("bfloat16, compensated", ml_dtypes.bfloat16, ac.Precision(master=None, rounding="compensated")),
    Setup("bfloat16, nearest", ml_dtypes.bfloat16, NEAREST),
    Setup("float16, master, loss scaling", np.float16, ac.Precision(), scaled=True),
    Setup("float16, master, no scaling", np.float16, ac.Precision()),
    Setup("float16, nearest, loss scaling", np.float16, NEAREST, scaled=True),
)
MASTER, REMAINDER = 1, 2


@dataclass
class Run:
    """The results of one training run."""

    name: str
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    accuracy: float = 0.0
    zero_grads: float = 0.0
    unmoved: float = 0.0
    bytes_per_weight: float = 0.0
    skipped: int = 0
    trajectory: list[Array] = field(default_factory=list)


def train(setup: Setup, digits: Digits, *, steps: int, terms: int) -> Run:
    """Train a new network. The initial weights and the batches are the same for every setup.

    Parameters
    ----------
    setup : Setup
    digits : Digits
    steps : int
    terms : int
        The divisor of the sum of a batch's losses.

    Returns
    -------
    Run
        Contains the loss on all training digits at about 50 steps. For bfloat16 runs with a master or a remainder, it
        also contains the bits of the weights after every step.
    """
    rng = np.random.default_rng(0)
    params = init_params(rng, WIDTHS, setup.dtype)
    start = _flat(params)
    opt = ac.AdamW(params, lr=1e-4, eps=1e-12, weight_decay=1e-2, precision=setup.precision)
    scale = ac.LossScaler(growth_interval=GROWTH_INTERVAL) if setup.scaled else 1.0
    run = Run(setup.name)
    for step in range(steps):
        if step % max(steps // 50, 1) == 0:
            _measure(run, step, params, digits)
        rows = rng.choice(len(digits.x), BATCH, replace=False)
        _, grads = loss_and_grads(params, digits.x[rows], digits.labels[rows], float(scale) / terms)
        run.skipped += opt.step(grads, loss_scale=scale).skipped
        run.zero_grads += np.mean(_flat(grads) == 0) / steps
        if setup.dtype == ml_dtypes.bfloat16 and setup.precision.master:
            run.trajectory.append(_flat(params).view(np.uint16))
    _measure(run, steps, params, digits)
    run.unmoved = np.mean((_flat(params) == start)[start != 0])
    run.accuracy = evaluate(params, digits.x_held_out, digits.labels_held_out)[1]
    run.bytes_per_weight = _bytes(params, opt) / start.size
    return run


def same_trajectory(one: Run, other: Run) -> bool:
    """Return whether all weights of two runs had the same bits after each step."""
    pairs = zip(one.trajectory, other.trajectory, strict=True)
    return bool(one.trajectory) and all(bool((a == b).all()) for a, b in pairs)


def print_table(runs: list[Run]) -> None:
    """Print one row for each run."""
    columns = ("loss", "accuracy", "zero gradients", "unmoved weights", "bytes/weight", "skipped")
    print(f"{'':30}", *columns, sep="  ")
    for run in runs:
        values = (
            f"{run.losses[-1]:.4f}",
            f"{run.accuracy:.1%}",
            f"{run.zero_grads:.1%}",
            f"{run.unmoved:.1%}",
            f"{run.bytes_per_weight:.3g}",
            f"{run.skipped}",
        )
        cells = [f"{value:>{len(name)}}" for name, value in zip(columns, values, strict=True)]
        print(f"{run.name:30}", *(f"{cell:>6}" for cell in cells), sep="  ")


def main() -> int:
    """Train all setups, print the table and draw the curves."""
    options = _parse()
    options.output.mkdir(parents=True, exist_ok=True)
    digits = read_digits(seed=0)
    with one_thread():
        runs = [train(setup, digits, steps=options.steps, terms=options.terms) for setup in SETUPS]
    print_table(runs)
    same = same_trajectory(runs[MASTER], runs[REMAINDER])
    print(f"\nweights of master and remainder the same after each of {options.steps} steps, bit for bit: {same}")
    path = options.output / "precision.png"
    save_curves(path, runs)
    print(f"curves: {path}")
    return 0 if same else 1


def _flat(arrays: Params) -> Array:
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays)])


def _measure(run: Run, step: int, params: Params, digits: Digits) -> None:
    run.steps.append(step)
    run.losses.append(evaluate(params, digits.x, digits.labels)[0])


def _bytes(params: Params, opt: ac.Optimizer) -> int:
    """Sum the bytes of the parameters and of what is stored beside them, without the rule's own state."""
    kept = (
        value for name in params for slot, value in opt.state[name].items() if slot not in ("exp_avg", "exp_avg_sq")
    )
    return sum(value.nbytes for value in (*params.values(), *kept))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train on digits in float32, bfloat16 and float16, and compare.")
    parser.add_argument("--steps", type=_count, default=2000, help="number of steps in each run (default: %(default)s)")
    parser.add_argument(
        "--terms",
        type=_count,
        default=TERMS,
        help=f"divisor of the sum of a batch's losses (default: %(default)s); a batch has {BATCH} digits",
    )
    images = Path(__file__).resolve().parent.parent / "images"
    parser.add_argument("--output", type=Path, default=images, help="folder for the figure (default: docs/images)")
    return parser.parse_args()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
