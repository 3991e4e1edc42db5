"""Measure what gets out of plateaus and saddles, and what a `Policy` makes of them.

    python docs/experiments/escapes.py [TABLE ...]

Tables: saddles, xor, networks, policy, healthy; by default all of them, in about five minutes. Every run has a seed of
its own. docs/stuck.md discusses the results.
"""

from __future__ import annotations

from statistics import median

from escaping import functions, nets
from escaping.treatments import TREATMENTS
from tables import Table, print_tables

from adamcore._cli.training import one_thread

SADDLES = ("nothing", "jolt", "reset", "perturb", "perturb + reset", "along_curvature")


def show_saddles(runs: int) -> None:
    """Print how many runs leave a saddle, and after how many steps."""
    print("saddles: runs that leave them within 6000 steps, and the median of their steps")
    print(f"  {'':18}", *(f"{name:17}" for name in SADDLES))
    for place in functions.STARTS:
        cells = []
        for name in SADDLES:
            steps = [functions.steps_until_left(place, TREATMENTS[name], seed) for seed in range(runs)]
            left = [step for step in steps if step is not None]
            cells.append(f"{len(left)}/{runs} {f'({median(left):.0f})' if left else ''}")
        print(f"  {place:18}", *(f"{cell:17}" for cell in cells), flush=True)


def show_xor(runs: int) -> None:
    """Print how many networks that are stuck solve XOR after a treatment."""
    stuck = [seed for seed in range(runs) if not functions.solves_xor(TREATMENTS["nothing"], seed)[0]]
    print(f"xor: {len(stuck)} of {runs} networks are stuck after 3000 steps; solved after 3000 more")
    for name in ("nothing", "jolt", "perturb + reset", "along_curvature", "restart"):
        solved = sum(functions.solves_xor(TREATMENTS[name], seed)[1] for seed in stuck)
        print(f"  {name:24} {solved}/{len(stuck)}", flush=True)
    far = sum(functions.solves_xor(TREATMENTS["nothing"], seed, radius=1.0)[1] for seed in stuck)
    print(f"  {'perturb, radius 1':24} {far}/{len(stuck)}")


def show_networks(runs: int) -> None:
    """Print the losses of networks that are treated after 500 of 1500 steps."""
    print("networks: median loss after 1500 steps, treated after 500")
    for name in SADDLES:
        for problem, text in ((nets.IDENTICAL["tanh"], "identical units"), (nets.VANISHING, "vanishing")):
            losses = [nets.treated(problem, TREATMENTS[name], seed) for seed in range(runs)]
            print(f"  {text:16} {name:24} {median(losses):.3f}", flush=True)
    larger = [nets.treated(nets.VANISHING, TREATMENTS["nothing"], seed, factor=5.0) for seed in range(runs)]
    print(f"  {'vanishing':16} {'five times the rate':24} {median(larger):.3f}")
    init = nets.WELL_BEGUN.init
    anew = [nets.treated(nets.VANISHING, TREATMENTS["restart"], seed, init=init) for seed in range(runs)]
    print(f"  {'vanishing':16} {'restart, larger weights':24} {median(anew):.3f}")


def show_policy(runs: int) -> None:
    """Print what a policy makes of networks with identical units."""
    print("policy: loss after 1500 steps of networks with identical units, without a policy and with one")
    for activation, problem in nets.IDENTICAL.items():
        for window, tol in ((256, 0.01), (128, 0.02)):
            for seed in range(runs):
                without = nets.train(problem, seed, policy=False)
                with_one = nets.train(problem, seed, policy=True, window=window, tol=tol)
                acts = ", ".join(with_one.acts) or "-"
                text = f"{without.loss:.3f} {with_one.loss:.3f} {acts}"
                print(f"  {activation} window {window}, seed {seed}: {text}", flush=True)


def show_healthy(runs: int) -> None:
    """Print what a policy does to healthy runs."""
    print("healthy: runs in which a policy acts, and whether the others have the bits of runs without")
    same = 0
    every = nets.healthy_cases(runs)
    for case in every:
        plain, before = nets.run_healthy(case, policy=False)
        watched, after = nets.run_healthy(case, policy=True)
        acts = [act for act in watched.monitor.acts if act.done]
        same += nets.same_bits(plain, watched)
        if acts:
            print(
                f"  {case.group.name} {case.rule} {case.rate:g}: {', '.join(map(str, acts))} {after / before - 1:+.2%}"
            )
    print(f"  {same} of {len(every)} runs have the same bits")


TABLES = {
    "saddles": Table(show_saddles, 12),
    "xor": Table(show_xor, 60),
    "networks": Table(show_networks, 6),
    "policy": Table(show_policy, 6),
    "healthy": Table(show_healthy, 20),
}


def main() -> int:
    """Print the tables that were asked for."""
    with one_thread():
        return print_tables(TABLES, "Measure what gets out of plateaus and saddles.")


if __name__ == "__main__":
    raise SystemExit(main())
