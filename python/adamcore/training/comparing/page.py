"""The report of a comparison: one HTML page that needs no other file and no network."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from adamcore.training.comparing.page_style import style_sheet
from adamcore.training.comparing.page_table import MISSING, known, number, swatch, table

if TYPE_CHECKING:
    from adamcore.training.comparing.pictures import Picture

Data = Mapping[str, Any]


def page(data: Data) -> str:
    """Return the whole HTML document. Equal data give equal text.

    Without matplotlib the page has no pictures, and says so.
    """
    title = f"Optimizers on {data['problem']}"
    parts = (_head(data, title), _warnings(data), _table(data), _pictures(data), _reading(data))
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
{style_sheet()}</style>
</head>
<body>
<main>
{body}
</main>
{_environment(data)}
</body>
</html>
"""


def _head(data: Data, title: str) -> str:
    verdict = data["verdict"]
    if data.get("best") is None:  # otherwise it may begin with a rule's name
        verdict = verdict[:1].upper() + verdict[1:]
    return f"""<header>
<h1>{escape(title)}</h1>
<p class="verdict">{escape(verdict)}</p>
<p class="facts">{escape(_facts(data))}</p>
</header>"""


def _facts(data: Data) -> str:
    better = "lower" if data["mode"] == "min" else "higher"
    budget = f"{_count(data['steps'], 'step')} each" if data["budget"] == "steps" else "the same time for each"
    seeds = data["seeds"]
    facts = f"{data['metric']}, {better} is better. {_count(len(data['rows']), 'rule')}, {budget}, "
    facts += f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}."
    if known(data.get("target")) is not None:
        origin = f" ({data['target_from']})" if data.get("target_from") else ""
        facts += f" Target: {number(data['target'])}{origin}."
    return facts


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _warnings(data: Data) -> str:
    if not data.get("warnings"):
        return ""
    items = "\n".join(f"<li>{escape(warning)}</li>" for warning in data["warnings"])
    return f"""<section class="warnings" aria-labelledby="warnings">
<h2 id="warnings">Warnings</h2>
<ul>
{items}
</ul>
</section>"""


def _table(data: Data) -> str:
    return f"""<section aria-labelledby="results">
<h2 id="results">Results</h2>
{table(data)}
</section>"""


def _pictures(data: Data) -> str:
    if importlib.util.find_spec("matplotlib") is None:
        inside = '<p>The pictures need matplotlib: pip install "adamcore[plot]"</p>'
    else:
        # matplotlib is an extra.
        from adamcore.training.comparing.pictures import pictures  # noqa: PLC0415

        found = pictures(data)
        if not found:
            return ""
        figures = "\n".join(_figure(picture, data["rows"]) for picture in found)
        inside = f'<div class="pictures">\n{figures}\n</div>'
    return f"""<section aria-labelledby="pictures">
<h2 id="pictures">Pictures</h2>
{inside}
</section>"""


def _figure(picture: Picture, rows: Sequence[Mapping[str, Any]]) -> str:
    rules = "".join(f"<li>{swatch(place)}{escape(rows[place]['rule'])}</li>" for place in picture.places)
    return f"""<figure id="{picture.key}">
<figcaption><h3>{picture.title}</h3><p>{escape(picture.caption)}</p></figcaption>
<ul class="key">{rules}</ul>
{picture.svg}
</figure>"""


def _reading(data: Data) -> str:
    notes = [
        (
            "Paired seeds",
            "With one seed, all rules start from the same weights and see the same batches: compare seed by seed.",
        ),
        (
            "When a rule is marked as best",
            "Only when it beats the next rule in every seed. Otherwise the seeds show no difference.",
        ),
        (
            "Tuned alike",
            "All rules have the same budget, and the table says how many rates each of them tried.",
        ),
        (
            "Diverged",
            "A run whose numbers were no longer finite, whose loss rose, or whose validation loss ended 10% higher "  # noqa: ISC004
            "than it began while the training loss did not fall. Its line ends with a cross or leaves the picture.",
        ),
    ]
    if known(data.get("target")) is not None:
        missing = f'"{MISSING}" means that at most half of the seeds got there.'
        notes.append(("Target", f"Steps and seconds until the metric first reached the target. {missing}"))
    items = "\n".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in notes)
    return f"""<section class="reading" aria-labelledby="reading">
<h2 id="reading">How to read this</h2>
<dl>
{items}
</dl>
</section>"""


def _environment(data: Data) -> str:
    facts = (data.get("environment") or {}).items()
    items = "".join(f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(fact))}</dd></div>" for name, fact in facts)
    return f'<footer aria-label="Environment"><dl>{items}</dl></footer>' if items else ""
