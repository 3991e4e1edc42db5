"""Arrays over one memory can be parameters and gradients if and only if they share no byte with what is written."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import adamcore as ac
from storage import F32

LENGTH = 720
VIEWS = 7


def index_of(array: np.ndarray, memory: np.ndarray) -> set[int]:
    """The numbers of the elements of `memory` that an array is a view of: all that can be known of it, one by one."""
    begin = (array.__array_interface__["data"][0] - memory.__array_interface__["data"][0]) // memory.itemsize
    places = begin
    for axis, (length, stride) in enumerate(zip(array.shape, array.strides, strict=True)):
        along = np.arange(length) * (stride // memory.itemsize)
        places = places + along.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    return set(np.ravel(places).tolist())


@st.composite
def slices(draw: st.DrawFn, length: int) -> Any:
    begin = draw(st.integers(0, length - 1))
    end = draw(st.integers(begin + 1, length))
    step = draw(st.sampled_from([1, 1, 1, 2, 3]))
    if draw(st.booleans()):
        return slice(begin, end, step)
    return slice(end - 1, begin - 1 if begin else None, -step)


@st.composite
def views(draw: st.DrawFn, memory: np.ndarray, shapes: list[tuple[int, ...]]) -> np.ndarray:
    """Columns, blocks, rows, steps, in any order of the axes, of the memory in one of the shapes; from any place."""
    shape = draw(st.sampled_from(shapes))
    offset = draw(st.sampled_from([0, 0, 0, 1, 5]))
    whole = memory[offset : offset + int(np.prod(shape))].reshape(shape)
    index = tuple(draw(st.one_of(st.just(slice(None)), st.integers(0, length - 1), slices(length))) for length in shape)
    part = np.atleast_1d(whole[index]) if any(isinstance(i, slice) for i in index) else whole.ravel()[:1]
    return part.transpose(draw(st.permutations(range(part.ndim))))


SHAPES = [[(12, 59)], [(6, 9, 13)], [(12, 59), (24, 29), (715,)], [(7, 4, 5, 5), (100, 7)]]


@given(data=st.data(), shapes=st.sampled_from(SHAPES), at_once=st.booleans())
def test_any_views_of_one_memory(data: st.DataObject, shapes: list[tuple[int, ...]], at_once: bool) -> None:
    memory = np.zeros(LENGTH, F32)
    params = [data.draw(views(memory, shapes)) for _ in range(data.draw(st.integers(2, VIEWS)))]
    bytes_of = [index_of(p, memory) for p in params]
    kept = [0]
    for i in range(1, len(params)):
        if not any(bytes_of[i] & bytes_of[k] for k in kept):
            kept.append(i)
    if at_once and len(kept) < len(params):
        refused = min(set(range(len(params))) - set(kept))
        with pytest.raises(ValueError, match=rf"^params\[{refused}\]: shares memory with params\[\d+\]") as caught:
            ac.SGD(params, lr=1.0)
        other = int(re.search(r"with params\[(\d+)\]", str(caught.value))[1])
        assert bytes_of[other] & bytes_of[refused]
    optimizer = ac.SGD(params[:1], lr=1.0)
    for i in range(1, len(params)):
        with contextlib.nullcontext() if i in kept else pytest.raises(ValueError, match="shares memory with"):
            optimizer.add_param_group({"params": params[i : i + 1]})
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(kept)

    grad = data.draw(views(memory, shapes))
    target = ac.SGD([*(params[i] for i in kept), np.zeros(grad.shape, F32)], lr=1.0)
    grads = [*[None] * len(kept), grad]
    meets = [n for n, i in enumerate(kept) if bytes_of[i] & index_of(grad, memory)]
    if meets:
        with pytest.raises(ValueError, match=rf"^grads\[{len(kept)}\]: shares memory with params\[") as caught:
            target.step(grads)
        assert int(re.search(r"with params\[(\d+)\]", str(caught.value))[1]) in meets
    else:
        target.step(grads)


@given(data=st.data())
def test_gradients_that_repeat_memory(data: st.DataObject) -> None:
    """Broadcast and overlapping windows can be read if they do not overlap what is written."""
    memory = np.zeros(LENGTH, F32)
    matrix = memory[:600].reshape(20, 30)
    columns = data.draw(st.sets(st.integers(0, 29), min_size=1, max_size=29))
    params = [matrix[:, c] for c in sorted(columns)]
    lengths = [data.draw(st.integers(1, 6)) for _ in range(2)]
    steps = [data.draw(st.sampled_from([0, 1, 2, 15, 30, 31, 60])) for _ in lengths]
    reach = sum((n - 1) * s for n, s in zip(lengths, steps, strict=True))
    begin = data.draw(st.integers(0, LENGTH - 1 - reach))
    grad = as_strided(memory[begin:], lengths, [4 * s for s in steps])
    optimizer = ac.SGD([*params, np.zeros(lengths, F32)], lr=1.0)
    written = set().union(*(index_of(p, memory) for p in params))
    grads = [*[None] * len(params), grad]
    if written & index_of(grad, memory):
        with pytest.raises(ValueError, match="shares memory with params"):
            optimizer.step(grads)
    else:
        optimizer.step(grads)


def test_not_neighbours_alone() -> None:
    m = np.zeros((20, 6), F32)
    others = [m[:, 0], m[:, 1], m[:, 2], m[2:4, 3:], m[5:9, 4]]
    for bad, other in ((m[5:, 0], 0), (m[19:, :1], 0), (m[3, 3:], 3), (m[:, 4][::-1], 4), (m[::19, 2], 2)):
        with pytest.raises(ValueError, match=rf"params\[5\]: shares memory with params\[{other}\]"):
            ac.SGD([*others, bad])
        optimizer = ac.SGD(others)
        with pytest.raises(ValueError, match="shares memory with"):
            optimizer.add_param_group({"params": [bad]})
        optimizer.add_param_group({"params": [m[:, 5][6:]]})
    with pytest.raises(ValueError, match=r"params\[2\]: shares memory with params\[0\]"):
        ac.SGD([m[:, 0], m[:, 1], m[5:, 0]])


def test_a_refused_group_holds_nothing() -> None:
    m = np.zeros((30, 40), F32)
    optimizer = ac.SGD([m[:, 0]], lr=1.0)
    for _ in range(3):
        with pytest.raises(ValueError, match="shares memory"):
            optimizer.add_param_group({"params": [*(m[:, k] for k in range(1, 40)), m[29]]})
    optimizer.step([m[:, 7]])  # no parameter
    optimizer.add_param_group({"params": [m[:, k] for k in range(1, 40)]})
    with pytest.raises(ValueError, match="shares memory"):
        optimizer.step([*[None] * 39, m[:, 7]])


def seconds(views: list[np.ndarray]) -> float:
    def once() -> float:
        began = time.thread_time()
        ac.SGD(views, lr=1.0)
        return time.thread_time() - began

    return min(once() for _ in range(3))


INTERLEAVED: dict[str, Any] = {
    "columns": lambda m, n: [m[:, k] for k in range(n)],
    "columns of even rows, then of odd ones": lambda m, n: [m[k::2, c] for k in (0, 1) for c in range(n // 2)],
    "every second row, and all rows": lambda m, n: [m[:: 1 + c % 2, c] for c in range(n)],
    "rows and columns": lambda m, n: [*(m[k // 8, k % 8 * 9 : k % 8 * 9 + 9] for k in range(n // 2)),
                                      *(m[:, 100 + k] for k in range(n // 2))],
    "planes": lambda m, n: [m.reshape(-1, 2, m.shape[1] // 2)[1:-1, 0, c] for c in range(n)],
}  # fmt: skip


@pytest.mark.parametrize("kind", INTERLEAVED)
def test_time_grows_with_the_number(kind: str) -> None:
    """8 times as many interleaved arrays take less than 24 times as long: n log n, and not n squared."""
    few, many = 500, 4000
    memory = np.zeros((512, 8200), F32)
    arrays = INTERLEAVED[kind](memory, many)
    assert seconds(arrays) < 24 * seconds(INTERLEAVED[kind](memory, few))


def cut(rng: np.random.Generator, m: np.ndarray) -> np.ndarray:
    """Part of a row or a column, or a block, by steps."""
    i, j = rng.integers(m.shape[0]), rng.integers(m.shape[1])
    return (m[i, j :: rng.integers(1, 4)], m[i :: rng.integers(1, 4), j], m[i : i + 2, j : j + 3])[rng.integers(3)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_columns_that_reach_around_each_other(order: tuple[int, ...]) -> None:
    """The address range of the second is between those of the first and the third, and it shares no byte with them."""
    m = np.zeros((10, 2))
    views = [m[:, 0], m[:, 1], m[5:, 0]]
    places = sorted(order.index(k) for k in (0, 2))
    with pytest.raises(ValueError, match=rf"^params\[{places[1]}\]: shares memory with params\[{places[0]}\]"):
        ac.SGD([views[k] for k in order])
    optimizer = ac.SGD([m[:, 0], m[:, 1]])
    with pytest.raises(ValueError, match=r"^param_groups\[1\]\['params'\]: shares memory with params\[0\]"):
        optimizer.add_param_group({"params": m[5:, 0]})
    with pytest.raises(ValueError, match="shares memory"):
        ac.clip_grad_norm_([views[k] for k in order], 1.0)


@pytest.mark.parametrize("seed", range(20))
def test_any_slices_of_a_matrix(seed: int) -> None:
    """The same result as NumPy's for each pair."""
    rng = np.random.default_rng(seed)
    m = np.zeros((24, 12))
    taken = refused = 0
    for _ in range(200):
        views = [cut(rng, m) for _ in range(rng.integers(2, 7))]
        pairs = [p for p in itertools.combinations(range(len(views)), 2) if np.shares_memory(*(views[k] for k in p))]
        if not pairs:
            ac.SGD(views)
            taken += 1
            continue
        with pytest.raises(ValueError, match="shares memory") as caught:
            ac.SGD(views)
        second, first = (int(k) for k in re.findall(r"params\[(\d+)\]", str(caught.value)))
        assert (first, second) in pairs
        refused += 1
    assert taken > 5
    assert refused > 20
