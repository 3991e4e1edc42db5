"""Logistic regression: NumPy computes the gradient, adamcore takes the step."""

from __future__ import annotations

import numpy as np

import adamcore as ac

rng = np.random.default_rng(0)
x = rng.standard_normal((1000, 20), dtype=np.float32)
is_positive = x @ rng.standard_normal(20, dtype=np.float32) > 1

params = {"weight": np.zeros(20, np.float32), "bias": np.zeros(1, np.float32)}
opt = ac.AdamW(params, lr=0.05)

for _ in range(20):
    for rows in np.split(rng.permutation(1000), 10):
        chance = 1 / (1 + np.exp(-(x[rows] @ params["weight"] + params["bias"])))
        error = (chance - is_positive[rows]) / len(rows)
        opt.step({"weight": x[rows].T @ error, "bias": error.sum(keepdims=True)})  # updates params in place

accuracy = np.mean((x @ params["weight"] + params["bias"] > 0) == is_positive)
print(f"accuracy {accuracy:.1%} after {opt.steps['weight']} steps")
assert accuracy > 0.98
