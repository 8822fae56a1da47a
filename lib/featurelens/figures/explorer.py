"""What the explorers of a page share: the card's style, pictures cut from one sheet, and the packed data.

An explorer is complete without its script, which only changes what is shown; nothing is fetched.
"""

import hashlib
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from featurelens import stamps
from featurelens.explorers import Sheet
from featurelens.figures.markup import Markup, packed

# The card, its controls and tables are those of the pruning slider.
STYLE = "\n".join(
    stamps.read(Path(__file__).with_name(name)).read_text("utf-8").strip()
    for name in ("slider.css", "explorer.css")
)


def filled(page: Path, caption: str, sheet: Sheet, content: dict, parts: Mapping[str, str]) -> Markup:
    """Return the explorer of the template ``page``, whose script lies beside it.

    Args:
        page: the Python file whose ``.html`` and ``.js`` are meant.
        caption: what is shown, as plain text.
        sheet: the pictures.
        content: what the script reads, beside what the pictures show.
        parts: the template's other places, as HTML.
    """
    body, script = (stamps.read(page.with_suffix(end)).read_text("utf-8").strip() for end in (".html", ".js"))
    data = packed({"words": sheet.words, "columns": sheet.columns, "lines": sheet.lines, **content})
    name = f"{page.stem.replace('_', '-')}-{hashlib.sha256((caption + data).encode()).hexdigest()[:10]}"
    # Not by the figure's id, which is another one where pages are joined for paper.
    pictures = (
        f'[data-sheet="{name}"] .fl-pic {{background-image: url("{sheet.uri}"); '
        f"background-size: {100 * sheet.columns}% {100 * sheet.lines}%}}"
    )
    shared = {"style": f"{STYLE}\n{pictures}", "script": script, "packed": data, "name": name}
    return Markup(Template(body).substitute(parts, caption=html.escape(caption), **shared))


def picture(sheet: Sheet, place: int, below: str, words: str | None = None, kind: str = "") -> str:
    """One picture with a line of text below; ``words`` say what is to be seen."""
    column, line = place % sheet.columns, place // sheet.columns
    x, y = (100 * at / max(1, of - 1) for at, of in ((column, sheet.columns), (line, sheet.lines)))
    label = html.escape(sheet.words[place] if words is None else words)
    return (
        f'<li{kind}><span class="fl-pic" role="img" aria-label="{label}" title="{label}" '
        f'style="background-position: {x:.4f}% {y:.4f}%"></span><span class="fl-below">{below}</span></li>'
    )


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Rows of a table of names and values."""
    return "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in rows
    )
