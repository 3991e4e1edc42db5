"""Calls that do little, where what is around the arithmetic decides: python bench/small.py.

Updates of plain arrays by `adamcore.functional`, and steps of one small parameter, take turns with
`np.add(p, g, out=p)` on the same arrays and with PyTorch's own functions. The least time of many rounds counts, because
other programs only add to it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from environment import default_threads, describe, limit_threads
from text import aligned, duration

Calls = dict[str, Callable[[], object]]


def functional_calls(size: int) -> Calls:
    """One update of arrays of `size` elements."""
    import numpy as np

    import adamcore as ac

    f = ac.functional
    p, g, m, v = (np.full(size, 0.5, np.float32) for _ in range(4))
    calls: Calls = {
        "np.add(p, g, out=p)": lambda: np.add(p, g, out=p),
        "adam": lambda: f.adam(p, g, m, v, t=1000),
        "adamw": lambda: f.adamw(p, g, m, v, t=1000),
        "sgd": lambda: f.sgd(p, g, t=1000),
        "sgd, momentum": lambda: f.sgd(p, g, m, t=1000, momentum=0.9),
        "rmsprop": lambda: f.rmsprop(p, g, v, t=1000),
        "adagrad": lambda: f.adagrad(p, g, v, t=1000),
        "adam_update": lambda: ac.adam_update(p, g, m, v, 1000),
    }
    return {**calls, **torch_calls(1, size)}


def list_calls(count: int, size: int) -> Calls:
    """One update of lists of arrays."""
    import numpy as np

    import adamcore as ac

    p, g, m, v = ([np.full(size, 0.5, np.float32) for _ in range(count)] for _ in range(4))
    return {"adam": lambda: ac.functional.adam(p, g, m, v, t=1000), **torch_calls(count, size)}


def torch_calls(count: int, size: int) -> Calls:
    """PyTorch's update of tensors that the caller keeps, on the CPU."""
    try:
        import torch
        from torch.optim.adam import adam
    except ImportError:
        return {}
    p, g, m, v = ([torch.full((size,), 0.5) for _ in range(count)] for _ in range(4))
    steps = [torch.tensor(1000.0) for _ in range(count)]

    def update() -> None:
        with torch.no_grad():
            adam(
                p, g, m, v, [], steps, fused=True, amsgrad=False, beta1=0.9, beta2=0.999, lr=1e-3, weight_decay=0.0,
                eps=1e-8, maximize=False,
            )  # fmt: skip

    return {"torch.optim.adam.adam, fused": update}


def step_calls(size: int) -> Calls:
    """Whole steps of one parameter, after few updates and after many."""
    import numpy as np

    import adamcore as ac

    calls: Calls = {}
    g = np.full(size, 0.5, np.float32)
    for steps in (1, 1000, 10**6):
        optimizer = ac.AdamW([np.zeros(size, np.float32)])
        optimizer.step([g])
        state = optimizer.state_dict()
        state["state"]["0"]["step"] = steps
        optimizer.load_state_dict(state)
        grads = [g]
        calls[f"AdamW, a list of one, {steps} steps before"] = lambda o=optimizer, grads=grads: o.step(grads)
    single, named = ac.AdamW(np.zeros(size, np.float32)), ac.AdamW({"w": np.zeros(size, np.float32)})
    by_name = {"w": g}
    sgd = ac.SGD([np.zeros(size, np.float32)])
    listed = [g]
    return {
        **calls,
        "AdamW, one array": lambda: single.step(g),
        "AdamW, a dict of one": lambda: named.step(by_name),
        "SGD, a list of one": lambda: sgd.step(listed),
        **torch_steps(size),
    }


def torch_steps(size: int) -> Calls:
    try:
        import torch
    except ImportError:
        return {}
    p = torch.zeros(size, requires_grad=True)
    p.grad = torch.full((size,), 0.5)
    return {"torch.optim.AdamW, fused": torch.optim.AdamW([p], fused=True).step}


def least_times(calls: Calls, rounds: int) -> dict[str, float]:
    """Seconds a call, the least of all rounds, in which the calls take turns."""
    least: dict[str, float] = {}
    repeats = {}
    for name, call in calls.items():
        begin = time.perf_counter()
        for _ in range(10):
            call()
        repeats[name] = max(1, int(2e-3 / ((time.perf_counter() - begin) / 10)))
    for _ in range(rounds):
        for name, call in calls.items():
            times = range(repeats[name])
            begin = time.perf_counter()
            for _ in times:
                call()
            seconds = (time.perf_counter() - begin) / repeats[name]
            least[name] = min(least.get(name, seconds), seconds)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="number of threads (default: as many as adamcore uses)")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    limit_threads(options.threads or default_threads())
    facts = describe(options.threads or default_threads(), ["adamcore", "numpy", "torch"])
    print(", ".join(f"{key}: {value}" for key, value in facts.items() if isinstance(value, (str, int))))
    for title, calls, count in [
        ("adamcore.functional, 100 float32", functional_calls(100), 1),
        ("lists of 1000 x 10", list_calls(1000, 10), 1000),
        ("lists of 1000 x 100", list_calls(1000, 100), 1000),
        ("steps of 1000 float32", step_calls(1000), 1),
    ]:
        least = least_times(calls, options.rounds)
        first = next(iter(least.values()))
        rows = [(title, "each array", "time / first's")]
        rows += [(name, duration(seconds / count), f"{seconds / first:.2f}") for name, seconds in least.items()]
        print("", *aligned(rows), sep="\n")


if __name__ == "__main__":
    main()
