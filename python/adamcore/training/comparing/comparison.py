"""`Comparison`: what `compare` returns."""

from __future__ import annotations

import copy
import json
import os
import textwrap
from typing import Any

from adamcore._checks.extras import import_extra
from adamcore._files.writing import put_text
from adamcore.training.comparing.tables import profile_of, text_table

Data = dict[str, Any]

_TIMES = ("seconds_to_target", "optimizer_share")


class Comparison:
    """The result of `compare`.

    Attributes
    ----------
    best : str or None
        The best rule, if it beats the next one in every seed. None if no difference is shown.
    verdict : str
        One sentence that says so.
    warnings : list of str
        What makes the comparison less than fair: rules that were given unequal numbers of rates, best rates at the edge
        of those that were tried, and runs that diverged.
    rows : list of dict
        The numbers of each rule with its best rate, the best rule first: "rule", "lr", "lrs" (all that were tried),
        "final" (one for each seed; None if it diverged) with "final_median", "final_min" and "final_max", the same of
        "best", "steps_to_target", "seconds_to_target", "reached" (in how many seeds), "diverged" (in how many),
        "optimizer_share" (of the time), "state_bytes" and "marked" (whether it is `best`).
    """

    def __init__(self, data: Data, reached: dict[str, list[int | None]]) -> None:
        self._data = data
        self._reached = reached

    @property
    def best(self) -> str | None:
        """The best rule, or None if no difference is shown."""
        best: str | None = self._data["best"]
        return best

    @property
    def verdict(self) -> str:
        """One sentence that says which rule is best, or that no difference is shown."""
        return str(self._data["verdict"])

    @property
    def warnings(self) -> list[str]:
        """What makes the comparison less than fair."""
        return list(self._data["warnings"])

    @property
    def rows(self) -> list[Data]:
        """The numbers of each rule, the best one first."""
        return copy.deepcopy(self._data["rows"])

    def to_dict(self, *, times: bool = True) -> Data:
        """Return all numbers as plain values. Without `times`, a second comparison gives equal ones."""
        data = copy.deepcopy(self._data)
        if not times:
            del data["environment"]
            for row in data["rows"]:
                for name in _TIMES:
                    del row[name]
            for curves in data["curves"].values():
                del curves["seconds"]
        return data

    def to_json(self, path: str | os.PathLike[str] | None = None, *, times: bool = True) -> str:
        """Return `to_dict` as JSON, and write it to `path` if one is given."""
        return put_text(json.dumps(self.to_dict(times=times), allow_nan=False), path)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a report with table and pictures as one HTML page, and write it to `path` if one is given.

        The page needs no network. The pictures need the extra ``plot``.
        """
        from adamcore.training.comparing.page import page  # noqa: PLC0415  (imported when used)

        return put_text(page(self._data), path)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the losses against steps, and the validations if there are any; save the picture if there is a path.

        Returns
        -------
        matplotlib.figure.Figure
        """
        figure = import_extra("matplotlib.figure", "Comparison.plot", "plot").Figure(
            figsize=(9, 4), layout="constrained"
        )
        pictures = import_extra("adamcore.training.comparing.pictures", "Comparison.plot", "plot")
        keys = ["loss", "seconds"] if self._data["metric"] == "loss" else ["loss", "validation"]
        for axes, key in zip(figure.subplots(1, 2), keys, strict=True):
            pictures.draw(axes, key, self._data)
        _add_legend(figure.axes[0], [row["rule"] for row in self._data["rows"]])
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def profile(self, *others: Comparison) -> Data:
        """Return the share of tasks that each rule solves within a factor of the steps of the fastest, by rule.

        Tasks are the seeds of this comparison and of `others`: the same rules on other problems.
        """
        everyone = [self, *others]
        rules = [rule for rule in self._reached if all(rule in other._reached for other in others)]
        return profile_of({rule: [at for one in everyone for at in one._reached[rule]] for rule in rules})

    def table(self) -> str:
        """Return the verdict, the warnings and the table as text."""
        lines = textwrap.wrap(self.verdict[:1].upper() + self.verdict[1:] + ".", 100)
        for warning in self.warnings:
            lines += textwrap.wrap(f"Warning: {warning}.", 100, subsequent_indent="    ")
        target = self._data["target"]
        if target is not None:
            lines.append(f"Target: {self._data['metric']} {target:.4g}, {self._data['target_from']}.")
        return "\n".join([*lines, "", text_table(self._data)])

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Comparison on {self._data['problem']}: {self.verdict}>"


def _add_legend(axes: Any, rules: list[str]) -> None:
    """Name the lines, without the bands and crosses that belong to them."""
    lines = {str(line.get_gid()): line for line in axes.get_lines()}
    shown = {rule: line for place, rule in enumerate(rules) if (line := lines.get(f"line-{place}")) is not None}
    if shown:
        legend = axes.legend(list(shown.values()), [" "] * len(shown), frameon=False)
        for text, rule in zip(legend.get_texts(), shown, strict=True):  # a name is no formula, and may begin with "_"
            text.set_parse_math(False)
            text.set_text(rule)
