"""The result of a comparison of five rules, one of which diverged, for tests of its report."""

from __future__ import annotations

import numpy as np

STEPS = 500
SEEDS = [0, 1, 2]
RULES = {
    # name: best rate, all rates, speed of descent, the last loss, milliseconds a step, bytes of state
    "AdamW": (1e-3, [1e-4, 1e-3, 1e-2], 60, 0.085, 0.61, 1_248_080),
    "Muon": (2e-2, [2e-3, 2e-2, 2e-1], 78, 0.105, 1.43, 624_040),
    "Lion": (1e-4, [1e-5, 1e-4, 1e-3], 90, 0.118, 0.55, 624_040),
    "SGD(momentum=0.9, nesterov=True)": (1e-1, [1e-3, 1e-2, 1e-1], 170, 0.197, 0.52, 624_040),
    "RMSprop": (None, [1e-3, 1e-2, 1e-1], 40, None, 0.57, 624_040),
}
SHARES = (0.21, 0.62, 0.14, 0.09, 0.17)
TARGET = 0.165


def sample() -> dict:
    """What `page` takes. Each call makes it anew."""
    random = np.random.default_rng(0)
    curves = {rule: _curves(random, *facts) for rule, facts in RULES.items()}
    return {
        "problem": "digits",
        "metric": "val_loss",
        "mode": "min",
        "steps": STEPS,
        "budget": "steps",
        "seeds": list(SEEDS),
        "target": TARGET,
        "target_from": "val_loss of AdamW at 90% of its run",
        "best": "AdamW",
        "verdict": "AdamW is best: lower val_loss than Muon in each of 3 seeds",
        "warnings": [
            "SGD(momentum=0.9, nesterov=True): the best rate, 0.1, is at the edge of those that were tried",
            "RMSprop diverged with every rate that was tried",
        ],
        "rows": [
            _row(rule, facts, share, curves[rule]) for (rule, facts), share in zip(RULES.items(), SHARES, strict=True)
        ],
        "curves": curves,
        "profile": {
            "AdamW": {"factor": [1.0, 1.3], "share": [0.67, 1.0]},
            "Muon": {"factor": [1.0, 1.2, 1.4], "share": [0.33, 0.67, 1.0]},
            "Lion": {"factor": [1.0, 1.5, 1.9, 2.2], "share": [0.0, 0.33, 0.67, 1.0]},
            "SGD(momentum=0.9, nesterov=True)": {"factor": [1.0, 2.8], "share": [0.0, 0.33]},
            "RMSprop": {"factor": [], "share": []},
        },
        "environment": {"adamcore": "0.2.0", "numpy": "2.4.6", "processor": "AMD EPYC 7B13", "date": "2026-11-28"},
    }


def lost(data: dict) -> dict:
    """`data` where every seed of every rule diverged before the first step was written."""
    for row in data["rows"]:
        kept = {key: row[key] for key in ("rule", "lrs")}
        row.update(dict.fromkeys(row), **kept, final=[None] * len(SEEDS), reached=0, diverged=len(SEEDS), marked=False)
    data.update(best=None, verdict="no difference shown: every rule diverged")
    data.update(curves={rule: {"steps": [], "loss": {}} for rule in RULES}, profile={})
    return data


def _curves(random, lr, _, descent, end, milliseconds, __) -> dict:
    steps = np.arange(1, STEPS + 1)
    runs = np.stack([_losses(random, steps, descent, end) for _ in SEEDS])
    checks = np.arange(25, STEPS + 1, 25)
    warm = np.minimum(steps / 25, 1) * (1 + np.cos(np.pi * steps / STEPS)) / 2
    ratio = 2e-3 * warm * np.exp(random.normal(0, 0.1, STEPS)) * (40 / descent)
    found = {
        "steps": steps.tolist(),
        "loss": _range(runs),
        "seconds": (steps * milliseconds / 1000).tolist(),
        "validation": {"steps": checks.tolist(), **_range(runs[:, checks - 1] * 1.15 + 0.01)},
        "lr": {"steps": steps.tolist(), "value": (warm * (lr or 0.1)).tolist()},
        "ratio": {"steps": steps[::10].tolist(), "median": ratio[::10].tolist()},
    }
    if end is None:
        found["loss"] = {part: [*values[:60], *[None] * (STEPS - 60)] for part, values in found["loss"].items()}
        found["validation"] = {"steps": [25, 50, 75], "median": [5.1, 4e7, None], "low": [3.2, 9e5, None],
                               "high": [8.8, float("inf"), None]}  # fmt: skip
        found["lr"] = {"steps": found["lr"]["steps"][:60], "value": found["lr"]["value"][:60]}
        found["ratio"] = {"steps": [1, 11, 21], "median": [1e-3, 0.4, float("nan")]}
    return found


def _losses(random, steps, descent, end) -> np.ndarray:
    if end is None:
        return 2.3 * np.exp((steps / 12) ** 1.4 + random.normal(0, 0.2))
    noise = np.exp(random.normal(0, 0.07, STEPS) + random.normal(0, 0.05))
    return (end + (2.3 - end) * np.exp(-steps / descent)) * noise


def _range(runs) -> dict:
    return {"median": np.median(runs, 0).tolist(), "low": runs.min(0).tolist(), "high": runs.max(0).tolist()}


def _row(rule, facts, share, curve) -> dict:
    lr, lrs, _, end, milliseconds, state = facts
    row = {"rule": rule, "lr": lr, "lrs": lrs, "optimizer_share": share, "state_bytes": state}
    if end is None:
        none = [f"{kind}_{part}" for kind in ("final", "best") for part in ("median", "min", "max")]
        return row | dict.fromkeys([*none, "steps_to_target", "seconds_to_target"]) | {
            "final": [None] * 3, "reached": 0, "diverged": 3, "marked": False}  # fmt: skip
    checks = curve["validation"]
    last, low, high = (checks[part][-1] for part in ("median", "low", "high"))
    there = next((step for step, loss in zip(checks["steps"], checks["median"], strict=True) if loss <= TARGET), None)
    return row | {
        "final": [low, last, high], "final_median": last, "final_min": low, "final_max": high,
        "best_median": min(checks["median"]), "best_min": min(checks["low"]), "best_max": min(checks["high"]),
        "steps_to_target": there, "seconds_to_target": there and there * milliseconds / 1000,
        "reached": 3 if there else 0, "diverged": 0, "marked": rule == "AdamW",
    }  # fmt: skip
