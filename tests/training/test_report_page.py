"""The report of a comparison: its structure, and what a browser shows of it."""

from __future__ import annotations

import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from adamcore.training.comparing.page import page
from adamcore.training.comparing.page_style import DARK, LIGHT, look
from adamcore.training.comparing.page_table import table
from adamcore.training.comparing.pictures import KINDS, draw, pictures
from report_data import RULES, lost, sample

VOID = {"meta", "br", "img", "link", "input", "hr"}
HOSTILE = '<b>&"x"'
LONG = "Shampoo_" * 12
WIDTHS = (360, 768, 1280)


class Structure(HTMLParser):
    """The elements of a page, all of which it closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"<{tag}> has an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self) -> str:
        return " ".join(text for tag, text in self.texts if tag != "style")


def renamed(data: dict, old: str, new: str) -> dict:
    """`data` with another name for a rule, and for all else that a user names."""
    for row in data["rows"]:
        row["rule"] = new if row["rule"] == old else row["rule"]
    for part in ("curves", "profile"):
        data[part] = {new if rule == old else rule: found for rule, found in data[part].items()}
    data.update(problem=new, metric=new, target_from=new, verdict=f"{new} is best", warnings=[new])
    data["environment"]["processor"] = new
    return data


@pytest.fixture(scope="module")
def whole() -> str:
    return page(sample())


@pytest.fixture(scope="module")
def all_lost() -> str:
    return page(lost(sample()))


@pytest.fixture(scope="module")
def hostile() -> str:
    return page(renamed(sample(), "AdamW", HOSTILE))


@pytest.fixture(params=["whole", "all_lost", "hostile"])
def any_page(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


def test_it_is_one_document_that_needs_nothing_else(any_page: str) -> None:
    found = Structure(any_page)
    assert any_page.startswith("<!DOCTYPE html>\n")
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("title")) == len(found.all("h1")) == len(found.all("table")) == 1
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.all("meta")
    assert not re.findall(r'\bsrc=|href="(?!#)|url\((?!#)|@import|https?:|<script|<link|<!ENTITY', any_page)
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', any_page)
    assert set(used) <= set(ids)


def test_both_colour_schemes_are_there(whole: str) -> None:
    assert "color-scheme: light dark" in whole
    light, dark = whole.split("@media (prefers-color-scheme: dark)")
    assert all(f"--c{i}: {color};" in light for i, color in enumerate(LIGHT))
    assert all(f"--c{i}: {color};" in dark for i, color in enumerate(DARK))
    drawn = "".join(re.findall(r'<svg class="plot".*?</svg>', dark, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) == set(), "all colours are the page's"


def test_equal_data_give_equal_bytes(whole: str) -> None:
    assert page(sample()) == whole


def test_every_picture_is_there_and_says_what_it_shows(whole: str) -> None:
    found = Structure(whole)
    assert [figure["id"] for figure in found.all("figure")] == list(KINDS)
    plots = [svg for svg in found.all("svg") if svg["class"] == "plot"]
    assert [svg["role"] for svg in plots] == ["img"] * len(KINDS)
    assert plots[0]["aria-label"].startswith("Loss by steps: loss against steps. AdamW ends at 0.0")
    assert plots[0]["aria-label"].endswith("RMSprop diverges.")
    assert len(found.all("figcaption")) == len(KINDS)


def test_the_order_is_verdict_warnings_table_pictures_reading_environment(whole: str) -> None:
    parts = ["<h1>", 'class="verdict"', 'class="warnings"', "<table", "<figure", "How to read this", "<footer"]
    places = [whole.index(part) for part in parts]
    assert places == sorted(places)


def test_the_table_has_a_caption_and_scopes(whole: str) -> None:
    found = Structure(whole)
    assert len(found.all("caption")) == 1
    assert [head["scope"] for head in found.all("th")] == ["col"] * 9 + ["row"] * len(RULES)
    assert {cell["data-label"] for cell in found.all("td")} == {
        "Best rate", "Final val_loss", "Best val_loss", "Steps to target", "Seconds to target", "Diverged",
        "Time in the optimizer", "Memory of state",
    }  # fmt: skip


def test_cells_say_what_is_missing() -> None:
    data = sample()
    cells = {row["rule"]: cells_of(table(data | {"rows": [row]})) for row in data["rows"]}
    assert cells["AdamW"]["Steps to target"] == "250 3 of 3 runs"
    assert cells["AdamW"]["Memory of state"] == "1.25 MB"
    assert cells["AdamW"]["Best rate"] == "0.001 3 tried"
    never = cells["SGD(momentum=0.9, nesterov=True)"]
    assert (never["Steps to target"], never["Seconds to target"], never["Diverged"]) == ("-", "-", "0")
    gone = cells["RMSprop"]
    assert (gone["Final val_loss"], gone["Best val_loss"], gone["Diverged"]) == ("diverged", "-", "3 of 3 runs")


def cells_of(text: str) -> dict[str, str]:
    cells = re.findall(r'data-label="([^"]*)"><div>(.*?)</div>', text)
    return {label: re.sub(r"<.*?>", "", cell.replace("<small>", " ")) for label, cell in cells}


def test_numbers_of_a_column_have_one_number_of_decimals() -> None:
    data = sample()
    for row, value in zip(data["rows"], (0.5, 12.25, 3.0, None, float("nan")), strict=True):
        row.update(final_median=value, final_min=value, final_max=value, diverged=0)
    finals = re.findall(r'data-label="Final val_loss"><div>([^<]*)', table(data))
    assert finals == ["0.5000", "12.2500", "3.0000", "-", "-"]


def test_names_are_text(hostile: str) -> None:
    found = Structure(hostile)
    assert found.all("b") == []
    assert HOSTILE in found.said()
    assert any(HOSTILE in svg.get("aria-label", "") for svg in found.all("svg"))
    assert any(HOSTILE in cell["data-label"] for cell in found.all("td"))
    assert HOSTILE in [text for tag, text in found.texts if tag == "text"], "in the SVG too"


def test_a_name_is_no_formula() -> None:
    shown = next(picture for picture in pictures(sample() | {"metric": "a$b_1$c"}) if picture.key == "validation")
    assert "a$b_1$c" in shown.svg


def test_rules_that_all_diverged(all_lost: str) -> None:
    assert "<figure" not in all_lost
    assert "Pictures" not in all_lost
    assert all_lost.count('class="bad">diverged<') == len(RULES)
    assert 'class="best"' not in all_lost
    assert "No difference shown: every rule diverged" in all_lost
    assert not re.search(r"\b(nan|None|inf)\b", Structure(all_lost).said())


def test_pictures_without_data_are_left_out() -> None:
    data = sample()
    for curve in data["curves"].values():
        curve.pop("lr")
        curve["ratio"] = {"steps": [1, 2], "median": [None, float("nan")]}
        curve["seconds"] = []
    data["profile"] = {}
    assert [picture.key for picture in pictures(data)] == ["loss", "validation"]


def test_one_seed_without_a_target() -> None:
    text = page(sample() | {"seeds": [7], "target": None, "warnings": [], "budget": "seconds", "environment": {}})
    said = Structure(text).said()
    assert "the same time for each, seed 7." in said
    assert "arget:" not in said
    assert "<footer" not in text
    assert 'class="warnings"' not in text
    assert "to target</th>" not in text
    assert "Training loss: one seed." in said


def test_without_matplotlib_there_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = page(sample())
    assert "The pictures need matplotlib" in text
    assert "<figure" not in text
    assert "<table" in text


def limits(key: str, data: dict) -> tuple[float, float]:
    axes = Figure().subplots()
    draw(axes, key, data)
    axes.figure.canvas.draw()
    return axes.get_ylim()


def test_a_rule_that_diverges_does_not_flatten_the_others() -> None:
    data = sample()
    data["curves"]["RMSprop"]["loss"] = {part: [2.3, 1e308, None] for part in ("median", "low", "high")}
    assert 2.3 < limits("loss", data)[1] < 10
    data["curves"]["Lion"]["loss"]["high"][3] = 1e308  # a seed of a rule that did not
    assert 2.3 < limits("loss", data)[1] < 10


def test_a_metric_that_is_better_higher_loses_its_worst_below() -> None:
    data = sample() | {"mode": "max", "metric": "r2", "target": None}
    for i, curve in enumerate(data["curves"].values()):
        curve["validation"] = {"steps": [1, 2, 3], "median": [0.1, 0.5, 0.9]}
        if i == 4:
            curve["validation"]["median"] = [0.1, -1e9, -1e308]
    low, high = limits("validation", data)
    assert -3 < low < 0.1
    assert 0.9 < high < 1.2


@pytest.mark.parametrize("loss", [[0.0, 0.0], [5.0], [-1e5, -2e5], [1e-300, 2e-300], [1e300, 2e300], [3.0, None, 1.0]])
def test_any_losses_are_drawn(loss: list) -> None:
    data = sample() | {"metric": "loss", "profile": {}}
    data["curves"] = {"AdamW": {"steps": [1, 2, 3][: len(loss)], "loss": {"median": loss, "low": loss, "high": loss}}}
    low, high = limits("loss", data)
    assert low < high
    assert [picture.places for picture in pictures(data)] == [[0]]


def test_long_curves_have_few_points() -> None:
    data = sample()
    losses = [2.0 - i / 1e5 for i in range(100_000)]
    curve = {"steps": list(range(1, 100_001)), "loss": {"median": losses, "low": losses, "high": losses}}
    lines = draw(Figure().subplots(), "loss", data | {"curves": {"Lion": curve}})
    assert len(lines[0].x) <= 200
    assert lines[0].x[-1] == 100_000
    assert lines[0].high[0] == 2.0


def test_lines_differ_by_colour_and_dash() -> None:
    assert len({look(place) for place in range(49)}) == 49
    assert len({look(place)[0] for place in range(7)}) == len({look(place)[1] for place in range(7)}) == 7


BLINDNESS = {
    # Machado, Oliveira and Fernandes (2009), on linear RGB
    "none": np.eye(3),
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_colour_blind_can_tell_lines_apart(palette: tuple[str, ...], blindness: str) -> None:
    seen = [lab(np.asarray(BLINDNESS[blindness]) @ linear(color)) for color in palette]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 12


def linear(color: str) -> np.ndarray:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


MEASURE = r"""
function rgba(text) {
  const parts = text.match(/[\d.]+/g).map(Number);
  return parts.length < 4 ? [...parts, 1] : parts;
}
function luminance(color) {
  const [r, g, b] = color.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
}
function contrast(color, element, view) {
  while (rgba(view.getComputedStyle(element).backgroundColor)[3] === 0) element = element.parentElement;
  const ground = rgba(view.getComputedStyle(element).backgroundColor);
  if (ground[3] !== 1 || rgba(color)[3] !== 1) return 0;
  const [a, b] = [luminance(rgba(color)), luminance(ground)].sort((x, y) => x - y);
  return (b + .05) / (a + .05);
}
function measure(frame) {
  const view = frame.contentWindow, doc = view.document, root = doc.documentElement;
  const found = {name: frame.name, width: view.innerWidth, texts: [], lines: [], outside: [],
                 hidden: root.scrollWidth - root.clientWidth,
                 resources: view.performance.getEntriesByType("resource").length,
                 dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
                 cards: view.getComputedStyle(doc.querySelector("td")).display === "flex"};
  const add = (text, style, ink, scale, element) => found.texts.push(
    {text, size: parseFloat(style.fontSize) * scale, contrast: contrast(ink, element, view)});
  const walker = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || found.cards && parent.closest("thead")) continue;
    const range = doc.createRange();
    range.selectNodeContents(walker.currentNode);
    const box = range.getBoundingClientRect(), style = view.getComputedStyle(parent), svg = parent.ownerSVGElement;
    const inside = svg ? svg.getBoundingClientRect() : {left: 0, right: view.innerWidth, top: 0, bottom: 1e9};
    if (box.left < inside.left - 1 || box.right > inside.right + 1 || box.top < inside.top - 1 ||
        box.bottom > inside.bottom + 1) found.outside.push(text);
    const matrix = svg && parent.getScreenCTM();
    add(text, style, svg ? style.fill : style.color, svg ? Math.hypot(matrix.a, matrix.b) : 1, parent);
  }
  for (const cell of doc.querySelectorAll("td")) {
    const style = view.getComputedStyle(cell, "::before");
    if (style.content !== "none") add(cell.dataset.label, style, style.color, 1, cell);
  }
  for (const line of doc.querySelectorAll("[id*='-line-'] path, .swatch line"))
    found.lines.push(contrast(view.getComputedStyle(line).stroke, line.ownerSVGElement, view));
  return found;
}
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")];
  document.getElementById("out").textContent = JSON.stringify(frames.map(measure));
  frames.forEach(frame => frame.remove());
});
"""


@pytest.fixture(scope="module", params=["light", "dark"])
def shown(request, tmp_path_factory, whole, all_lost, hostile) -> list[dict]:
    """What Chromium measures in the pages, in a scheme, at several widths."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("the report is seen in a browser: install chromium, or name one in CHROMIUM")
    long = page(renamed(sample(), "AdamW", LONG))
    frames = [("whole", whole, width) for width in WIDTHS]
    frames += [(name, text, 360) for name, text in (("lost", all_lost), ("hostile", hostile), ("long", long))]
    frames += [("long", long, 1280), ("long", long, 977), ("whole", whole, 721)]  # 977 and 721: above two limits
    inside = "".join(
        f'<iframe name="{name}" width="{width}" height="800" style="border: 0" srcdoc="{html.escape(text)}"></iframe>'
        for name, text, width in frames
    )
    folder = tmp_path_factory.mktemp(request.param)
    wrapper = folder / "wrapper.html"
    start = '<!DOCTYPE html><meta charset="utf-8"><style>:root { color-scheme: light dark }</style><pre id="out"></pre>'
    wrapper.write_text(f"{start}{inside}<script>{MEASURE}</script>", encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=5000"]
    flags += [
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={int(request.param != 'dark')}",
    ]
    done = subprocess.run(
        [browser, *flags, wrapper.as_uri()], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    out = re.search(r'<pre id="out">(.+?)</pre>', done.stdout, re.DOTALL)
    assert out, f"the browser measured nothing: {done.stdout[-500:]} {done.stderr[-2000:]}"
    found = json.loads(html.unescape(out[1]))
    assert [frame["name"] for frame in found] == [name for name, _, _ in frames]
    assert {frame["dark"] for frame in found} == {request.param == "dark"}
    return found


def test_the_page_does_not_scroll_sideways(shown: list[dict]) -> None:
    for frame in shown:
        assert frame["hidden"] <= 0, f"{frame['name']} at {frame['width']}"
        assert frame["outside"] == [], f"{frame['name']} at {frame['width']}"


def test_a_narrow_screen_has_cards(shown: list[dict]) -> None:
    assert all(frame["cards"] == (frame["width"] < 977) for frame in shown)


def test_all_text_is_large_enough(shown: list[dict]) -> None:
    for frame in shown:
        assert len(frame["texts"]) > 50
        small = [text for text in frame["texts"] if text["size"] < 9]
        assert small == [], f"{frame['name']} at {frame['width']}"


def test_text_and_lines_stand_out(shown: list[dict]) -> None:
    for frame in shown:
        assert [text for text in frame["texts"] if text["contrast"] < 4.5] == []
        assert len(frame["lines"]) >= len(RULES)
        assert min(frame["lines"]) >= 3


def test_the_page_fetches_nothing(shown: list[dict]) -> None:
    assert {frame["resources"] for frame in shown} == {0}
