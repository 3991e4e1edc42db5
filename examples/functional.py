"""Update plain arrays, one step at a time, and keep the state yourself."""

from __future__ import annotations

import numpy as np

import adamcore as ac

# Adam steps on one parameter, in the notation of the paper.
theta, m, v = np.array([2.0, -3.0]), np.zeros(2), np.zeros(2)
for t in range(1, 401):
    ac.adam_update(theta, 2 * theta, m, v, t, alpha=0.05)  # 2 * theta is the gradient of theta @ theta
print(f"adam_update: theta is {abs(theta).max():.1e} from the minimum")
assert abs(theta).max() < 1e-3

# Every optimizer has such a function. One call can update a list of arrays.
params = [np.full((4, 3), 2.0, np.float32), np.full(3, -3.0, np.float32)]
exp_avg = [np.zeros_like(p) for p in params]
exp_avg_sq = [np.zeros_like(p) for p in params]
for t in range(1, 401):
    grads = [2 * p for p in params]
    ac.functional.adamw(params, grads, exp_avg, exp_avg_sq, t=t, lr=0.05, weight_decay=0.01)
print(f"adamw: params are {max(abs(p).max() for p in params):.1e} from the minimum")
assert max(abs(p).max() for p in params) < 1e-3

# These functions give the same bits as the optimizers.
p, q = np.ones(5), np.ones(5)
opt = ac.SGD(p, lr=0.1, momentum=0.9)
momentum_buffer = np.zeros(5)
for t in range(1, 11):
    opt.step(p * p)
    ac.functional.sgd(q, q * q, momentum_buffer, t=t, lr=0.1, momentum=0.9)
assert np.array_equal(p, q)
