"""`compare` with problems, rules and seeds of every kind."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import adamcore as ac
from small_problems import Line


def sgd(lr, **options):
    return partial(ac.SGD, lr=lr, **options)


def compare(problem, rules, steps=30, **options):
    found = ac.compare(problem, rules, steps=steps, progress=None, **options)
    found.to_json()  # which takes no numbers that are not finite
    return found


def test_a_problem_that_returns_the_same_arrays_twice_is_refused():
    class Shared(Line):
        def init(self, rng):
            self.kept = getattr(self, "kept", None) or super().init(rng)
            return {name: array[:] for name, array in self.kept.items()}

    with pytest.raises(TypeError, match=r"compare: init\(rng\) of the problem Shared returned the same arrays twice"):
        compare(Shared(), {"one": sgd(0.1), "two": sgd(0.01)})


def test_a_problem_that_returns_the_same_iterator_twice_is_refused():
    class Shared(Line):
        def batches(self, _rng):
            self.kept = getattr(self, "kept", None) or (b for _ in range(99) for b in Line.batches(self, np.random))
            return self.kept

    with pytest.raises(TypeError, match=r"compare: batches\(rng\) of the problem Shared returned the same iterator"):
        compare(Shared(), {"one": sgd(0.1), "two": sgd(0.01)})
    listed = Line()
    batches = list(listed.batches(np.random.default_rng(0)))
    listed.batches = lambda _rng: batches
    assert compare(listed, {"one": sgd(0.1), "two": sgd(0.01)}).best == "one"


def test_seeds_of_every_kind():
    for seeds in (range(2), (0, 1), np.arange(2), [np.int64(0), np.uint8(1)]):
        assert compare(Line(), {"SGD": sgd(0.1)}, steps=2, seeds=seeds).to_dict()["seeds"] == [0, 1]
    for seeds in (np.array([0.5]), np.zeros((2, 2), int), "01", {0, 1}):
        with pytest.raises(TypeError, match="compare: seeds must be"):
            compare(Line(), {"SGD": sgd(0.1)}, seeds=seeds)


def test_the_same_time_where_the_first_run_diverges():
    found = compare(Line(), {"a": [sgd(1e300), sgd(0.1)], "b": sgd(0.1)}, steps=200, seeds=2, budget="seconds")
    curves = found.to_dict()["curves"]
    assert len(curves["a"]["steps"]) == 200
    assert len(curves["b"]["steps"]) > 50
    lost = compare(Line(), {"a": sgd(1e300), "b": sgd(1e301)}, steps=200, seeds=2, budget="seconds")
    assert [row["diverged"] for row in lost.rows] == [2, 2]


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_target_is_not_what_was_there_before_the_first_step(steps):
    for every in (None, 100):
        found = compare(Line(), {"one": sgd(0.1), "two": sgd(0.01)}, steps=steps, validate_every=every)
        assert found.rows[0]["steps_to_target"] >= 1


def test_a_target_that_is_reached_at_the_beginning():
    found = compare(Line(), {"one": sgd(0.1), "two": sgd(0.01)}, target=1e9)
    assert [row["steps_to_target"] for row in found.rows] == [0, 0]
    shares = pytest.approx([1 / 3, 2 / 3, 1])
    assert found.profile() == {rule: {"factor": [1.0] * 3, "share": shares} for rule in ("one", "two")}
    never = compare(Line(), {"one": sgd(0.1), "two": sgd(0.01)}, target=-1.0)
    assert never.profile() == {rule: {"factor": [], "share": []} for rule in ("one", "two")}


def test_the_legend_has_the_colour_of_each_line_and_names_are_no_formulas(tmp_path):
    rules = {"_fast": sgd(0.1), "sl$w^$": partial(ac.Adam, lr=1e-3), "lost": sgd(1e5), "at once": sgd(1e300)}
    found = compare(Line(), rules, steps=40)
    figure = found.plot(tmp_path / "out.png")
    legend = figure.axes[0].get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [row["rule"] for row in found.rows]
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    for name, handle in zip(names, legend.legend_handles, strict=True):
        assert handle.get_color() == lines[name].get_color()
        assert handle.get_linestyle() == lines[name].get_linestyle()


def test_the_last_tenth_of_the_losses_decides_without_validations():
    class Falls(Line):
        def loss_and_grad(self, params, batch):
            _, grads = super().loss_and_grad(params, batch)
            return 100.0 - len(self.seen), grads

    for every in (None, 1, 50, 1000):
        found = compare(Falls(validates=False), {"SGD": sgd(0.1)}, steps=50, seeds=1, validate_every=every)
        assert found.rows[0]["final"] == [52.0]  # the median of 54 to 50


def test_one_rule_and_one_step_are_counted_as_such():
    page = compare(Line(), {"SGD": sgd(0.1)}, steps=1, seeds=1).to_html()
    assert "1 rule, 1 step each, seed 0." in page
