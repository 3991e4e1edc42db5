"""Resume from a checkpoint: N steps, a checkpoint and N more steps give the same bits as 2N steps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

import adamcore as ac

Params = dict[str, np.ndarray]


def save(path: Path, params: Params, opt: ac.Optimizer) -> None:
    """Save parameters and optimizer state to an .npz file that contains arrays and JSON, but no pickles."""
    checkpoint = opt.state_dict()
    state = checkpoint.pop("state")
    arrays = {f"params/{name}": p for name, p in params.items()}
    arrays |= {f"state/{name}/{slot}": value for name, slots in state.items() for slot, value in slots.items()}
    np.savez(path, header=json.dumps(checkpoint), **arrays)


def load(path: Path, params: Params, opt: ac.Optimizer) -> None:
    """Load parameters and optimizer state, in place."""
    with np.load(path) as file:
        checkpoint = {**json.loads(file["header"].item()), "state": {}}
        for name, p in params.items():
            slots = [key for key in file.files if key.startswith(f"state/{name}/")]
            checkpoint["state"][name] = {key.rpartition("/")[2]: file[key] for key in slots}
            p[...] = file[f"params/{name}"]
    opt.load_state_dict(checkpoint)


def start() -> tuple[Params, ac.Optimizer]:
    """Create the initial parameters and their optimizer."""
    params = {"w": np.linspace(-1, 1, 1000, dtype=np.float32), "b": np.ones(3)}
    return params, ac.Adam(params, lr=1e-2, amsgrad=True)


def train(params: Params, opt: ac.Optimizer, steps: int) -> None:
    """Minimize the sum of cosh over all elements."""
    for _ in range(steps):
        opt.step({name: np.sinh(p) for name, p in params.items()})


straight, opt = start()
train(straight, opt, 200)
with tempfile.TemporaryDirectory() as folder:
    params, opt = start()
    train(params, opt, 100)
    save(Path(folder) / "checkpoint.npz", params, opt)
    resumed, opt = start()
    load(Path(folder) / "checkpoint.npz", resumed, opt)
    train(resumed, opt, 100)

assert all(np.array_equal(straight[name], resumed[name]) for name in straight)
print(f"100 + 100 steps gave the same bits as {opt.steps['w']} steps")
