"""Train with the module that module.cpp makes: PYTHONPATH=build/own-rule python examples/own_rule/use.py."""

from __future__ import annotations

import numpy as np
import own_rule

weights, buffer = np.full((40, 25), 1.0, np.float32), np.zeros((40, 25), np.float32)
for t in range(1, 401):
    own_rule.step(weights, weights - np.float32(0.25), buffer, t, lr=(400 - t) / 400)
print(f"{np.abs(weights - 0.25).max():.1e} from the minimum")
assert np.abs(weights - 0.25).max() < 1e-3
