"""How the report looks: colours, dashes and the style sheet."""

from __future__ import annotations

LIGHT = ("#1e4fa3", "#d93a1a", "#057e5d", "#c0509a", "#4c3d42", "#657c1e", "#1588cc")
DARK = ("#60a8e8", "#e8803c", "#2bdc94", "#d893b4", "#e4ece6", "#eed83a", "#8f82ff")
"""The colours of lines on each ground: colour-blind readers can tell them apart."""

DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (4, 1.6),
    (1.1, 1.3),
    (6, 1.6, 1.1, 1.6),
    (2.4, 1.1),
    (5, 1.3, 1.1, 1.3, 1.1, 1.3),
    (9, 2),
)
"""Lengths of ink and gap in widths of the line."""


def look(place: int) -> tuple[int, tuple[float, ...]]:
    """Return the number of the colour and the dashes of the rule at `place`: 49 rules look different."""
    return place % len(LIGHT), DASHES[(place + place // len(LIGHT)) % len(DASHES)]


def style_sheet() -> str:
    """Return the CSS of the page."""
    return _SHEET.replace("/*light*/", _variables(LIGHT)).replace("/*dark*/", _variables(DARK))


def _variables(colors: tuple[str, ...]) -> str:
    return " ".join(f"--c{i}: {color};" for i, color in enumerate(colors))


_SHEET = """\
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f5f6f8; --ink: #1b1f24; --muted: #59616b; --line: #dde1e6;
  --good: #0b6b4f; --good-ground: #e3f4ec; --warn: #b26a00; --warn-ground: #fdf5e6; --bad: #a8281a;
  /*light*/
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15181c; --panel: #1d2126; --ink: #e6e9ed; --muted: #a2abb6; --line: #32383f;
    --good: #7fe0b8; --good-ground: #17362b; --warn: #e0a443; --warn-ground: #2b2417; --bad: #ff9d8c;
    /*dark*/
  }
}
*, ::before, ::after { box-sizing: border-box; }
html { background: var(--ground); -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3.5rem 2rem 3rem; max-width: 73rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
h1, h2, h3, p, ul, dl, dd, figure { margin: 0; padding: 0; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--muted); }
h2 { font-size: 1.3rem; line-height: 1.3; font-weight: 650; letter-spacing: -.01em; margin-bottom: 1rem; }
main > section { margin-top: 3.5rem; }
.verdict {
  margin: .6rem 0 .9rem; max-width: 44rem; font-size: clamp(1.45rem, 1.1rem + 1.6vw, 2.1rem); line-height: 1.25;
  font-weight: 650; letter-spacing: -.015em; text-wrap: balance;
}
.facts { color: var(--muted); max-width: 44rem; }
main > .warnings {
  margin-top: 2rem; padding: 1rem 1.25rem; max-width: 52rem; border-left: 4px solid var(--warn);
  border-radius: 4px; background: var(--warn-ground);
}
.warnings h2 { font-size: 1rem; margin-bottom: .3rem; }
.warnings ul { list-style: none; }
.warnings li + li { margin-top: .3rem; }

table { width: 100%; border-collapse: collapse; font-size: .92rem; line-height: 1.4; }
caption { text-align: left; color: var(--muted); padding-bottom: .9rem; font-size: 1rem; }
th, td { padding: .75rem .5rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; padding-left: 0; }
tbody th:first-child { padding-left: calc(28px + .55rem); }
td:last-child, thead th:last-child { padding-right: 0; }
thead th { vertical-align: bottom; font-weight: 500; color: var(--muted); font-size: .85rem; line-height: 1.3; }
tbody th { font-weight: 600; text-indent: calc(-28px - .55rem); }
th > * { text-indent: 0; }
td > div { white-space: nowrap; }
small { display: block; font-size: .82rem; color: var(--muted); }
.swatch { display: inline-block; width: 28px; height: 10px; margin-right: .55rem; vertical-align: middle; flex: none; }
.best {
  display: inline-block; margin-left: .5rem; padding: .1rem .5rem; border-radius: 99px; font-size: .78rem;
  line-height: 1.35; font-weight: 600; color: var(--good); background: var(--good-ground);
}
.bad { color: var(--bad); font-weight: 600; }

.pictures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 3rem 3.5rem; }
figure { min-width: 0; display: flex; flex-direction: column; break-inside: avoid; }
figcaption { color: var(--muted); font-size: .92rem; }
figcaption h3 { font-size: 1.05rem; line-height: 1.4; font-weight: 650; color: var(--ink); }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: .6rem 0 .5rem; font-size: .85rem; }
.key li { display: flex; align-items: center; min-width: 0; }
.key .swatch { margin-right: .4rem; }
.plot { display: block; width: 100%; height: auto; max-width: 33rem; margin-top: auto; stroke-linejoin: round; }

.reading dl { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 3.5rem; }
.reading dt { font-weight: 600; }
.reading dd { color: var(--muted); max-width: 36rem; }
footer { margin-top: 3.5rem; padding-top: 1.2rem; border-top: 1px solid var(--line); font-size: .85rem; }
footer dl { display: flex; flex-wrap: wrap; gap: .2rem 1.8rem; color: var(--muted); }
footer dl div { display: flex; gap: .45rem; min-width: 0; }
footer dd { color: var(--ink); }

@media (max-width: 61rem) {
  table, tbody, tr, th, td { display: block; }
  caption { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.25rem; }
  tr { padding: 1.1rem 1.25rem; border-radius: 10px; background: var(--panel); min-width: 0; }
  th, td, th:first-child { border: 0; padding: .3rem 0; }
  tbody th:first-child { font-size: 1.05rem; padding: 0 0 .5rem calc(28px + .55rem); }
  td { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; }
  td::before { content: attr(data-label); text-align: left; color: var(--muted); flex: none; max-width: 55%; }
  .pictures { gap: 3rem 2rem; }
}
@media (max-width: 45rem) {
  body { padding: 2rem 1rem 2.5rem; }
  main > section { margin-top: 2.75rem; }
  tbody, .pictures, .reading dl { grid-template-columns: minmax(0, 1fr); }
  .pictures { gap: 2.75rem; }
}
"""
