"""A figure of Matplotlib as SVG that is part of a page: it takes the page's fonts and colours."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def inline_svg(figure: Figure, key: str, label: str, colors: Mapping[str, str]) -> str:
    """Return an `<svg>` element. Equal figures give equal text.

    Parameters
    ----------
    figure : Figure
        What to draw.
    key : str
        What the ids begin with: two elements of a page have different keys.
    label : str
        What the picture shows, for those who do not see it.
    colors : mapping of str to str
        What stands in the page for each colour of the figure, both as CSS.
    """
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    found = re.search(r'<svg [^>]*viewBox="([^"]*)"[^>]*>(.*)</svg>', text.getvalue(), re.DOTALL)
    if found is None:  # pragma: no cover
        raise RuntimeError("Matplotlib's SVG has no viewBox")
    box, body = found.groups()
    body = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = _in_tags(body, key, colors)
    body = re.sub(r"\n\s*(?=\n)", "", body)
    return f'<svg class="plot" viewBox="{box}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _in_tags(body: str, key: str, colors: Mapping[str, str]) -> str:
    """Change attributes, and no text between tags."""

    def change(tag: re.Match[str]) -> str:
        text = tag.group()
        text = re.sub(r'\bid="', f'id="{key}-', text)
        text = text.replace("url(#", f"url(#{key}-").replace('xlink:href="#', f'href="#{key}-')
        text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
        return re.sub(r"#[0-9a-f]{6}\b", lambda color: colors.get(color.group(), color.group()), text)

    return re.sub(r"<[^>]*>", change, body)
