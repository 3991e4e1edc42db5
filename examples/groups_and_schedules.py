"""Use parameter groups with different hyper-parameters, and a learning-rate schedule."""

from __future__ import annotations

import numpy as np

import adamcore as ac
from adamcore.schedules import Cosine, Linear, Warmup

STEPS, WARMUP = 600, 50

rng = np.random.default_rng(0)
x = np.linspace(-3, 3, 200).reshape(-1, 1)
target = np.sin(x)

weights = {"w1": rng.standard_normal((1, 32)), "w2": rng.standard_normal((32, 1)) / 6}
biases = {"b1": rng.standard_normal(32), "b2": np.zeros(1)}
opt = ac.AdamW(
    [{"params": weights}, {"params": biases, "weight_decay": 0.0}],  # biases do not decay
    lr=Warmup(Cosine(0.02, steps=STEPS - WARMUP), steps=WARMUP),  # the last step's rate is still above 0
    betas=(0.9, Linear(0.99, 0.999, steps=STEPS)),  # every other number can follow a schedule too
    weight_decay=1e-3,
)

for _ in range(STEPS):
    hidden = np.tanh(x @ weights["w1"] + biases["b1"])
    error = hidden @ weights["w2"] + biases["b2"] - target
    d_out = 2 * error / len(x)
    d_hidden = (d_out @ weights["w2"].T) * (1 - hidden**2)
    grads = {"w1": x.T @ d_hidden, "w2": hidden.T @ d_out, "b1": d_hidden.sum(axis=0), "b2": d_out.sum(axis=0)}
    opt.step(grads)  # gradients are matched by name, in all groups

print(f"mean squared error {np.mean(error**2):.1e} after {opt.completed} steps")
assert np.mean(error**2) < 1e-3

opt.param_groups[0]["lr"] = 0.0  # you may change hyper-parameters between steps; this freezes the weights
before = weights["w1"].copy()
opt.step(grads)
assert np.array_equal(weights["w1"], before)
